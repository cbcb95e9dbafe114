"""A message as its page shows it: what became of each recipient, each attempt with its explanation, the mail masked."""

import json
from dataclasses import dataclass

from django.utils import timezone

from emailcfg import activation
from outbound import instances, log_pages, messages, pauses, queries
from outbound.explained import Told, is_own, of_attempt, of_breaker, of_cause
from outbound.log_view import LogView, log_view
from outbound.mail_source import masked_source
from outbound.models import Attempt, Message, MessageBody, Recipient, State

_ON_ITS_WAY = (State.QUEUED, State.SENDING, State.DEFERRED, State.IN_DOUBT)
_ATTEMPTS = 100  # the newest; five days of trying make about forty


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt, and why it failed."""

    attempt: Attempt
    told: Told | None


@dataclass(frozen=True, slots=True)
class Held:
    """What holds the queue: `sender` is the one address whose mail waits, or "" when all does."""

    sender: str
    told: Told


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page of a message knows. `seen` changes with what the progress part shows."""

    message: Message
    recipients: tuple[Recipient, ...]
    attempts: tuple[Tried, ...]  # newest first
    body: MessageBody | None
    view: LogView | None
    pauses: tuple[pauses.Pause, ...]
    held: Held | None

    @property
    def seen(self) -> str:
        paused = len([one for one in self.pauses if one.until is None]) + 2 * len(self.pauses)
        waits = f"{self.is_due:d}{self.held is not None:d}"
        return f"{self.message.state}-{self.message.attempts}-{paused}-{waits}-{self.message.changed_at.timestamp()}"

    @property
    def on_its_way(self) -> bool:
        return self.message.state in _ON_ITS_WAY

    @property
    def waits(self) -> bool:
        return queries.is_waiting(self.message)

    @property
    def is_due(self) -> bool:
        return self.message.due_at is not None and self.message.due_at <= timezone.now()

    @property
    def can_retry(self) -> bool:
        """Whether a button does something: what is due and held has nothing to gain from it."""
        moves = self.message.state in messages.RETRYABLE and self.body is not None
        return moves and not (self.waits and self.is_due and self.held)

    @property
    def can_cancel(self) -> bool:
        return self.message.state in messages.CANCELLABLE

    @property
    def all_diverted(self) -> bool:
        """Whether nothing was ever reached but where all mail was diverted to: each acceptance was there, and
        no earlier try can have reached one of several recipients."""
        elsewhere = [one.attempt for one in self.attempts if not one.attempt.note]
        reached = [one for one in elsewhere if not one.reason or len(self.recipients) > 1]
        return bool(self.message.diverted) and not reached

    @property
    def own_cause(self) -> Told | None:
        """Why it is not sent, where no server said so."""
        return of_cause(self.message.cause) if self.message.cause and is_own(self.message.cause) else None

    @property
    def last_failure(self) -> str:
        """What it met last, in a few words; "" where it met nothing yet."""
        found = next((one.told.title for one in self.attempts if one.told is not None), "")
        return found or (of_cause(self.message.cause).title if self.message.cause else "")

    @property
    def source(self) -> str:
        return masked_source(bytes(self.body.content), self.view) if self.body is not None and self.view else ""


def shown(message: Message) -> Shown:
    """Reads all of it: five queries, and two more for what is in the queue."""
    log_pages.mark_diverted([message])
    body = MessageBody.objects.filter(message=message).first()
    recipients = tuple(message.recipients.all())
    sender = body.mail_from if body is not None else ""
    refused = next((one.address for one in recipients if one.state != State.SENT), message.first_recipient)
    newest = message.attempt_log.order_by("-pk")[:_ATTEMPTS]
    attempts = tuple(Tried(one, of_attempt(one, sender=sender, recipient=refused)) for one in newest)
    view = mail_of(body) if body is not None else None
    return Shown(message, recipients, attempts, body, view, pauses.of_message(message), _held(message, sender))


def _held(message: Message, sender: str) -> Held | None:
    if not queries.is_waiting(message):
        return None
    active = activation.current().generation
    breakers = queries.open_breakers(*instances.generations_in_use(active, instances.delivering()))
    found = next((one for one in breakers if one.sender in ("", sender)), None)
    return Held(found.sender, of_breaker(found)) if found is not None else None


def mail_of(body: MessageBody) -> LogView:
    """The mail without its live tokens."""
    return log_view(bytes(body.content), json.loads(body.hidden))
