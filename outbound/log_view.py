"""A composed mail read back from its final bytes: as the log may show it, without live tokens, and as it was sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple

from django.utils.html import escape

# A web address, with or without its scheme: what stands after the host may let whoever reads it in. Whoever hands over
# a mail chooses this text: a host without a scheme is tried once for each run of its characters, never within one, so
# that the time grows with the length of the text and no faster.
_HOST = r"(?<![a-z0-9.-])[a-z0-9.-]*[a-z0-9-]\.[a-z]{2,24}(?::[0-9]+)?"
_URL = re.compile(rf"((?:https?:)?//[^\s/?#\"'<>]+|{_HOST})[/?#][^\s\"'<>]*", re.I)
_MIME_FIELDS = ("subject", "mime-version", "content-type", "content-transfer-encoding")


class Hidden(NamedTuple):
    """Where a live token stands: characters `start` to `end` of the decoded `part` ("subject", "text", "html",
    "reply_to"), and what is said in its place. A plain tuple in JSON."""

    part: str
    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class LogView:
    """What may be shown of a mail. `text` and `html` are "" when the mail has no such body; `html` is what the
    sender wrote and belongs in a sandboxed frame. `headers` leaves out the subject and the fields of MIME."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[str, ...] = ()


def log_view(content: bytes, hidden: Iterable[Sequence[Any]] = ()) -> LogView:
    """Reads a mail's bytes and puts "(hidden: <name>)" where a live token stands.

    `hidden` is `Composed.hidden`, or the same as it comes back from JSON. Beyond that every web address is cut to its
    host: raw mail does not say which of its links are live. A code inside raw text can't be recognised and is shown."""
    spans = [Hidden(*span) for span in hidden]
    sent = as_sent(content)
    headers = [
        (name, _masked(value, spans, "reply_to") if name.lower() == "reply-to" else value)
        for name, value in sent.headers
    ]
    return LogView(
        subject=_without_paths(_masked(sent.subject, spans, "subject")),
        text=_without_paths(_masked(sent.text, spans, "text")),
        html=_without_paths(_masked(sent.html, spans, "html")),
        headers=tuple((name, _without_paths(value)) for name, value in headers),
        attachments=sent.attachments,
    )


def as_sent(content: bytes) -> LogView:
    """Reads a mail's bytes with everything in them, live tokens too: for previews of sample data, never for the log."""
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - the policy makes it so
    return LogView(
        subject=str(mail["Subject"] or ""),
        text=_body(mail, "plain"),
        html=_body(mail, "html"),
        headers=tuple((name, str(value)) for name, value in mail.items() if name.lower() not in _MIME_FIELDS),
        attachments=tuple(part.get_filename() or "" for part in mail.iter_attachments()),
    )


def find_hidden(live: Mapping[str, str], *, subject: str, text: str, html: str) -> list[Hidden]:
    """Where the live values (name to token) stand in a mail's texts; no two places overlap.

    The longest token is looked for first, so that a link which contains a code is hidden as a whole."""
    found: list[Hidden] = []
    longest_first = sorted(live.items(), key=lambda item: len(item[1]), reverse=True)
    for part, body in (("subject", subject), ("text", text), ("html", html)):
        taken: list[Hidden] = []
        for name, value in longest_first:
            for form in {value, str(escape(value))} if part == "html" else (value,):
                _find(part, body, name, form, taken)
        found += sorted(taken)
    return found


def _find(part: str, body: str, name: str, value: str, taken: list[Hidden]) -> None:
    start = body.find(value)
    while start >= 0:
        end = start + len(value)
        if not any(span.start < end and start < span.end for span in taken):
            taken.append(Hidden(part, start, end, name))
        start = body.find(value, start + 1)


def _body(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def _masked(body: str, spans: list[Hidden], part: str) -> str:
    for span in sorted((span for span in spans if span.part == part), reverse=True):
        body = f"{body[: span.start]}(hidden: {span.name}){body[span.end :]}"
    return body


def _without_paths(body: str) -> str:
    return _URL.sub(r"\1/(hidden)", body)
