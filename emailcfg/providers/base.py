"""The one seam between mail and the outside world: what a delivery service is given and what it answers.

Every provider delivers through a `Session`. A test send and real mail use the same session class; the
test only listens to more of it, through an observer that receives each `Step` as it ends. Nothing here
knows a database, a request or a queue.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from socket import socket
from typing import NamedTuple, Protocol


class Stage(StrEnum):
    """The steps of a delivery, in the order in which they happen. SendGrid uses `KEY` in place of the
    SMTP dialogue between `TLS` and `SENDER`, and asks for no recipient."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    EHLO = "ehlo"
    LOGIN = "login"
    KEY = "key"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"
    ACCEPTED = "accepted"


class ErrorClass(StrEnum):
    """What a failure is about, and so who has to wait. What follows from each is in docs/outbound.md."""

    CONFIGURATION = "configuration"  # credentials, TLS, DNS name: the queue is held, nothing fails
    SENDER = "sender"  # the sender address is refused: held like a configuration error
    RATE = "rate"  # a limit of the account or server: the whole queue waits
    HOST = "host"  # server unreachable or unwell: retried, the breaker counts
    RECIPIENT_SOFT = "recipient_soft"  # this recipient later
    RECIPIENT_HARD = "recipient_hard"  # this recipient failed for good
    MESSAGE_SOFT = "message_soft"  # this message later
    MESSAGE_HARD = "message_hard"  # this message failed for good
    IN_DOUBT = "in_doubt"  # sent, and no readable answer: it may have been accepted
    DEFECT = "defect"  # the provider calls our request malformed: our bug, held with an alarm


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer. `text` is what it said: decoded with replacement, control characters escaped,
    cut at 1 KB, free of secrets. `code` is the SMTP or HTTP status; `enhanced` as in RFC 3463, or ""."""

    code: int
    text: str
    enhanced: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a stage failed. `reason` is a stable lower-case word for machines (`name_not_found`,
    `connection_refused`, `certificate_expired`, `login_refused`, ...); `reply` is what the server said, if
    it said anything; `detail` is the raw local cause (an OpenSSL or socket text) when there is no reply."""

    stage: Stage
    error_class: ErrorClass
    reason: str
    reply: Reply | None = None
    detail: str = ""
    retry_after_s: float | None = None

    @property
    def words(self) -> str:
        """The raw words to show in small monospace: the server's own, else the local cause."""
        if self.reply is not None:
            return f"{self.reply.code} {self.reply.text}".strip()
        return self.detail


@dataclass(frozen=True, slots=True)
class Step:
    """One finished stage of a session. `ok` is None when the stage was not needed (no login configured).
    `detail` says in a few words what was learnt; `facts` holds the same for machines (JSON types only)."""

    stage: Stage
    ok: bool | None
    ms: float
    detail: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    reply: Reply | None = None
    failure: Failure | None = None


Observer = Callable[[Step], None]


Wait = Callable[[socket, bool, float], bool]
"""Waits until a socket can be read (with True: written), at most until a moment on time.monotonic's clock; says whether
it can. Whoever runs many sessions in one thread gives them one that lets the others go on meanwhile."""


def ignore_steps(step: Step) -> None:
    """The observer of real mail: nobody watches."""


class Mail(NamedTuple):
    """What a provider delivers: the envelope and the final bytes (CRLF line ends, not dot-stuffed, with a
    final CRLF). `id` is the caller's, opaque here. Addresses are bare (`a@example.com`), the domain in
    its ASCII form; a non-ASCII local part needs SMTPUTF8 (RFC 6531). `shape` is that of the content (providers.shape)
    where it is known, else 0."""

    id: int
    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    shape: int = 0


class RecipientResult(NamedTuple):
    """What the server said for one recipient: accepted when `failure` is None."""

    address: str
    reply: Reply | None
    failure: Failure | None = None


class Result(NamedTuple):
    """The outcome of one `Mail`.

    `recipients` holds one entry per recipient, in the order of the mail's. `failure` is set when the
    message as a whole did not get its final 2xx; a recipient's own failure stands in its entry and is the
    more exact of the two. A message was *sent* to a recipient when both are None. When every recipient was
    refused, `failure` and `reply` are None: the message itself was never judged. A recipient's failure may be
    of any class: `relay_denied` (configuration) is often said of a recipient. `provider_id` is the id the
    provider gave it (`X-Message-Id` of SendGrid, the queue id in an SMTP reply), "" when it gave none."""

    mail: Mail
    recipients: tuple[RecipientResult, ...]
    reply: Reply | None = None
    failure: Failure | None = None
    provider_id: str = ""
    ms: float = 0.0


class SessionError(Exception):
    """The session could not be made ready, or is unusable for further mail. Carries the `failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.stage}: {failure.reason}")
        self.failure = failure


class Session(Protocol):
    """A kept-open way to one provider, used by one thread at a time.

    `open` raises SessionError and reports each stage to the observer. `deliver` calls `before_data(mail)`
    immediately before the first byte that could make the server accept that mail, and `on_result` once for
    each mail as soon as its outcome is known (a mail refused without a byte sent may so overtake the one
    before it). It raises SessionError when the session broke, after having reported every mail that had
    entered DATA (in doubt where the reply is missing). Mails that were not reported were not sent and are
    free to retry. It also raises SessionError, with the same failure, after having reported a mail that failed
    for a reason that concerns all mail (classes configuration, rate, host, defect); mails that were already on
    their way behind that one are reported first. After a SessionError the session is closed and can be opened
    again. Mails may be drawn ahead from `mails`, so an iterable that waits delays those before; to stop early,
    let it end. `probe` goes as far as the recipient, without DATA,
    and raises SessionError when sender or recipient are refused."""

    server: str  # "smtp.example.com:587", for the log
    tls: str  # "TLSv1.3", or "" without TLS
    wait: Wait | None  # how an open session waits while it delivers; None when it can only block its thread

    def open(self, observer: Observer = ignore_steps) -> None: ...

    def deliver(
        self,
        mails: Iterable[Mail],
        *,
        before_data: Callable[[Mail], None],
        on_result: Callable[[Result], None],
        observer: Observer = ignore_steps,
    ) -> None: ...

    def probe(self, mail: Mail, observer: Observer = ignore_steps) -> None: ...

    def close(self) -> None: ...
