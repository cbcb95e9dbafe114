"""Composes a request to a mail's final bytes: what is checked here is what leaves.

`compose` is called when a request is accepted, so delivery is a copy of bytes and the Message-ID is fixed from
the start. It needs no database. What it costs is measured by `bench/compose.py`.

Live tokens (links and codes that grant something) must leave in the mail but not be shown in the log. The log has
only the final bytes, and storing the tokens beside them to know what to hide would double the secret. So compose
records *where* they are: `Composed.hidden` lists positions in the decoded subject, text and HTML, and a name for
each. `log_view` applies them. Positions tell nothing, are small, and go stale with nothing, as the bytes never change.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from django.utils.html import escape

from emailcfg import rules
from emailcfg.schema import General
from outbound import kinds, mime
from outbound.addresses import envelope_address
from outbound.headers import text_line
from outbound.log_view import Hidden
from outbound.rendering import Rendered, render
from outbound.requests import Attachment, BadRequest, Recipient, Request

MAX_RECIPIENTS = 100  # of one mail; what common relays take in one transaction
MAX_ATTACHED_BYTES = 10_000_000
EXTRA_HEADERS = frozenset(
    ("auto-submitted", "feedback-id", "importance", "in-reply-to", "list-id", "precedence", "references")
)

_EXTRA_NAME = re.compile(r"X-[A-Za-z0-9-]{1,70}", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*")


class UnusableSender(ValueError):
    """The configuration has no sender address, or one that a header can't carry. Says so in a sentence."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail ready to leave. `content` has CRLF line ends, is 7-bit clean and not dot-stuffed. `mail_from` and
    `recipients` are the envelope: bare, domains in ASCII, each recipient once. `hidden` is for `log_view`."""

    message_id: str
    subject: str
    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    hidden: tuple[Hidden, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of `content`."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class _Sender:
    mailbox: mime.Mailbox
    domain: str
    product: str
    reply_to_domain: str
    reply_to_email: str


def compose(request: Request, general: General, *, now: datetime | None = None) -> Composed:
    """The mail that a request asks for, from the sender in `general`. `now` becomes Date, in UTC.

    `divert_to` and `suppress_all` are applied at delivery, not here. Raises BadRequest (MissingContext,
    UnknownContext) for what is wrong with the request, UnusableSender for what is wrong with `general`."""
    kind = kinds.kind_named(request.kind)
    sender = _sender(general)
    wrong: dict[str, str] = {}
    to, cc, bcc = (
        _mailboxes(path, group, wrong) for path, group in (("to", request.to), ("cc", request.cc), ("bcc", request.bcc))
    )
    _check_count(request, wrong)
    extra = _extra(request.headers, wrong) if request.headers else ()
    attachments = _attachments(request.attachments, wrong) if request.attachments else ()
    reply_to = _reply_to(request.reply_to_token, sender, wrong)
    if kind.name == "raw":
        subject, text, html = _raw(request, wrong)
        unsubscribe_url, live = request.list_unsubscribe_url, {}
        if unsubscribe_url and not unsubscribe_url.startswith("https://"):
            wrong["list_unsubscribe_url"] = "Give an https URL; one-click unsubscribing (RFC 8058) needs it."
    else:
        values = {**kinds.checked(kind, request.context)}
        live = {value.name: values[value.name] for value in kind.values if value.live and values[value.name]}
        rendered = _rendered(request, kind, values, sender, general, wrong)
        subject, text, html = rendered.subject, rendered.text, rendered.html
        unsubscribe_url = values.get(kind.unsubscribe, "")
    if unsubscribe_url:
        _into(wrong, "list_unsubscribe_url", kinds.url, unsubscribe_url)
    if wrong:
        raise BadRequest(wrong)
    random = secrets.token_hex(28)
    message_id = f"<{random[:32]}@{sender.domain}>"
    letter = mime.Letter(
        message_id=message_id,
        date=_date(int(time.time() if now is None else now.timestamp())),
        sender=sender.mailbox,
        to=to,
        subject=subject,
        text=text,
        html=html,
        boundary="=_" + random[32:],
        cc=cc,
        reply_to=reply_to,
        unsubscribe_url=unsubscribe_url if unsubscribe_url.startswith("https://") else "",
        automatic=kind.automatic,
        extra=extra,
        attachments=attachments,
    )
    return Composed(
        message_id=message_id,
        subject=subject,
        mail_from=sender.mailbox.address,
        recipients=tuple(dict.fromkeys([box.address for box in (*to, *cc, *bcc)])),
        content=mime.build(letter),
        hidden=_hidden(live, letter, request.reply_to_token if sender.reply_to_domain else ""),
    )


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


def _into(wrong: dict[str, str], path: str, rule: Callable[[str], str], value: str) -> str:
    try:
        return rule(value)
    except rules.Refused as refused:
        wrong[path] = str(refused)
        return ""


def _mailboxes(path: str, group: tuple[Recipient, ...], wrong: dict[str, str]) -> tuple[mime.Mailbox, ...]:
    found = []
    for index, recipient in enumerate(group):
        try:
            address = envelope_address(recipient.email)
        except rules.Refused as refused:
            wrong[f"{path}.{index}.email"] = str(refused)
            continue
        name = _into(wrong, f"{path}.{index}.name", text_line, recipient.name) if recipient.name else ""
        found.append(mime.Mailbox(name, address))
    return tuple(found)


def _check_count(request: Request, wrong: dict[str, str]) -> None:
    if not request.to:
        wrong["to"] = "Name at least one recipient."
    elif len(request.to) + len(request.cc) + len(request.bcc) > MAX_RECIPIENTS:
        wrong["to"] = f"One mail has at most {MAX_RECIPIENTS} recipients. Send several."


def _reply_to(token: str, sender: _Sender, wrong: dict[str, str]) -> str:
    if token and sender.reply_to_domain:
        if len(token) > 64 or not _TOKEN.fullmatch(token):
            wrong["reply_to_token"] = "Use at most 64 letters, digits and the signs . _ + = - here."  # noqa: S105
        return f"{token}@{sender.reply_to_domain}"
    return sender.reply_to_email


def _raw(request: Request, wrong: dict[str, str]) -> tuple[str, str | None, str | None]:
    if request.context:
        wrong["context"] = "Raw mail takes no context; it takes a subject, and text or HTML."
    subject = _into(wrong, "subject", text_line, request.subject)
    if not subject:
        wrong.setdefault("subject", "Give a subject.")
    if not (request.text or request.html):
        wrong["text"] = "Give a text, or HTML, or both."
    return subject, _body("text", request.text, wrong), _body("html", request.html, wrong)


def _body(path: str, value: str | None, wrong: dict[str, str]) -> str | None:
    if not value:
        return None
    body = _into(wrong, path, kinds.body, value)
    return body if body.endswith("\n") else body + "\n"


def _rendered(
    request: Request,
    kind: kinds.Kind,
    values: Mapping[str, str],
    sender: _Sender,
    general: General,
    wrong: dict[str, str],
) -> Rendered:
    for path in ("subject", "text", "html", "headers", "list_unsubscribe_url"):
        if getattr(request, path):
            wrong[path] = "Only raw mail takes this; this kind is written from its context."
    rendered = render(kind, {**values, "product": sender.product, "support_email": general.support_email})
    return Rendered(_into(wrong, "context", text_line, rendered.subject), rendered.text, rendered.html)


def _extra(headers: tuple[tuple[str, str], ...], wrong: dict[str, str]) -> tuple[tuple[str, str], ...]:
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        if not _EXTRA_NAME.fullmatch(name) and name.lower() not in EXTRA_HEADERS:
            wrong["headers"] = "A header is not one that can be set. Use X-... or one of: " + ", ".join(
                sorted(EXTRA_HEADERS)
            )
        elif name.lower() in found:
            wrong[f"headers.{name}"] = "This header is given twice."
        else:
            text = _into(wrong, f"headers.{name}", text_line, value)
            if not text or not text.isascii() or "=?" in text:
                wrong.setdefault(f"headers.{name}", "Use plain ASCII text here.")
            found[name.lower()] = (name, text)
    return tuple(found.values())


def _attachments(attachments: tuple[Attachment, ...], wrong: dict[str, str]) -> tuple[Attachment, ...]:
    if sum(len(attachment.content) for attachment in attachments) > MAX_ATTACHED_BYTES:
        wrong["attachments"] = f"Attachments have at most {MAX_ATTACHED_BYTES // 1_000_000} MB in all."
    found = []
    for index, attachment in enumerate(attachments):
        name = _into(wrong, f"attachments.{index}.filename", text_line, attachment.filename)
        if not name or len(name) > 200 or "/" in name or "\\" in name:
            wrong.setdefault(f"attachments.{index}.filename", "Give a file name of at most 200 characters, no path.")
        if not mime.is_content_type(attachment.content_type):
            wrong[f"attachments.{index}.content_type"] = "Give a media type such as application/pdf."
        found.append(Attachment(name, attachment.content_type, attachment.content))
    return tuple(found)


def _hidden(live: Mapping[str, str], letter: mime.Letter, token: str) -> tuple[Hidden, ...]:
    found = [Hidden("reply_to", 0, len(token), "reply_to_token")] if token else []
    if not live:
        return tuple(found)
    longest_first = sorted(live.items(), key=lambda item: len(item[1]), reverse=True)
    for part, body in (("subject", letter.subject), ("text", letter.text or ""), ("html", letter.html or "")):
        taken: list[Hidden] = []
        for name, value in longest_first:
            for form in {value, str(escape(value))} if part == "html" else (value,):
                _find(part, body, name, form, taken)
        found += sorted(taken)
    return tuple(found)


def _find(part: str, body: str, name: str, value: str, taken: list[Hidden]) -> None:
    start = body.find(value)
    while start >= 0:
        end = start + len(value)
        if not any(span.start < end and start < span.end for span in taken):
            taken.append(Hidden(part, start, end, name))
        start = body.find(value, start + 1)


def sample_request(kind_name: str, to: Recipient) -> Request:
    """A request of this kind with sample data, for previews and test mail. Raises BadRequest for an unknown kind."""
    kind = kinds.kind_named(kind_name)
    if kind.name == "raw":
        return Request(
            kind="raw",
            to=(to,),
            subject="A message written by the product",
            text="Hello,\n\nthe product writes subject and bodies of this mail itself.\n",
            html="<p>Hello,</p>\n<p>the product writes subject and bodies of this mail itself.</p>\n",
        )
    return Request(kind=kind.name, to=(to,), context={value.name: value.sample for value in kind.values})
