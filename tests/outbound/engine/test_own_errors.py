"""What goes wrong within the service itself: it ends or goes on, loses nothing, and repeats nothing silently."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from adminapp import serve
from emailcfg.providers.smtp import SmtpSession
from emailcfg.providers.smtp_transactions import Transactions
from outbound import journal
from outbound.engine import held, loop, pools, store
from outbound.engine.hub import HubFailed
from outbound.engine.loop import Engine
from outbound.models import Attempt, Lease, Message, Recipient
from outbound.submit import Submission, submit
from tests.outbound.engine.running import running, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import a_config, a_request, activate, queued

pytestmark = pytest.mark.django_db(transaction=True)


def _sent(count: int) -> Callable[[], bool]:
    return lambda: Message.objects.filter(state="sent").count() >= count


class _Gate:
    """A sink's hook that holds the first message that reaches `phase`."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, phase: str, count: int) -> None:
        if phase == self.phase and not self.reached.is_set():
            self.reached.set()
            self.go_on.wait(30)


def test_without_its_lanes_the_engine_ends_and_the_next_one_knows_what_was_on_the_wire(settings: Any) -> None:
    settings.IN_DOUBT = "hold"

    def bug() -> None:
        raise ValueError("a bug")

    gate = _Gate("dot")
    with Sink(gate) as sink:
        activate(a_config(sink.port, max_connections=1))
        ids = queued(20)
        engine = Engine()
        raised: list[BaseException] = []

        def run() -> None:
            try:
                engine.run()
            except HubFailed as error:
                raised.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert gate.reached.wait(10)
        engine._hub.start(bug)
        thread.join(20)
        assert raised, "the engine must not sit with lanes that stand still"
        gate.go_on.set()
        assert set(Message.objects.values_list("state", flat=True)) == {"sending", "queued"}
        with running():
            until(_sent(19))
            until(lambda: not Message.objects.filter(state__in=("sending", "queued")).exists())
        assert sorted(sink.taken.values()) == [1] * 20
    assert list(Message.objects.filter(state="in_doubt").values_list("cause", flat=True)) == ["process_lost"]
    assert Message.objects.count() == len(ids)


def test_an_error_while_a_session_opens_keeps_nobody_from_opening_the_next(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RETRY_FIRST_S = 0.05
    real, failures = SmtpSession.open, []

    def refuses(session: SmtpSession, *args: Any) -> None:
        if len(failures) < 2:
            failures.append(1)
            raise RuntimeError("can't start new thread")
        real(session, *args)

    monkeypatch.setattr(SmtpSession, "open", refuses)
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(20)
        with running():
            until(_sent(20))
        assert sorted(sink.taken.values()) == [1] * 20
    assert set(Attempt.objects.filter(code=0).values_list("reason", flat=True)) == {"internal_error"}


@pytest.fixture
def one_final_answer_meets_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = Transactions._took_final, []

    def fails(*args: Any, **options: Any) -> None:
        if not failures:
            failures.append(1)
            raise KeyError("a bug")
        real(*args, **options)

    monkeypatch.setattr(Transactions, "_took_final", fails)


def test_an_error_after_the_final_dot_leaves_the_message_in_doubt(
    settings: Any, one_final_answer_meets_a_bug: None
) -> None:
    settings.IN_DOUBT = "hold"
    with Sink() as sink:
        activate(a_config(sink.port, max_connections=1))
        ids = queued(10)
        with running():
            until(_sent(9))
            until(lambda: Message.objects.filter(state="in_doubt").exists())
        assert sorted(sink.taken.values()) == [1] * 10
    doubted = Message.objects.get(state="in_doubt")
    assert (doubted.pk, doubted.doubts, doubted.cause) == (ids[0], 1, "internal_error")
    assert Recipient.objects.get(message=doubted).state == "in_doubt"


def test_an_error_while_several_are_in_flight_leaves_them_all_in_doubt(
    settings: Any, one_final_answer_meets_a_bug: None
) -> None:
    settings.IN_DOUBT = "hold"
    with Sink(chunking=True) as sink:
        activate(a_config(sink.port, max_connections=1))
        ids = queued(10)
        with running():
            until(_sent(6))
            until(lambda: not Message.objects.filter(state__in=("queued", "sending")).exists())
        assert max(sink.taken.values()) == 1
    doubted = Message.objects.filter(state="in_doubt").order_by("pk")
    assert [message.pk for message in doubted] == ids[:4]
    assert doubted[0].cause == "internal_error"


def test_a_disk_too_full_for_the_journal_stops_sending_but_loses_and_repeats_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RETRY_FIRST_S = 0.05
    monkeypatch.setattr(journal, "_SIZE", 1000)
    real, full, refused = os.posix_fallocate, threading.Event(), []

    def fallocate(handle: int, offset: int, size: int) -> None:
        if full.is_set():
            refused.append(handle)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", fallocate)

    def hook(phase: str, count: int) -> None:
        if phase == "dot" and count == 5 and not refused:
            full.set()

    with Sink(hook) as sink:
        activate(a_config(sink.port, max_connections=2))
        queued(60)
        with running():
            until(lambda: len(refused) >= 3)
            before = _files()
            taken = sink.count
            until(lambda: len(refused) >= 6)
            # Where an outcome finds no room any more, up to four entries into DATA may: they are a quarter as long.
            assert sink.count <= taken + 4, "nothing enters DATA that the journal does not know"
            assert _files() <= before + 4
            full.clear()
            until(_sent(60))
        assert sorted(sink.taken.values()) == [1] * 60
    assert not Message.objects.filter(doubts__gt=0).exists()


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_signal_that_comes_while_the_engine_falls_asleep_does_not_wait_for_it() -> None:
    engine = Engine()
    asked = threading.Event()

    def handler() -> None:
        with engine.wake._cond:  # where the main thread stands when the signal comes
            engine.stop()
        asked.set()

    threading.Thread(target=handler, daemon=True).start()
    assert asked.wait(5)


def test_a_stop_between_a_replaced_database_and_its_first_answer_is_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was claimed under the old database is given up by then; its lease may be another's in the new one."""
    asked = threading.Event()

    def unreachable() -> None:
        asked.set()
        raise OperationalError("database is locked")

    with Sink() as sink:
        activate(a_config(sink.port))
        with running() as engine:
            queued(1)
            until(_sent(1))
            Lease.objects.update(instance="another")
            monkeypatch.setattr(loop, "Presence", unreachable)
            monkeypatch.setattr(engine._upkeep, "replaced", lambda: not asked.is_set())
            assert asked.wait(10)
    assert Lease.objects.filter(instance="another").exists()


def test_servers_that_hang_do_not_keep_a_stopping_service_beyond_its_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pools.STOP_WITHIN_S < serve.SERVICE_GRACE_S
    monkeypatch.setattr(pools, "STOP_WITHIN_S", 0.5)
    settings.ATTEMPT_DEADLINE_S = 120.0
    settings.IN_DOUBT = "hold"
    gates = {"rcpt": _Gate("rcpt"), "dot": _Gate("dot")}

    def hook(phase: str, count: int) -> None:
        if count == 1 and phase in gates:
            gates[phase](phase, count)

    with Sink(hook) as sink:
        activate(a_config(sink.port, max_connections=2, timeout_s=120))
        with running() as engine:
            queued(1)
            until(lambda: sink.count == 1)  # hangs at its dot: taken, and never answered
            queued(10)
            assert gates["rcpt"].reached.wait(10)
            begun = time.monotonic()
            engine.stop()
            until(lambda: engine.presence.row.state == "stopped")
            assert time.monotonic() - begun < 10  # of 120 that the servers could have taken
        for gate in gates.values():
            gate.go_on.set()
        with running():
            until(lambda: not Message.objects.filter(state__in=("sending", "queued")).exists())
        assert sorted(sink.taken.values()) == [1] * 11
    assert Message.objects.filter(state="in_doubt").count() == 1
    assert Message.objects.filter(state="sent").count() == 10


def test_what_is_claimed_is_bounded_by_its_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH_BYTES", 500_000)
    monkeypatch.setattr(held, "MAX_HELD_BYTES", 500_000)
    gate = _Gate("data")
    with Sink(gate) as sink:
        activate(a_config(sink.port, max_connections=1))
        submit([Submission(a_request(text="A line of a large mail.\n" * 4000)) for _ in range(30)])
        size = Message.objects.all()[0].size
        assert 90_000 < size < 200_000
        with running():
            assert gate.reached.wait(10)
            time.sleep(1.0)  # of rounds in which it could claim more
            claimed = Message.objects.filter(state="sending").count()
            assert 500_000 < claimed * size <= 500_000 + size
            gate.go_on.set()
            until(_sent(30))
        assert sorted(sink.taken.values()) == [1] * 30


def test_a_hundred_activations_leave_no_connection_thread_or_lane_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "POLL_S", 0.01)
    with Sink() as one, Sink() as other:
        activate(a_config(one.port))
        with running() as engine:
            queued(1)
            until(_sent(1))
            files, threads = _files(), threading.active_count()
            for n in range(1, 101):
                activate(a_config((one, other)[n % 2].port))
                queued(1)
                until(_sent(n + 1))
            until(lambda: not engine._pools.retired)
            until(lambda: one.left + other.left == one.connections + other.connections - 1)
            assert len(engine._hub._parked) == 1
            assert not engine._hub._waiting
            # The sinks are in this process: theirs are one file and one thread of each connection that is still open.
            until(lambda: _files() <= files + 2)
            until(lambda: threading.active_count() <= threads + 2)


def test_a_database_that_is_away_at_the_start_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(role: str) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr("outbound.instances.register", away)
    with pytest.raises(OperationalError, match="away"):
        Engine().run()
