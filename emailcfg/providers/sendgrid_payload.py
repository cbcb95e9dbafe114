"""The final bytes of a mail as the payload of SendGrid's v3 Mail Send, built by SendGrid's own helpers."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser

from sendgrid.helpers.mail import (
    Attachment,
    ClickTracking,
    Content,
    From,
    Header,
    MailSettings,
    OpenTracking,
    Personalization,
    ReplyTo,
    SandBoxMode,
    Subject,
    To,
    TrackingSettings,
)
from sendgrid.helpers.mail import Mail as Payload
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException

from emailcfg.providers.base import Mail

MAX_RECIPIENTS = 1000  # personalizations in one request (SendGrid, Mail Send, limitations)

# Parsing a mail and putting it together anew takes ten times its size for a moment. Large ones take turns, so that one
# session needs that at a time and not all of them; in one thread, for the allocator keeps what each thread once needed.
_LARGE = 100_000  # bytes; small ones do not wait
_large_ones = ThreadPoolExecutor(1, "large-mails")

# Fields of the payload have their own place; the rest is refused by the API or made by SendGrid itself.
_NOT_CUSTOM = frozenset(
    {"from", "to", "cc", "bcc", "subject", "reply-to", "content-type", "content-transfer-encoding", "mime-version"}
    | {"date", "received", "return-path", "dkim-signature", "x-sg-id", "x-sg-eid"}
)


class Unfit(ValueError):
    """The mail can't be expressed as a payload. `reason` is a word for machines, the text a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def body(mail: Mail, *, click_tracking: bool, sandbox: bool = False) -> bytes:
    """The payload of `mail` as the bytes of a request. Raises Unfit."""

    def made() -> bytes:
        document = payload(mail, click_tracking=click_tracking, sandbox=sandbox)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")

    return made() if len(mail.content) < _LARGE else _large_ones.submit(made).result()


def payload(mail: Mail, *, click_tracking: bool, sandbox: bool = False) -> dict[str, object]:
    """The JSON document for `mail`: one personalization per recipient of its envelope, so that none sees another.

    `sandbox` asks the API to check the form only. Raises Unfit."""
    if not mail.recipients:
        raise Unfit("no_recipients", "The mail has no recipients.")
    if len(mail.recipients) > MAX_RECIPIENTS:
        raise Unfit("too_many_recipients", f"SendGrid takes at most {MAX_RECIPIENTS} recipients for one mail.")
    message = BytesParser(EmailMessage, policy=policy.SMTP).parsebytes(mail.content)
    sender = _addresses(message, "From")
    if not sender:
        raise Unfit("bad_address", "The mail has no sender address.")
    made = Payload()
    made.from_email = From(sender[0].addr_spec, sender[0].display_name or None)
    made.subject = Subject(str(message.get("Subject", "")) or " ")  # the API refuses an empty one
    replies = _addresses(message, "Reply-To")
    if replies:
        made.reply_to = ReplyTo(replies[0].addr_spec, replies[0].display_name or None)
    names = {a.addr_spec.lower(): a.display_name for field in ("To", "Cc") for a in _addresses(message, field)}
    for place, address in enumerate(mail.recipients):
        personalization = Personalization()
        personalization.add_to(To(address, names.get(address.lower()) or None))
        made.add_personalization(personalization, index=place)
    for name, value in reversed(message.items()):  # the helper puts each in front
        if name.lower() not in _NOT_CUSTOM:
            made.add_header(Header(name, str(value)))
    _add_parts(made, message)
    made.tracking_settings = TrackingSettings(
        click_tracking=ClickTracking(enable=click_tracking, enable_text=False),
        open_tracking=OpenTracking(enable=False),
    )
    if sandbox:
        made.mail_settings = MailSettings(sandbox_mode=SandBoxMode(enable=True))
    document: dict[str, object] = made.get()
    return document


def _addresses(message: EmailMessage, field: str) -> tuple[Address, ...]:
    header = message.get(field)
    return tuple(getattr(header, "addresses", ()))


def _add_parts(made: Payload, message: EmailMessage) -> None:
    bodies: dict[str, str] = {}
    attached: list[Attachment] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html") and not part.is_attachment() and kind not in bodies:
            bodies[kind] = _text(part)
        else:
            attached.append(_attachment(part, len(attached) + 1))
    for kind in ("text/plain", "text/html"):
        if kind in bodies:
            try:
                made.add_content(Content(kind, bodies[kind] or " "))  # the API refuses an empty value
            except ApiKeyIncludedException:
                raise Unfit("api_key_in_content", "The mail contains what looks like a SendGrid API key.") from None
    if not bodies:
        made.add_content(Content("text/plain", " "))
    for attachment in reversed(attached):
        made.add_attachment(attachment)


def _bytes(part: EmailMessage) -> bytes:
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _text(part: EmailMessage) -> str:
    raw = _bytes(part)
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:  # a character set that Python does not know
        text = raw.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _attachment(part: EmailMessage, number: int) -> Attachment:
    content_id = str(part.get("Content-ID", "")).strip().strip("<>")
    return Attachment(
        file_content=base64.b64encode(_bytes(part)).decode(),
        file_name=part.get_filename() or f"attachment-{number}",
        file_type=part.get_content_type(),
        disposition="inline" if content_id and part.get_content_disposition() != "attachment" else "attachment",
        content_id=content_id or None,
    )
