"""The hub: lanes in one thread, each of which waits without holding up the others."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from outbound.engine.hub import Hub, HubFailed

SOON = 10.0


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.end()


def _run(hub: Hub, lane: object) -> None:
    """Runs one lane to its end; what it raised is raised here."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            lane()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001  told to the test
            errors.append(error)
        ended.set()

    hub.start(run)
    assert ended.wait(SOON)
    if errors:
        raise errors[0]


def _until_it_would_block(sock: socket.socket, call: Callable[[], object]) -> None:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            call()


def test_a_lane_that_waits_for_its_server_lets_another_answer_it(hub: Hub) -> None:
    here, there = socket.socketpair()
    told: list[object] = []
    ended = threading.Event()

    def reads() -> None:
        told.append(hub.wait(here, False, time.monotonic() + SOON))
        told.append(here.recv(10))
        ended.set()

    hub.start(reads)
    hub.start(lambda: there.send(b"hello"))  # in the same thread: it runs only because the first lane waits
    assert ended.wait(SOON)
    assert told == [True, b"hello"]
    here.close()
    there.close()


def test_a_wait_ends_at_its_time_and_says_so(hub: Hub) -> None:
    here, there = socket.socketpair()
    told: list[bool] = []
    _run(hub, lambda: told.append(hub.wait(here, False, time.monotonic() + 0.1)))
    assert told == [False]
    here.close()
    there.close()


def test_a_wait_for_room_ends_when_the_other_side_reads(hub: Hub) -> None:
    here, there = socket.socketpair()
    _until_it_would_block(here, lambda: here.send(b"x" * 65536))
    told: list[bool] = []
    full = threading.Event()

    def writes() -> None:
        full.set()
        told.append(hub.wait(here, True, time.monotonic() + SOON))

    def drain() -> None:
        assert full.wait(SOON)
        _until_it_would_block(there, lambda: there.recv(1_000_000))

    reader = threading.Thread(target=drain)
    reader.start()
    _run(hub, writes)
    reader.join()
    assert told == [True]
    here.close()
    there.close()


def test_a_new_connection_under_the_number_of_a_closed_one_is_waited_for(hub: Hub) -> None:
    def waits_twice() -> None:
        for _ in range(2):
            here, there = socket.socketpair()
            numbers.append(here.fileno())
            there.send(b"x")
            assert hub.wait(here, False, time.monotonic() + SOON)
            here.close()
            there.close()

    numbers: list[int] = []
    _run(hub, waits_twice)
    assert numbers[0] == numbers[1]


def test_what_a_kept_open_connection_says_while_nobody_waits_is_told_once_and_seen_by_the_next_wait(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that says goodbye to an idle connection, and closes it, must not keep the hub awake."""
    here, there = socket.socketpair()
    told: list[int] = []
    real = Hub._unwatch

    def unwatch(hub: Hub, number: int) -> None:
        told.append(number)
        real(hub, number)

    monkeypatch.setattr(Hub, "_unwatch", unwatch)

    def first() -> None:
        there.send(b"ready")
        assert hub.wait(here, False, time.monotonic() + SOON)
        assert here.recv(10) == b"ready"

    _run(hub, first)
    there.send(b"421 bye")
    there.close()
    _run(hub, lambda: hub.park(time.monotonic() + 0.3))
    assert told == [here.fileno()]

    def second() -> None:
        assert hub.wait(here, False, time.monotonic() + SOON)
        assert here.recv(10) == b"421 bye"
        assert hub.wait(here, False, time.monotonic() + SOON)
        assert here.recv(10) == b""

    _run(hub, second)
    here.close()


def test_a_connection_is_watched_for_room_to_write_and_then_for_what_comes(hub: Hub) -> None:
    here, there = socket.socketpair()

    def both() -> None:
        assert hub.wait(here, True, time.monotonic() + SOON)
        assert not hub.wait(here, False, time.monotonic() + 0.1)
        there.send(b"hello")
        assert hub.wait(here, False, time.monotonic() + SOON)
        assert here.recv(10) == b"hello"
        assert hub.wait(here, True, time.monotonic() + SOON)

    _run(hub, both)
    here.close()
    there.close()


def test_parked_lanes_wake_together_and_a_late_call_wakes_nobody_twice(hub: Hub) -> None:
    woken: list[str] = []
    both = threading.Barrier(3)

    def lane(name: str) -> None:
        woken.append(f"{name} {hub.park(time.monotonic() + SOON)}")
        hub.aside(lambda: both.wait(SOON))

    hub.start(lambda: lane("a"))
    hub.start(lambda: lane("b"))
    hub.start(hub.wake)  # from within, behind both: they are parked by now
    both.wait(SOON)
    hub.wake()
    assert sorted(woken) == ["a True", "b True"]


def test_a_parked_lane_gives_up_at_its_time(hub: Hub) -> None:
    told: list[bool] = []
    _run(hub, lambda: told.append(hub.park(time.monotonic() + 0.1)))
    assert told == [False]


def test_what_blocks_is_done_aside_while_other_lanes_go_on(hub: Hub) -> None:
    released = threading.Event()
    answers: list[object] = []
    ended = threading.Event()

    def blocks() -> None:
        answers.append(hub.aside(lambda: released.wait(SOON)))
        ended.set()

    hub.start(blocks)
    hub.start(released.set)
    assert ended.wait(SOON)
    assert answers == [True]


def test_what_was_raised_aside_is_raised_in_the_lane(hub: Hub) -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        _run(hub, lambda: hub.aside(fails))


def test_an_ended_hub_closes_its_files_and_ignores_late_calls() -> None:
    hub = Hub()
    hub.end()
    hub._thread.join(SOON)
    assert not hub._thread.is_alive()
    hub.wake()
    hub.start(lambda: pytest.fail("nothing begins any more"))


def test_a_lane_that_fails_ends_the_hub_which_says_so_and_closes_its_files() -> None:
    hub = Hub()

    def fails() -> None:
        raise ValueError("a bug")

    hub.start(fails)
    hub._thread.join(SOON)
    assert not hub._thread.is_alive()
    with pytest.raises(HubFailed) as caught:
        hub.check()
    assert isinstance(caught.value.__cause__, ValueError)
    assert hub._epoll.closed
    hub.wake()
    hub.end()


def test_a_lane_whose_server_never_stops_talking_holds_up_no_other(hub: Hub) -> None:
    talker, there = socket.socketpair()
    there.send(b"250 ok\r\n")  # is never read: this lane is always ready
    quiet, silent = socket.socketpair()
    told: list[object] = []
    ended = threading.Event()

    def busy() -> None:
        while not ended.is_set():
            hub.wait(talker, False, time.monotonic() + SOON)

    def waits() -> None:
        told.append(hub.wait(quiet, False, time.monotonic() + 0.1))
        told.append(hub.park(time.monotonic() + 0.1))
        told.append(hub.aside(lambda: "aside"))
        silent.send(b"x")
        told.append(hub.wait(quiet, False, time.monotonic() + SOON))
        ended.set()

    hub.start(busy)
    hub.start(waits)
    assert ended.wait(SOON)
    assert told == [False, False, "aside", True]
    for sock in (talker, there, quiet, silent):
        sock.close()


def test_a_time_that_is_over_ends_the_wait_of_a_server_that_drips(hub: Hub) -> None:
    here, there = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.001):
                there.send(b"x")

    def reads() -> None:
        until = time.monotonic() + 0.2
        while hub.wait(here, False, until):
            here.recv(1)
        ended.set()

    dripping = threading.Thread(target=drip)
    dripping.start()
    hub.start(reads)
    assert ended.wait(SOON)
    dripping.join()
    here.close()
    there.close()


def test_a_connection_that_ends_under_a_wait_ends_the_wait(hub: Hub) -> None:
    here, there = socket.socketpair()
    told: list[object] = []

    def reads() -> None:
        threading.Timer(0.05, there.close).start()
        told.append(hub.wait(here, False, time.monotonic() + SOON))
        told.append(here.recv(1))

    _run(hub, reads)
    assert told == [True, b""]
    here.close()
