"""The database is away or gives no answer: what was answered on the wire is neither lost nor sent again."""

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from outbound import messages
from outbound.engine import loop, outcomes, recover
from outbound.engine.presence import LeaseLost
from outbound.engine.settle import Policy
from outbound.models import Attempt, Breaker, Lease, Message, Recipient
from tests.outbound.engine.running import running, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.scripted import ScriptedSmtp

pytestmark = pytest.mark.django_db(transaction=True)


class Away:
    """The engine's thread can record no outcome while `now` is set."""

    def __init__(self) -> None:
        self.now, self.failures = threading.Event(), 0

    def sent_and_not_recorded(self, sink: Sink, count: int) -> bool:
        return sink.count == count and self.failures >= 2


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    real, found = outcomes.record, Away()

    def record(lease: int, events: Any, now: Any) -> None:
        if events and found.now.is_set() and threading.current_thread() is not threading.main_thread():
            found.failures += 1
            raise OperationalError("database or disk is full")
        real(lease, events, now)

    monkeypatch.setattr(outcomes, "record", record)
    yield found
    found.now.clear()


def _lapsed() -> None:
    Lease.objects.update(until=timezone.now() - timedelta(seconds=1))


def test_a_database_that_is_away_for_longer_than_a_lease_costs_no_copy(away: Away) -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(50)
        away.now.set()
        with running() as engine:
            until(lambda: away.sent_and_not_recorded(sink, 50))
            _lapsed()
            engine.presence._beat_at = engine._upkeep._sweep_at = 0.0  # so long it was away
            away.now.clear()
            until(lambda: not Message.objects.filter(state="sending").exists())
        assert sorted(sink.taken.values()) == [1] * 50
    assert set(Message.objects.values_list("state", "doubts")) == {("sent", 0)}


def _stalled_while_another_swept(away: Away, sink: Sink) -> None:
    with running() as engine:
        until(lambda: away.sent_and_not_recorded(sink, 50))
        with transaction.atomic():  # before this one can look
            _lapsed()
            engine.presence._beat_at = 0.0
            assert recover.sweep(Policy(), timezone.now()) == 50
        until(lambda: engine.presence.row.state == "stopped")
        away.now.clear()
        engine.journal._map.close()  # as its process ends
        os.close(engine.journal._handle)


def test_what_another_process_put_in_doubt_meanwhile_is_settled_by_the_journal(away: Away, settings: Any) -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(50)
        away.now.set()
        with pytest.raises(LeaseLost):
            _stalled_while_another_swept(away, sink)
        assert set(Message.objects.values_list("state", flat=True)) == {"in_doubt"}
        with running():
            until(lambda: not Message.objects.filter(state="in_doubt").exists())
        assert sorted(sink.taken.values()) == [1] * 50
    assert set(Message.objects.values_list("state", "doubts")) == {("sent", 0)}
    assert set(Recipient.objects.values_list("state", flat=True)) == {"sent"}
    assert not list((settings.DATA_DIR / "outbound").iterdir())


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first transaction with an outcome takes place, and its process does not learn of it."""
    real, lost = outcomes.record, list[int]()

    def fails() -> None:
        lost.append(1)
        Message.objects.filter(state="deferred").update(state="queued")  # for `messages.cancel`
        for pk in Message.objects.filter(state="queued", attempts=1).values_list("pk", flat=True):
            messages.cancel(pk, actor=ANA)
        raise OperationalError("the connection was lost while committing")

    def record(lease: int, events: Any, now: Any) -> None:
        real(lease, events, now)
        if events and not lost:
            transaction.on_commit(fails)

    monkeypatch.setattr(outcomes, "record", record)
    return lost


@pytest.mark.parametrize("answer", ["250 Ok", "530 5.7.0 Authentication required", "451 4.3.0 Later"])
def test_what_was_recorded_without_an_answer_is_not_recorded_again(
    scripted_smtp: Any, lost_answer: list[int], answer: str
) -> None:
    server: ScriptedSmtp = scripted_smtp({"MAIL": answer})
    activate(a_config(server.port, max_connections=1))
    queued(3)
    with running() as engine:
        until(lambda: bool(lost_answer))
        until(lambda: not engine._uncertain and not Message.objects.filter(state="sending").exists())
        until(lambda: not Message.objects.filter(state="queued").exists() or Breaker.objects.exists())
    logged = list(Attempt.objects.values_list("message_id", flat=True))
    assert len(logged) == len(set(logged))
    if answer.startswith("530"):
        assert set(Message.objects.values_list("state", "attempts")) == {("queued", 0)}
        assert Breaker.objects.get().failures == 1
    if answer.startswith("451"):  # cancelled in this moment, and so it stays
        assert set(Message.objects.values_list("state", flat=True)) == {"cancelled"}


def test_a_stop_while_the_database_is_away_waits_for_what_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    real = loop.instances.beat

    def hook(phase: str, count: int) -> None:
        if phase == "dot":
            reached.set()
            go_on.wait(20)

    def beat(*args: Any, state: str, **values: Any) -> None:
        if state == "stopping":
            threading.Timer(0.5, go_on.set).start()
            raise OperationalError("the database is away")
        real(*args, state=state, **values)

    with Sink(hook) as sink:
        activate(a_config(sink.port, timeout_s=60))
        with running():
            queued(1)
            assert reached.wait(10)
            monkeypatch.setattr(loop.instances, "beat", beat)
    assert Message.objects.get().state == "sent"
