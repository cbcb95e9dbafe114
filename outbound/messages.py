"""What an administrator can do with messages: try again, cancel, send again elsewhere. Each is audited.

A verb locks the message and looks at its state first, so it never takes one away from a process that is sending it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from secrets import token_hex

from django.db import connection, transaction
from django.utils import timezone

from emailcfg import audit, rules
from emailcfg.actor import Actor
from emailcfg.providers.shape import shape_of
from outbound.addresses import envelope_address
from outbound.compose import Composed
from outbound.models import Message, MessageBody, Priority, Recipient, State
from outbound.requests import Request
from outbound.retry import GIVE_UP_AFTER
from outbound.submit import Accepted, Submission, enqueue
from outbound.walk import Span, by_state_and_kind

RETRYABLE = frozenset(
    (
        State.QUEUED,
        State.DEFERRED,
        State.FAILED,
        State.PARTIAL,
        State.IN_DOUBT,
        State.HELD,
        State.SUPPRESSED,
        State.CANCELLED,
    )
)
CANCELLABLE = frozenset((State.QUEUED, State.DEFERRED, State.IN_DOUBT, State.HELD))
_AT_ONCE = 500  # messages of a bulk verb in one transaction
AT_MOST = 20_000  # of one request: it has to be answered within seconds


class NotPossible(Exception):
    """The verb does not fit the message's state. The message is a sentence; `state` is the state."""

    def __init__(self, sentence: str, state: str) -> None:
        super().__init__(sentence)
        self.state = state


@transaction.atomic
def retry(message_id: int, *, actor: Actor) -> None:
    """Makes a message due now, for every recipient who did not get it. Raises NotPossible, Message.DoesNotExist."""
    message = Message.objects.select_for_update().get(pk=message_id)
    if message.state not in RETRYABLE:
        raise NotPossible(
            f"This message is {message.get_state_display().lower()}; it can't be tried again.", message.state
        )
    if not MessageBody.objects.filter(pk=message_id).exists():
        raise NotPossible("The content of this message was deleted after its retention time.", message.state)
    _make_due([message_id])
    audit.record("message.retried", actor=actor, subject=f"message {message_id}", was=message.state)


@transaction.atomic
def cancel(message_id: int, *, actor: Actor) -> None:
    """Takes a message out of the queue. Raises NotPossible, Message.DoesNotExist."""
    message = Message.objects.select_for_update().get(pk=message_id)
    if message.state not in CANCELLABLE:
        raise NotPossible(
            f"This message is {message.get_state_display().lower()}; it can't be cancelled.", message.state
        )
    _cancel([message_id])
    audit.record("message.cancelled", actor=actor, subject=f"message {message_id}", was=message.state)


def retry_group(*, state: str, cause: str, newest_id: int, actor: Actor, oldest_id: int = 0) -> int:
    """Makes all messages due now that are in this state for this cause, from `oldest_id` up to and including
    `newest_id` (what the administrator saw). Returns how many; from AT_MOST on there may be more. In slices, newest
    first, so that delivery goes on meanwhile."""
    return _in_bulk("messages.retried", _make_due, RETRYABLE, state, cause, (oldest_id, newest_id), actor)


def cancel_group(*, state: str, cause: str, newest_id: int, actor: Actor, oldest_id: int = 0) -> int:
    """Cancels all messages in this state for this cause within the same bounds. Returns as before."""
    return _in_bulk("messages.cancelled", _cancel, CANCELLABLE, state, cause, (oldest_id, newest_id), actor)


def _in_bulk(
    action: str,
    verb: Callable[[list[int]], None],
    allowed: frozenset[State],
    state: str,
    cause: str,
    bounds: tuple[int, int],
    actor: Actor,
) -> int:
    if state not in allowed:
        raise NotPossible("Messages in this state can't be changed so.", state)
    done, (oldest, newest) = 0, bounds
    span = Span(above=oldest - 1, below=newest + 1)
    while True:
        with transaction.atomic():
            walked = _next_of(state, cause, span)
            fit = Message.objects.select_for_update().filter(state=state, cause=cause, body__isnull=False)
            ids = list(fit.filter(pk__in=walked).order_by("pk").values_list("pk", flat=True))
            verb(ids)
            done += len(ids)
            if len(walked) < _AT_ONCE or done >= AT_MOST:
                audit.record(action, actor=actor, subject=f"{done} messages", was=state, cause=cause)
                return done
            span = Span(above=span.above, below=walked[-1])


def _next_of(state: str, cause: str, span: Span) -> list[int]:
    wanted = by_state_and_kind(states=(state,), span=span, limit=_AT_ONCE, where=("m.cause = %s",), params=(cause,))
    with connection.cursor() as cursor:
        cursor.execute(wanted.sql, wanted.params)
        return [row[0] for row in cursor.fetchall()]


def _make_due(ids: list[int]) -> None:
    now = timezone.now()
    Recipient.objects.filter(message__in=ids).exclude(state=State.SENT).update(state=State.QUEUED)
    rows = Message.objects.filter(pk__in=ids)
    rows.filter(priority=Priority.SUSPECT).update(priority=Priority.NORMAL)
    rows.update(
        state=State.QUEUED, cause="", due_at=now, expires_at=now + GIVE_UP_AFTER, changed_at=now, crashes=0, lease=None
    )


def _cancel(ids: list[int]) -> None:
    Recipient.objects.filter(message__in=ids).exclude(state__in=(State.SENT, State.FAILED)).update(
        state=State.CANCELLED
    )
    Message.objects.filter(pk__in=ids).update(
        state=State.CANCELLED, cause="cancelled", due_at=None, changed_at=timezone.now(), lease=None
    )


def send_again(message_id: int, *, to: str, actor: Actor) -> Accepted:
    """Queues the same mail for another address as a new message, marked as resent (RFC 5322 section 3.6.6).

    Raises rules.Refused for the address, NotPossible when the content is gone, Message.DoesNotExist."""
    message = Message.objects.get(pk=message_id)
    body = MessageBody.objects.filter(pk=message_id).first()
    if body is None:
        raise NotPossible("The content of this message was deleted after its retention time.", message.state)
    address = envelope_address(to)
    if not address.isascii():
        raise rules.Refused("Use an address with plain ASCII characters before the @ here.")
    fresh_id = f"<{token_hex(16)}@{body.mail_from.rpartition('@')[2]}>"
    resent = (
        f"Resent-Date: {format_datetime(datetime.now(UTC))}\r\nResent-From: <{body.mail_from}>\r\n"
        f"Resent-To: <{address}>\r\nResent-Message-ID: {fresh_id}\r\n"
    )
    content = resent.encode("ascii") + bytes(body.content)
    composed = Composed(
        message_id=fresh_id,
        subject=message.subject,
        mail_from=body.mail_from,
        recipients=(address,),
        content=content,
        shape=shape_of(content),
    )
    with transaction.atomic():
        accepted = enqueue(Submission(Request(kind=message.kind, to=())), composed)
        MessageBody.objects.filter(pk=accepted.id).update(hidden=body.hidden)
        audit.record(
            "message.sent_again", actor=actor, subject=f"message {message_id}", new=str(accepted.id), to=address
        )
    return accepted
