"""The engine that waits for hints: it claims when it is told or when its own look is due, and says when it is done."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from outbound import queue
from outbound.engine import hinted, store
from outbound.engine.hinted import HintedEngine
from outbound.models import Lease, Message, State
from tests.outbound.engine.running import running, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine looks once, when it starts, and then only when it is told."""
    monkeypatch.setattr(hinted, "LOOK_S", 3600.0)


class Counting(HintedEngine):
    """Counts its rounds."""

    rounds = 0

    def _round(self) -> None:
        super()._round()
        self.rounds += 1


def _first_look_over(engine: HintedEngine) -> None:
    assert engine.deliver(within_s=10)


@pytest.mark.usefixtures("no_look")
def test_it_claims_nothing_without_a_hint_and_everything_due_with_one(smtp_server: Callable[..., SmtpServer]) -> None:
    server = smtp_server()
    activate(a_config(server.port))
    engine = Counting()
    with running(engine):
        _first_look_over(engine)
        ids = queued(3)
        before = engine.rounds
        until(lambda: engine.rounds > before + 2)  # it goes on, and looks for no mail
        assert server.received == []
        assert engine.deliver(within_s=10)
        assert set(Message.objects.filter(pk__in=ids).values_list("state", flat=True)) == {State.SENT}
        assert len(server.received) == 3
    assert not Lease.objects.exists()


def test_it_finds_by_itself_what_nobody_hinted_at(smtp_server: Callable[..., SmtpServer]) -> None:
    server = smtp_server()
    activate(a_config(server.port))
    with running(HintedEngine()):
        queued(2)
        server.wait_for(2)


@pytest.mark.usefixtures("no_look")
def test_a_message_in_flight_is_waited_for_but_not_without_end() -> None:
    dot, answer = threading.Event(), threading.Event()

    def stall(phase: str, count: int) -> None:
        if phase == "dot":
            dot.set()
            answer.wait(10)

    with Sink(stall) as sink:
        activate(a_config(sink.port))
        engine = HintedEngine()
        with running(engine):
            _first_look_over(engine)
            (pk,) = queued()
            assert not engine.deliver(within_s=0.5)
            assert dot.wait(10)
            answer.set()
            assert engine.deliver(within_s=10)
            assert Message.objects.get(pk=pk).state == State.SENT


class Interrupted(HintedEngine):
    """Is told of a new message after a round has begun and before it looks."""

    told: threading.Thread | None = None
    served = False

    def _after_trouble(self, now: datetime) -> None:
        super()._after_trouble(now)
        if self.told is None and self._served:
            asked = self._asked
            queued()
            told = threading.Thread(target=self._tell)
            told.start()
            self.told = told  # only now: the test joins what it finds here
            until(lambda: self._asked > asked)

    def _tell(self) -> None:
        self.served = self.deliver(within_s=10)


@pytest.mark.usefixtures("no_look")
def test_a_message_that_comes_while_a_round_has_begun_is_seen_in_it_or_in_the_next() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        engine = Interrupted()
        with running(engine):
            _first_look_over(engine)
            until(lambda: engine.told is not None)
            assert engine.told is not None
            engine.told.join()
            assert engine.served
            assert Message.objects.get().state == State.SENT


@pytest.mark.usefixtures("no_look")
def test_a_hint_at_a_paused_queue_is_answered_at_once(closed_port: int) -> None:
    activate(a_config(closed_port))
    queue.pause(actor=ANA)
    engine = HintedEngine()
    with running(engine):
        queued()
        assert engine.deliver(within_s=10)
    assert Message.objects.get().state == State.QUEUED


def test_a_hint_is_stale_when_none_of_its_messages_is_due(settings: Any) -> None:
    activate(a_config())
    first, second = queued(2)
    now = timezone.now()
    assert store.any_due([first, second], now)
    Message.objects.filter(pk=first).update(due_at=None, state=State.SENT)
    assert store.any_due([first, second], now)
    assert not store.any_due([first], now)
    assert not store.any_due([], now)
