"""How long contents and records are kept."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from outbound import retention
from outbound.ids import first_id_at, moment_of
from outbound.models import Attempt, Message, MessageBody, QueueState, Recipient
from tests.outbound.making import queued

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active")]


def _aged(pk: int, days: int, state: str = "sent") -> int:
    """Makes a message look as if it had been accepted so many days ago; returns its new id."""
    message, body = Message.objects.get(pk=pk), MessageBody.objects.get(pk=pk)
    recipient = Recipient.objects.get(message=pk)
    Message.objects.filter(pk=pk).delete()
    message.pk = first_id_at(timezone.now() - timedelta(days=days)) + pk % 1000
    message.state, message.due_at = state, None if state == "sent" else timezone.now()
    message.save(force_insert=True)
    body.pk = recipient.message_id = message.pk
    body.save(force_insert=True)
    recipient.save(force_insert=True)
    Attempt.objects.create(message=message, at=timezone.now())
    return message.pk


def test_contents_go_after_14_days_and_records_after_90() -> None:
    fresh, weeks, months = (_aged(pk, days) for pk, days in zip(queued(3), (13, 15, 91), strict=True))
    assert retention.prune(timezone.now()) == (2, 1)
    assert list(Message.objects.order_by("-pk").values_list("pk", flat=True)) == [fresh, weeks]
    assert list(MessageBody.objects.values_list("pk", flat=True)) == [fresh]
    assert not Recipient.objects.filter(message=months).exists()
    assert not Attempt.objects.filter(message=months).exists()


def test_what_still_waits_is_kept_however_old_it_is() -> None:
    waiting = _aged(queued(1)[0], 200, state="deferred")
    assert retention.prune(timezone.now()) == (0, 0)
    assert MessageBody.objects.filter(pk=waiting).exists()


def test_the_daily_run_happens_once_a_day() -> None:
    now = timezone.now()
    assert retention.daily(now)
    assert not retention.daily(now + timedelta(hours=23))
    assert retention.daily(now + timedelta(hours=25))
    assert QueueState.objects.get().pruned_at == now + timedelta(hours=25)


def test_the_daily_run_does_a_little_at_a_time_and_is_over_once_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_SLICE", 1)
    monkeypatch.setattr(retention, "_AT_A_TIME", 2)
    for pk in queued(5):
        _aged(pk, 20)
    now, left = timezone.now(), []
    while retention.daily(now):
        left.append(MessageBody.objects.count())
        assert (QueueState.objects.get().pruned_at is None) is (len(left) < 3)
    assert left == [3, 1, 0]


def test_between_its_slices_the_command_rests_as_long_as_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_SLICE", 1)
    for pk in queued(3):
        _aged(pk, 20)
    rests: list[tuple[float, int]] = []
    monkeypatch.setattr(retention.time, "sleep", lambda seconds: rests.append((seconds, MessageBody.objects.count())))
    retention.prune(timezone.now())
    assert [left for _, left in rests] == [2, 1, 0]
    assert all(seconds > 0 for seconds, _ in rests)


def test_the_retention_can_be_set(settings: Any) -> None:
    settings.RETAIN_BODIES_DAYS, settings.RETAIN_RECORDS_DAYS = 2, 4
    for pk, days in zip(queued(3), (1, 3, 5), strict=True):
        _aged(pk, days)
    assert retention.prune(timezone.now()) == (2, 1)


def test_the_command_says_what_it_deleted() -> None:
    for pk, days in zip(queued(2), (15, 91), strict=True):
        _aged(pk, days)
    out = StringIO()
    call_command("prune", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"bodies": 2, "records": 1}


def test_an_id_tells_when_the_message_was_accepted() -> None:
    now = timezone.now()
    pk = queued(1)[0]
    assert abs(moment_of(pk) - now) < timedelta(seconds=5)
    assert first_id_at(now - timedelta(seconds=1)) < pk < first_id_at(now + timedelta(seconds=5))
