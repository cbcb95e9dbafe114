"""Through which pauses of the queue a message waited, told from the audit log: a pause writes nothing to a message."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from emailcfg.models import AuditEvent
from outbound.models import SENDABLE, Message, State

_BEGINS, _ENDS = "queue.paused", "queue.resumed"
_EVENTS = 100  # the newest; more pauses than that while one message waited are not told


@dataclass(frozen=True, slots=True)
class Pause:
    """`until` is None while it lasts."""

    since: datetime
    until: datetime | None
    by: str
    reason: str


def of_message(message: Message) -> tuple[Pause, ...]:
    """The pauses between the message's acceptance and its end, oldest first. One query."""
    waits = message.state in (*SENDABLE, State.SENDING)
    end = timezone.now() if waits else message.changed_at
    events = AuditEvent.objects.filter(action__in=(_BEGINS, _ENDS), at__lte=end).order_by("-pk")[:_EVENTS]
    found: list[Pause] = []
    begun: AuditEvent | None = None
    for event in reversed(events):
        if event.action == _BEGINS:
            begun = event
        elif begun is not None:
            found.append(_pause(begun, event.at))
            begun = None
    if begun is not None:
        found.append(_pause(begun, None if waits else end))
    return tuple(one for one in found if one.until is None or one.until > message.created_at)


def _pause(begun: AuditEvent, until: datetime | None) -> Pause:
    return Pause(begun.at, until, begun.actor_name, str(begun.detail.get("reason", "")))
