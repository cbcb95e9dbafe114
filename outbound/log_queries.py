"""What only the pages of the log read: messages that need somebody, grouped by why, in a fixed number of queries."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from outbound.explained import Told, is_own, of_attempt, of_cause
from outbound.ids import first_id_at
from outbound.models import Attempt, Message, State
from outbound.walk import Span, by_state_and_kind

FAILED_FOR = timedelta(days=7)  # older failures are history, not something to act on
_GROUPED = 2_000  # the newest of each state
_SHOWN = 6
_STATES = (State.FAILED, State.PARTIAL, State.DEFERRED, State.IN_DOUBT, State.HELD)
_ENDED = (State.FAILED, State.PARTIAL)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Messages in one state for one cause, within `oldest_id` and `newest_id`. `more`: there may be more of them than
    were counted, and older ones; `told` explains the cause by the newest one's last attempt."""

    state: str
    cause: str
    number: int
    more: bool
    oldest_id: int
    newest_id: int
    since: datetime
    told: Told

    @property
    def shown_number(self) -> str:
        return f"{self.number:,}+" if self.more else f"{self.number:,}"

    @property
    def since_shown(self) -> str:
        """The time, with the date where it was not today."""
        since, today = timezone.localtime(self.since), timezone.localdate()
        return f"{since:%H:%M}" if since.date() == today else f"{since:%d %b %H:%M}"

    @property
    def word(self) -> str:
        """The state within a sentence."""
        return {"in_doubt": "in doubt", "partial": "partly sent"}.get(self.state, self.state)


def troubles(now: datetime | None = None, *, limit: int = _SHOWN) -> list[Trouble]:
    """The largest groups: seven queries, each by index, whatever the size of the log."""
    week = first_id_at((now or timezone.now()) - FAILED_FOR)
    found = [group for state in _STATES for group in _groups(state, oldest=week if state in _ENDED else 0)]
    largest = sorted(found, key=lambda group: -group.number)[:limit]
    if not largest:
        return []
    firsts = [group.first for group in largest]
    since = dict(Message.objects.filter(pk__in=firsts).values_list("pk", "changed_at"))
    told = _told([group.last for group in largest])
    return [
        Trouble(
            state=one.state,
            cause=one.cause,
            number=one.number,
            more=one.more,
            oldest_id=one.oldest if one.more else one.first,
            newest_id=one.last,
            since=since.get(one.first) or timezone.now(),
            told=of_cause(one.cause) if is_own(one.cause) and one.cause else told.get(one.last) or of_cause(one.cause),
        )
        for one in largest
    ]


@dataclass(frozen=True, slots=True)
class _Group:
    """`first` and `last` are ids that were counted, `oldest` how far back there may be `more`."""

    state: str
    cause: str
    number: int
    first: int
    last: int
    more: bool
    oldest: int


def _groups(state: str, *, oldest: int) -> list[_Group]:
    newest = by_state_and_kind(states=(state,), span=Span(above=oldest - 1), limit=_GROUPED, columns="id, cause")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT cause, COUNT(*), MIN(id), MAX(id) FROM ({newest.sql}) AS newest GROUP BY cause",  # noqa: S608
            newest.params,
        )
        rows = cursor.fetchall()
    more = sum(row[1] for row in rows) >= _GROUPED
    return [_Group(state, cause, number, first, last, more, oldest) for cause, number, first, last in rows]


def told_of_cause(message: Message) -> Told:
    """Why this message is not sent: our own cause, or what its last attempt met."""
    own = of_cause(message.cause)
    return own if is_own(message.cause) else _told([message.pk]).get(message.pk) or own


def _told(message_ids: list[int]) -> dict[int, Told]:
    newest = Attempt.objects.filter(message__in=message_ids).order_by().values("message").annotate(last=Max("pk"))
    rows = Attempt.objects.filter(pk__in=newest.values("last")).select_related("message")
    found = {row.message_id: of_attempt(row, recipient=row.message.first_recipient) for row in rows}
    return {pk: told for pk, told in found.items() if told is not None}
