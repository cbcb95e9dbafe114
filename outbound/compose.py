"""Composes a request to a mail's final bytes: what is checked here is what leaves.

`compose` is called when a request is accepted, so delivery is a copy of bytes and the Message-ID is fixed from
the start. It needs no database. `bench/compose.py` measures it.

Live tokens (links and codes that grant something) must leave in the mail but not be shown in the log. The log has
only the final bytes, and storing the tokens beside them to know what to hide would double the secret. So compose
records *where* they are: `Composed.hidden` lists positions in the decoded subject, text and HTML, and a name for
each; `log_view` applies them. Positions tell nothing, are small, and stay true because the bytes never change.
"""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from emailcfg import rules
from emailcfg.schema import General
from outbound import kinds, mime
from outbound.addresses import envelope_address
from outbound.checks import attachments, check_count, checked, extra_headers, mailboxes
from outbound.headers import text_line
from outbound.log_view import Hidden, find_hidden
from outbound.rendering import render
from outbound.requests import BadRequest, Recipient, Request

_TOKEN = re.compile(r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*")
_RAW_ONLY = ("subject", "text", "html", "headers", "list_unsubscribe_url", "reply_to")


class UnusableSender(ValueError):
    """The configuration has no sender address, or one that a header can't carry. Says so in a sentence."""


@dataclass(slots=True)
class Composed:
    """A mail ready to leave. `content` has CRLF line ends, is 7-bit clean and not dot-stuffed; `shape` is the shape of
    it (emailcfg.providers.shape). `mail_from` and `recipients` are the envelope: bare, domains in ASCII, each
    recipient once. `hidden` is for `log_view`."""

    message_id: str
    subject: str
    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    shape: int
    hidden: tuple[Hidden, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of `content`."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class _Sender:
    """What `General` means for a header: names checked, domains in ASCII."""

    mailbox: mime.Mailbox
    domain: str
    product: str
    reply_to_domain: str
    reply_to_email: str


@dataclass(slots=True)
class _Words:
    """What a mail says, by whichever way it came about. `live` holds the tokens by name."""

    subject: str
    text: str | None
    html: str | None
    unsubscribe_url: str
    live: Mapping[str, str] = field(default_factory=dict)


def compose(request: Request, general: General, *, now: datetime | None = None) -> Composed:
    """The mail that a request asks for, from the sender in `general`. `now` becomes Date, in UTC.

    `divert_to` and `suppress_all` are applied at delivery, not here. Raises BadRequest (MissingContext,
    UnknownContext) for what is wrong with the request, UnusableSender for what is wrong with `general`."""
    kind = kinds.kind_named(request.kind)
    sender = _sender(general)
    wrong: dict[str, str] = {}
    check_count(request, wrong)
    to = mailboxes("to", request.to, wrong)
    cc = mailboxes("cc", request.cc, wrong) if request.cc else ()
    bcc = mailboxes("bcc", request.bcc, wrong) if request.bcc else ()
    words = _raw(request, wrong) if kind.name == "raw" else _written(request, kind, sender, general, wrong)
    reply_to = _reply_to(request, sender, wrong)
    extra = extra_headers(request.headers, wrong) if request.headers else ()
    files = attachments(request.attachments, wrong) if request.attachments else ()
    if wrong:
        raise BadRequest(wrong)
    random = secrets.token_hex(28)
    letter = mime.Letter(
        message_id=f"<{random[:32]}@{sender.domain}>",
        date=_date(int(time.time() if now is None else now.timestamp())),
        sender=sender.mailbox,
        to=to,
        subject=words.subject,
        text=words.text,
        html=words.html,
        boundary="=_" + random[32:],
        cc=cc,
        reply_to=reply_to,
        unsubscribe_url=words.unsubscribe_url if words.unsubscribe_url.startswith("https://") else "",
        automatic=kind.automatic,
        extra=extra,
        attachments=files,
    )
    try:
        content = mime.build(letter)
    except mime.Unbuildable as error:  # such as a file name that the standard library writes and reads differently
        raise BadRequest({"attachments": f"{error} Use plainer file names."}) from error
    return Composed(
        message_id=letter.message_id,
        subject=letter.subject,
        mail_from=sender.mailbox.address,
        recipients=tuple(dict.fromkeys([box.address for box in (*to, *cc, *bcc)])),
        content=content,
        shape=mime.shape(letter, content),
        hidden=_hidden(words, request.reply_to_token if sender.reply_to_domain else ""),
    )


def sample_request(kind_name: str, to: Recipient) -> Request:
    """A request of this kind with sample data, for previews and test mail. Raises BadRequest for an unknown kind."""
    kind = kinds.kind_named(kind_name)
    if kind.name == "raw":
        return Request(
            kind="raw",
            to=(to,),
            subject="A message written by the product",
            text="Hello,\n\nThe product writes the subject and the bodies of this mail itself.\n",
            html="<p>Hello,</p>\n<p>The product writes the subject and the bodies of this mail itself.</p>\n",
        )
    return Request(kind=kind.name, to=(to,), context={value.name: value.sample for value in kind.values})


@lru_cache(maxsize=16)
def _sender(general: General) -> _Sender:
    if not general.sender_email:
        raise UnusableSender("The configuration has no sender address. Enter one under General.")
    try:
        address = envelope_address(general.sender_email)
        reply_to_email = envelope_address(general.reply_to_email) if general.reply_to_email else ""
        name = text_line(general.sender_name)
        reply_to_domain = rules.ascii_host(general.reply_to_domain)
    except rules.Refused as refused:
        raise UnusableSender(str(refused)) from refused
    if not address.isascii() or not reply_to_email.isascii():
        raise UnusableSender("The sender and reply-to addresses need plain ASCII characters before the @.")
    domain = address.rpartition("@")[2]
    return _Sender(mime.Mailbox(name, address), domain, name or domain, reply_to_domain, reply_to_email)


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _reply_to(request: Request, sender: _Sender, wrong: dict[str, str]) -> tuple[mime.Mailbox, ...]:
    token = request.reply_to_token
    if token and (len(token) > 64 or not _TOKEN.fullmatch(token)):
        wrong["reply_to_token"] = "Use at most 64 letters, digits and the signs . _ + = - here."  # noqa: S105
    if token and request.reply_to:
        wrong["reply_to"] = "Give a token or addresses for replies, not both."
    if request.reply_to:
        boxes = mailboxes("reply_to", request.reply_to, wrong)
        if not all(box.address.isascii() for box in boxes):
            wrong["reply_to"] = "An address for replies needs plain ASCII characters before the @."
        return boxes
    address = f"{token}@{sender.reply_to_domain}" if token and sender.reply_to_domain else sender.reply_to_email
    return (mime.Mailbox("", address),) if address else ()


def _raw(request: Request, wrong: dict[str, str]) -> _Words:
    if request.context:
        wrong["context"] = "Raw mail takes no context; it takes a subject, and text or HTML."
    subject = checked(wrong, "subject", text_line, request.subject or "")
    if request.subject is None:  # forgotten; that it is empty has to be said
        wrong["subject"] = "Give a subject. It may be empty."
    if request.text is None and request.html is None:
        wrong["text"] = "Give a text, or HTML, or both. Either may be empty."
    url = request.list_unsubscribe_url
    if url and checked(wrong, "list_unsubscribe_url", kinds.url, url) and not url.startswith("https://"):
        wrong["list_unsubscribe_url"] = "Give an https URL; one-click unsubscribing (RFC 8058) needs it."
    text, html = _body("text", request.text, wrong), _body("html", request.html, wrong)
    return _Words(subject, "\n" if text is None and html is None else text, html, url)


def _body(path: str, value: str | None, wrong: dict[str, str]) -> str | None:
    """A body as it leaves; None for an empty one, which the other one replaces."""
    if not value:
        return None
    body = checked(wrong, path, kinds.body, value)
    return body if body.endswith("\n") else body + "\n"


def _written(request: Request, kind: kinds.Kind, sender: _Sender, general: General, wrong: dict[str, str]) -> _Words:
    for path in _RAW_ONLY:
        if getattr(request, path):
            wrong[path] = "Only raw mail takes this; this kind is written from its context."
    values = kinds.checked(kind, request.context)
    rendered = render(kind, {**values, "product": sender.product, "support_email": general.support_email})
    return _Words(
        subject=checked(wrong, "context", text_line, rendered.subject),
        text=rendered.text,
        html=rendered.html,
        unsubscribe_url=values.get(kind.unsubscribe, ""),
        live={value.name: values[value.name] for value in kind.values if value.live and values[value.name]},
    )


def _hidden(words: _Words, reply_to_token: str) -> tuple[Hidden, ...]:
    found = [Hidden("reply_to", 0, len(reply_to_token), "reply_to_token")] if reply_to_token else []
    if words.live:
        found += find_hidden(words.live, subject=words.subject, text=words.text or "", html=words.html or "")
    return tuple(found)
