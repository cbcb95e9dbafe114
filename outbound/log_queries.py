"""What only the pages of the log read: messages that need somebody, grouped by why, in a fixed number of queries."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from outbound.explained import Told, is_own, of_attempt, of_cause
from outbound.ids import first_id_at
from outbound.models import Attempt, Message, State

FAILED_FOR = timedelta(days=7)  # older failures are history, not something to act on
_GROUPED = 2_000  # the newest of each state
_SHOWN = 6
_STATES = (State.FAILED, State.PARTIAL, State.DEFERRED, State.IN_DOUBT, State.HELD)
_ENDED = (State.FAILED, State.PARTIAL)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Messages in one state for one cause. `oldest_id` and `newest_id` bound what was seen; `more`: there may be
    more of them than were counted; `told` explains the cause by the newest one's last attempt."""

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
    """The largest groups: three queries, each by index, whatever the size of the log."""
    oldest = first_id_at((now or timezone.now()) - FAILED_FOR)
    newest = " UNION ALL ".join(
        f"SELECT * FROM (SELECT id, state, cause FROM outbound_message WHERE state = '{state}' "  # noqa: S608
        f"AND id >= {oldest if state in _ENDED else 0} ORDER BY id DESC LIMIT {_GROUPED}) AS {state}_rows"
        for state in _STATES
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, cause, COUNT(*) AS number, MIN(id), MAX(id) "  # noqa: S608
            f"FROM ({newest}) AS newest GROUP BY state, cause ORDER BY number DESC LIMIT %s",
            [limit],
        )
        groups = cursor.fetchall()
    if not groups:
        return []
    since = dict(Message.objects.filter(pk__in=[group[3] for group in groups]).values_list("pk", "changed_at"))
    told = _told([group[4] for group in groups])
    return [
        Trouble(
            *(state, cause, number, number >= _GROUPED, first, last, since.get(first) or timezone.now()),
            of_cause(cause) if is_own(cause) and cause else told.get(last) or of_cause(cause),
        )
        for state, cause, number, first, last in groups
    ]


def _told(message_ids: list[int]) -> dict[int, Told]:
    newest = Attempt.objects.filter(message__in=message_ids).order_by().values("message").annotate(last=Max("pk"))
    rows = Attempt.objects.filter(pk__in=newest.values("last")).select_related("message")
    found = {row.message_id: of_attempt(row, recipient=row.message.first_recipient) for row in rows}
    return {pk: told for pk, told in found.items() if told is not None}
