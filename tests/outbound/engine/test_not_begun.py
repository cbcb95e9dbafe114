"""What is claimed and not begun: it goes back as soon as it has to wait, and each message is in one pair of hands."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from emailcfg.providers.base import ErrorClass, Failure, Stage
from outbound import queue
from outbound.engine import pools
from outbound.engine.pools import Pool
from outbound.engine.work import Broken, Stamp, Tripped, Work
from outbound.models import Attempt, Breaker, Message
from outbound.submit import Submission, submit
from tests.outbound.engine.running import running, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, a_request, activate, queued
from tests.servers.scripted import ScriptedSmtp

pytestmark = pytest.mark.django_db(transaction=True)


class Held:
    """A sink's hook that holds the first message at its dot."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, phase: str, count: int) -> None:
        if phase == "dot" and count == 1:
            self.reached.set()
            self.go_on.wait(20)


@pytest.fixture
def slow() -> Iterator[Held]:
    held = Held()
    yield held
    held.go_on.set()


def test_a_pause_lets_nothing_leave_but_what_is_on_its_way(slow: Held) -> None:
    with Sink(slow, pipelining=False) as sink:
        activate(a_config(sink.port, max_connections=1, timeout_s=60))
        queued(500)  # one claim
        with running():
            assert slow.reached.wait(10)
            queue.pause(actor=ANA)
            until(lambda: Message.objects.filter(state="queued", attempts=0).count() == 499)
            slow.go_on.set()
            until(lambda: Message.objects.filter(state="sent").count() == 1)
            time.sleep(0.5)  # of rounds in which more could leave
            assert sink.count == 1
            queue.resume(actor=ANA)
            until(lambda: Message.objects.filter(state="sent").count() == 500)
        assert set(sink.taken.values()) == {1}


def test_a_message_that_stood_in_two_crashes_is_in_flight_alone(slow: Held) -> None:
    """Else those beside it stand in the next crash as well, and are taken for its cause."""
    with Sink(slow) as sink:
        activate(a_config(sink.port, timeout_s=60))
        (suspect,) = queued(1)
        Message.objects.filter(pk=suspect).update(crashes=2, priority=9)
        with running():
            assert slow.reached.wait(10)
            queued(5)
            time.sleep(1)  # of rounds in which it could claim
            assert Message.objects.filter(state="queued", attempts=0).count() == 5
            slow.go_on.set()
            until(lambda: Message.objects.filter(state="sent").count() == 6)


def test_mail_of_a_refused_sender_is_not_tried_message_by_message(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    server = scripted_smtp({"MAIL FROM:<old@acme.example>": "550 5.1.8 Sender address rejected"})
    activate(a_config(server.port, general={"sender_email": "old@acme.example"}))
    old = queued(400)
    activate(a_config(server.port, general={"sender_email": "new@acme.example"}))
    new = queued(5)
    with running():
        until(lambda: Message.objects.filter(pk__in=new, state="sent").count() == 5)
        until(lambda: Message.objects.filter(pk__in=old, state="queued", attempts=0).count() == 400)
    assert Breaker.objects.get(is_open=True).sender == "old@acme.example"
    tried = sum(line.startswith("MAIL FROM:<old") for line in server.commands)
    assert tried == Attempt.objects.filter(message__in=old).count() <= 10  # connections, twice


OLD = "old@acme.example"


def _let_go(how: str, generation: int, port: int) -> None:
    if how == "try now":
        assert queue.try_now(generation, actor=ANA)
    elif how == "another configuration":
        activate(a_config(port, general={"sender_email": "new@acme.example"}))
    else:
        Breaker.objects.update(next_probe_at=timezone.now())
        Message.objects.filter(pk=Message.objects.filter(state="queued").earliest("pk").pk).update(
            due_at=timezone.now()
        )


@pytest.mark.parametrize("how", ["try now", "another configuration", "a probe"])
def test_mail_of_a_sender_that_is_taken_again_leaves_at_once(
    scripted_smtp: Callable[..., ScriptedSmtp], how: str
) -> None:
    """It was put off until the next probe, which may be an hour away; one with a time of its own keeps that."""
    server = scripted_smtp({"MAIL": ["550 5.1.8 Sender address rejected", "250 Ok"]})
    active = activate(a_config(server.port, max_connections=1, general={"sender_email": OLD}))
    queued(50)
    soon = timezone.now() + timedelta(seconds=50)
    (later,) = submit([Submission(a_request(), not_before=soon)])
    with running():
        until(lambda: Breaker.objects.filter(is_open=True, sender=OLD).exists())
        put_off = Message.objects.filter(state="queued", due_at__gt=soon)
        until(lambda: put_off.count() == 50)
        _let_go(how, active.generation, server.port)
        until(lambda: Message.objects.filter(state="sent").count() == 50)
    assert Message.objects.get(state="queued").pk == later.id


# Without an engine


class NoHub:
    """Lanes of this pool are threads of the test."""

    def start(self, lane: Any) -> None:
        pass

    def wake(self) -> None:
        pass


def _pool(*works: Work) -> Pool:
    nothing: Any = None
    pool = Pool(
        hub=NoHub(),  # type: ignore[arg-type]
        make_session=nothing,
        connections=2,
        stamp=Stamp(1, 1),
        divert_to="",
        lease=1,
        journal=nothing,
        policy=nothing,
        wake=threading.Event(),
    )
    assert pool.give(works, anew=True)
    return pool


def _work(number: int, mail_from: str = "a@acme.example") -> Work:
    return Work(number, "queued", 1, 0, "", mail_from=mail_from)


LIMIT = Failure(Stage.DATA, ErrorClass.RATE, "rate_limited")


def test_what_a_lane_takes_in_the_moment_of_a_halt_does_not_go_back_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes of SendGrid have threads of their own. One that looked before the halt takes after it."""
    pool = _pool(*(_work(number) for number in range(3)))
    taken: list[Work] = []
    real = pools.replace

    def interrupted(event: Any, **changes: Any) -> Any:
        taken.extend([pool.pending.popleft()] if pool.pending else [])
        return real(event, **changes)

    monkeypatch.setattr(pools, "replace", interrupted)
    pool.broke(Broken(LIMIT, Stamp(1, 1), None, ()), wide=True)
    [broken] = pool.done
    assert isinstance(broken, Broken)
    assert sorted(work.id for work in [*broken.rest, *taken]) == [0, 1, 2]


def test_a_halt_is_lifted_by_a_claim_that_knew_of_it_and_by_nothing_else() -> None:
    pool = _pool(_work(1))
    pool.broke(Broken(LIMIT, Stamp(1, 1), None, ()), wide=True)
    assert not pool.give([_work(2)], anew=False)
    assert not pool.give([_work(2)], anew=True), "the failure is not recorded yet"
    pool.done.clear()
    assert not pool.give([_work(2)], anew=False)
    assert not pool.pending
    assert pool.give([_work(2)], anew=True)
    assert [work.id for work in pool.pending] == [2]


def test_the_mail_of_other_senders_stays_when_one_is_refused() -> None:
    pool = _pool(_work(1, "old@acme.example"), _work(2, "new@acme.example"), _work(3, "old@acme.example"))
    pool.refused(Tripped(LIMIT, Stamp(1, 1), "old@acme.example"))
    [tripped] = pool.done
    assert isinstance(tripped, Tripped)
    assert [work.id for work in tripped.rest] == [1, 3]
    assert [work.id for work in pool.pending] == [2]
