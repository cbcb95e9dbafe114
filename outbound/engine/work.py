"""A claimed message on its way, and what became of it: plain data between the loop and the lanes."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from emailcfg.providers.base import ErrorClass, Failure, Mail

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii
_SENT_LENGTH = 10


@dataclass(slots=True)
class Work:
    """One claimed message. `open` are the recipients who have not got it yet, as (position, address); `closed` the
    states of the others, of `recipient_count` in all. `was` is the state it was claimed from."""

    id: int
    was: str
    attempts: int
    doubts: int
    expires: datetime | str  # as the database gives it: few messages ever need it
    size: int = 0
    recipient_count: int = 0
    mail_from: str = ""
    content: bytes = b""
    shape: int = 0  # of the content: emailcfg.providers.shape
    open: list[tuple[int, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    diverted_to: str = ""
    suspect: bool = False  # it stood in several crashes

    @property
    def expires_at(self) -> datetime:
        """When soft errors become failures."""
        found = datetime.fromisoformat(self.expires) if isinstance(self.expires, str) else self.expires
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def mail(self) -> Mail:
        """What the provider delivers."""
        if self.diverted_to:
            return Mail(self.id, self.mail_from, (self.diverted_to,), self.content)
        if len(self.open) == 1:
            return Mail(self.id, self.mail_from, (self.open[0][1],), self.content, self.shape)
        return Mail(self.id, self.mail_from, tuple([address for _, address in self.open]), self.content, self.shape)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Under what an attempt ran: for the log."""

    revision: int | None
    generation: int | None
    server: str = ""
    tls: str = ""
    line: str = field(init=False, compare=False)  # the same as JSON, for the journal

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", _ENCODE((self.revision, self.generation, self.server, self.tls)))


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """The new state of one recipient and the answer it got."""

    position: int
    state: str
    code: int
    text: str


@dataclass(slots=True)
class Outcome:
    """What became of one claimed message. A message sent to all its recipients has `recipients` empty: they share
    `code`. `counted` is False when the attempt is not the message's own (the queue is held, not the message)."""

    id: int
    state: str
    at: float  # seconds since 1970
    stamp: Stamp
    doubts: int = 0
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    provider_id: str = ""
    note: str = ""
    ms: float = 0.0
    stage: str = ""
    error_class: str = ""
    reason: str = ""
    cause: str = ""
    due_at: datetime | None = None
    counted: bool = True
    recipients: tuple[RecipientOutcome, ...] = ()

    def line(self) -> str:
        """The outcome as one line of JSON, for the journal: short for the usual one."""
        stamp = self.stamp
        if self.state == "sent" and not self.recipients:
            # Whole numbers: to write a fraction exactly costs as much as all the rest.
            return (
                f"[{self.id},{int(self.at * 1000)},{self.doubts},{self.code},"
                f"{_quoted(self.enhanced)},{_quoted(self.reply)},{_quoted(self.provider_id)},{_quoted(self.note)},"
                f"{int(self.ms * 1000)},{stamp.line}]"
            )
        return _ENCODE(
            (
                *(self.id, self.state, self.at, self.doubts, self.code, self.enhanced, self.reply, self.provider_id),
                *(self.note, self.ms, self.stage, self.error_class, self.reason, self.cause),
                *(self.due_at and self.due_at.isoformat(), self.counted),
                [(r.position, r.state, r.code, r.text) for r in self.recipients],
                (stamp.revision, stamp.generation, stamp.server, stamp.tls),
            )
        )

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Raises ValueError or TypeError when the line was damaged."""
        found: list[Any] = json.loads(line)
        if len(found) == _SENT_LENGTH:
            pk, at_ms, *answer, us, stamp = found
            return cls(pk, "sent", at_ms / 1000, Stamp(*stamp), *[*answer, us / 1000])
        pk, state, at, *answer, due, counted, recipients, stamp = found
        due_at = datetime.fromisoformat(due) if due else None
        entries = tuple(RecipientOutcome(*entry) for entry in recipients)
        return cls(pk, state, at, Stamp(*stamp), *[*answer, due_at, counted, entries])


@dataclass(frozen=True, slots=True)
class Broken:
    """A session ended with a failure that was not yet told as the outcome of a message: `first` is the message that
    met it, if any, and `rest` were given to the session and not sent. `told` says that an outcome named the failure;
    `stale`, that a kept-open session was found closed, which says nothing about the server."""

    failure: Failure
    stamp: Stamp
    first: Work | None
    rest: tuple[Work, ...]
    told: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Tripped:
    """An outcome told a failure that concerns more than its message; `rest` are others of its sender, not sent."""

    failure: Failure
    stamp: Stamp
    sender: str
    rest: tuple[Work, ...] = ()


Event = Outcome | Broken | Tripped  # what lanes report

QUEUE_WIDE = frozenset((ErrorClass.CONFIGURATION, ErrorClass.SENDER, ErrorClass.RATE, ErrorClass.DEFECT))
