"""What the pages, the API and the metrics read from the log. Each stays fast at a million messages.

Nothing counts the whole table: numbers are counted by index up to COUNT_LIMIT, pages go by key, and a search by
prefix first asks the index of the prefix, and walks the log only when that finds so much that the walk is short.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Exists, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.utils import timezone

from outbound.ids import first_id_at
from outbound.models import SENDABLE, Attempt, Breaker, Message, OutcomeCount, QueueState, Recipient, State

COUNT_LIMIT = 100_000
_FEW = 2_000  # matches of a prefix that are fetched and sorted; more, and the log is walked instead
_GROUPED = 50_000  # the newest messages of a state that are grouped by cause
TROUBLED = (State.FAILED, State.PARTIAL, State.DEFERRED, State.IN_DOUBT, State.HELD)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. `search` is an address, the beginning of an address or subject, a Message-ID or an id;
    `doubted`: only those of which a copy too many may exist."""

    state: str = ""
    kind: str = ""
    search: str = ""
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, newest first. `next_cursor` is the `before` of the next page, None at the end; `newest`: there are
    no newer ones."""

    messages: list[Message]
    next_cursor: int | None
    newest: bool = True


def page(wanted: Filter, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
    """One page of the log, by key: page 1,000 costs what page 1 does. `after` asks for the page of the next newer
    messages instead; where they don't fill it, it is the newest page."""
    if after is not None:
        found = list(_wanted(wanted, None).filter(pk__gt=after).order_by("id")[:limit])
        if len(found) == limit:
            return Page(found[::-1], found[0].pk, newest=False)
    rows = _wanted(wanted, before)
    found = list(rows[: limit + 1])
    return Page(found[:limit], found[limit - 1].pk if len(found) > limit else None, newest=before is None)


def _wanted(wanted: Filter, before: int | None) -> QuerySet[Message]:
    rows = Message.objects.order_by("-id")
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.kind and wanted.state not in ("", State.SENT):
        # All states but "sent" are rare: their index is the one to walk, so the kind is kept from using its own.
        rows = rows.filter(Exact(Coalesce("kind", Value("")), wanted.kind))
    elif wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.doubted:
        rows = rows.filter(doubts__gt=0)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    search = wanted.search.strip()
    return _matching(rows, search, before) if search else rows


def _matching(rows: QuerySet[Message], search: str, before: int | None) -> QuerySet[Message]:
    if search.isascii() and search.isdigit() and 15 <= len(search) <= 19:
        return rows.filter(pk=int(search))
    if search.startswith("<"):
        return rows.filter(message_id=search)
    key = search.casefold()
    by_recipient = Recipient.objects.filter(_prefix("address_key", key))
    ids = list(_older(by_recipient, "message_id", before).values_list("message_id", flat=True)[: _FEW + 1])
    anywhere = Q(Exists(by_recipient.filter(message=OuterRef("pk"))))
    if "@" in search:
        ids += Message.objects.filter(message_id=f"<{search}>").values_list("pk", flat=True)[:1]
    if "@" not in search or " " in search:
        by_subject = _prefix("subject_key", key[:60])
        ids += (
            _older(Message.objects.filter(by_subject), "pk", before).order_by().values_list("pk", flat=True)[: _FEW + 1]
        )
        anywhere |= by_subject
    if len(ids) <= _FEW:
        return rows.filter(pk__in=set(ids))
    return rows.filter(anywhere)


def _older(rows: QuerySet[Any], field: str, before: int | None) -> QuerySet[Any]:
    return rows.order_by() if before is None else rows.order_by().filter(**{f"{field}__lt": before})


def _prefix(field: str, text: str) -> Q:
    """Rows whose `field` begins with `text`, in the form that the index of this database serves."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + "\U0010ffff"})


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
    waiting = Message.objects.filter(due_at__isnull=False)
    return QueueNumbers(
        due=_count(waiting.filter(due_at__lte=now)),
        scheduled=_count(waiting.filter(state=State.QUEUED, due_at__gt=now)),
        sending=_count(Message.objects.filter(state=State.SENDING)),
        deferred=_count(Message.objects.filter(state=State.DEFERRED)),
        in_doubt=_count(Message.objects.filter(state=State.IN_DOUBT)),
        held=_count(Message.objects.filter(state=State.HELD)),
        failed=_count(recent.filter(state__in=(State.FAILED, State.PARTIAL))),
        oldest_due_at=_oldest_due(now),
    )


def _count(rows: QuerySet[Message]) -> Count:
    number = rows.order_by()[: COUNT_LIMIT + 1].count()
    return Count(min(number, COUNT_LIMIT), number > COUNT_LIMIT)


def _oldest_due(now: datetime) -> datetime | None:
    """Since when the message that waits longest could have left: one look into the index for each priority."""
    found = [
        Message.objects.filter(priority=priority, due_at__lte=now).aggregate(at=Min("due_at"))["at"]
        for priority in (0, 1, 2, 9)
    ]
    return min((at for at in found if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Messages that are not sent for one reason. `example` is what the server said to one of them."""

    state: str
    cause: str
    number: int
    oldest_id: int
    newest_id: int
    since: datetime
    example: str


def groups_by_cause(states: Iterable[str] = TROUBLED) -> list[CauseGroup]:
    """The newest messages of each state, grouped by why they are not sent; the largest group first."""
    groups: list[CauseGroup] = []
    for state in states:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT cause, COUNT(*), MIN(id), MAX(id) FROM (SELECT id, cause FROM outbound_message "
                "WHERE state = %s ORDER BY id DESC LIMIT %s) AS newest GROUP BY cause",
                [state, _GROUPED],
            )
            rows = cursor.fetchall()
        groups += [_group(state, *row) for row in rows]
    return sorted(groups, key=lambda group: -group.number)


def _group(state: str, cause: str, number: int, oldest: int, newest: int) -> CauseGroup:
    since = Message.objects.filter(pk=oldest).values_list("changed_at", flat=True).first() or timezone.now()
    last = Attempt.objects.filter(message=newest).order_by("-pk").first()
    return CauseGroup(state, cause, number, oldest, newest, since, last.reply if last is not None else "")


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


def open_breakers(generation: int) -> list[Breaker]:
    """What holds the queue under this generation; the one that holds all mail first."""
    return list(Breaker.objects.filter(generation=generation, is_open=True).order_by("sender"))


def is_waiting(message: Message) -> bool:
    """Whether the message is in the queue and will be tried without anybody's doing."""
    return message.state in SENDABLE and message.due_at is not None
