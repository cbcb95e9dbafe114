"""The queue in numbers, and what holds it: what Status, the API and the metrics read. Nothing counts a whole table;
numbers are counted by index, up to COUNT_LIMIT.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min, QuerySet
from django.utils import timezone

from outbound.ids import first_id_at
from outbound.kinds import KINDS
from outbound.models import SENDABLE, Breaker, Message, OutcomeCount, Priority, QueueState, State

COUNT_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Count:
    """A number of messages; `more` says that counting stopped there."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}+" if self.more else f"{self.number:,}"


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """The queue in numbers. `due`: may leave now. `scheduled`: waits for its first time (not_before)."""

    due: Count
    scheduled: Count
    sending: Count
    deferred: Count
    in_doubt: Count
    held: Count
    failed: Count
    oldest_due_at: datetime | None


def queue_numbers(now: datetime | None = None) -> QueueNumbers:
    """Counts by index, each at most COUNT_LIMIT rows. `failed` counts those of the last 24 hours."""
    now = now or timezone.now()
    recent = Message.objects.filter(pk__gte=first_id_at(now - timedelta(days=1)))
    waiting = Message.objects.filter(priority__in=Priority.values)  # all of them: so the index gives the time alone
    return QueueNumbers(
        due=_count(waiting.filter(due_at__lte=now)),
        scheduled=_count(waiting.filter(state=State.QUEUED, due_at__gt=now)),
        sending=_count(Message.objects.filter(state=State.SENDING)),
        deferred=_count(Message.objects.filter(state=State.DEFERRED)),
        in_doubt=_count(Message.objects.filter(state=State.IN_DOUBT)),
        held=_count(Message.objects.filter(state=State.HELD)),
        failed=_count(recent.filter(state__in=(State.FAILED, State.PARTIAL), kind__in=KINDS)),
        oldest_due_at=_oldest_due(now),
    )


def _count(rows: QuerySet[Message]) -> Count:
    number = rows.order_by()[: COUNT_LIMIT + 1].count()
    return Count(min(number, COUNT_LIMIT), number > COUNT_LIMIT)


def _oldest_due(now: datetime) -> datetime | None:
    """Since when the message that waits longest could have left: one look into the index for each priority."""
    found = [
        Message.objects.filter(priority=priority, due_at__lte=now).aggregate(at=Min("due_at"))["at"]
        for priority in Priority.values
    ]
    return min((at for at in found if at is not None), default=None)


def outcomes_by_hour(now: datetime | None = None, hours: int = 24) -> list[tuple[datetime, dict[str, int]]]:
    """What happened in each of the last hours, oldest first: {"sent": 12, "deferred": 1, ...}."""
    now = now or timezone.now()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    found: dict[datetime, dict[str, int]] = {first + timedelta(hours=n): {} for n in range(hours)}
    for slot, outcome, count in OutcomeCount.objects.filter(slot__gte=first).values_list("slot", "outcome", "count"):
        hour = found.get(slot.replace(minute=0, second=0, microsecond=0))
        if hour is not None:
            hour[outcome] = hour.get(outcome, 0) + count
    return sorted(found.items())


def queue_state() -> QueueState:
    """Whether the queue is paused, by whom and why."""
    return QueueState.objects.filter(singleton=1).first() or QueueState()


def open_breakers(*generations: int) -> list[Breaker]:
    """What holds the queue under these generations; what holds all mail first."""
    return list(Breaker.objects.filter(generation__in=generations, is_open=True).order_by("sender"))


def is_waiting(message: Message) -> bool:
    """Whether the message is in the queue and will be tried without anybody's doing."""
    return message.state in SENDABLE and message.due_at is not None
