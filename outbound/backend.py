"""A Django mail backend that hands mail to the outbound email service: one setting in the product that sends.

    EMAIL_BACKEND = "outbound.backend.EmailBackend"
    OUTBOUND_URL = "https://mail.internal:8443"
    OUTBOUND_TOKEN = "aat_..."

It needs this file and client.py. The service decides the sender: `from_email` is not used, and of the headers it takes
`X-...`, those of threads and lists, and an https List-Unsubscribe; another one is refused. A mail is queued durably
when `send_messages` returns; how its delivery went stands in the service's log."""

import base64
import email.message
import email.policy
import re
from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from outbound.client import Client, ServiceError, ServiceUnavailable

_UNSUBSCRIBE = frozenset(("list-unsubscribe", "list-unsubscribe-post"))
_OWN_HEADERS = frozenset(("from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "sender"))


class EmailBackend(BaseEmailBackend):
    """Raises outbound.client.ServiceError or ServiceUnavailable, unless `fail_silently`."""

    def __init__(self, fail_silently: bool = False, **options: Any) -> None:
        super().__init__(fail_silently=fail_silently)
        self._client: Client | None = None

    def open(self) -> bool:
        """Makes the client; it connects with the first mail. True when there was none."""
        if self._client is not None:
            return False
        theirs: Any = settings  # of the product that sends, not of this program
        self._client = Client(theirs.OUTBOUND_URL, token=theirs.OUTBOUND_TOKEN)
        return True

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many mails were accepted. One that is refused for what it holds stops no other: the first refusal is
        raised after the others were accepted."""
        wanted = [message for message in email_messages if message.recipients()]
        if not wanted:
            return 0
        opened = self.open()
        assert self._client is not None  # noqa: S101 - just opened
        try:
            outcomes = self._client.send_each([as_request(message) for message in wanted])
            refused = [one for one in outcomes if isinstance(one, ServiceError)]
            if refused and not self.fail_silently:
                raise _told(refused, len(outcomes))
            return len(outcomes) - len(refused)
        except (ServiceError, ServiceUnavailable):
            if not self.fail_silently:
                raise
            return 0
        finally:
            if opened:
                self.close()


def _told(refused: Sequence[ServiceError], total: int) -> ServiceError:
    """The first refusal; of several mails, with what became of the others."""
    first = refused[0]
    if total == 1:
        return first
    detail = f"{len(refused)} of {total} mails were refused, the others accepted."
    return ServiceError(first.status, first.code, detail, first.errors)


def as_request(message: EmailMessage) -> dict[str, Any]:
    """The mail in the form of the API's POST /messages."""
    unsubscribe_url = _unsubscribe_url(message.extra_headers)
    request: dict[str, Any] = {
        "to": [_recipient(one) for one in message.to],
        "cc": [_recipient(one) for one in message.cc],
        "bcc": [_recipient(one) for one in message.bcc],
        "list_unsubscribe_url": unsubscribe_url,
        "reply_to": [_recipient(one) for one in message.reply_to],
        "subject": " ".join(str(message.subject).split()),
        "attachments": [_attachment(one) for one in message.attachments],
        "headers": {
            name: str(value)
            for name, value in message.extra_headers.items()
            if name.lower() not in _OWN_HEADERS and not (name.lower() in _UNSUBSCRIBE and unsubscribe_url)
        },
    }
    request["html" if message.content_subtype == "html" else "text"] = str(message.body)
    if isinstance(message, EmailMultiAlternatives):
        for content, mimetype in message.alternatives:
            if mimetype == "text/html":
                request["html"] = str(content)
    return request


def _unsubscribe_url(headers: Mapping[str, Any]) -> str:
    """The https URL of a List-Unsubscribe header (RFC 2369), or ""; the service adds List-Unsubscribe-Post itself."""
    written = next((str(value) for name, value in headers.items() if name.lower() == "list-unsubscribe"), "")
    found = re.search(r"<(https://[^<>\s]+)>", written)
    return found.group(1) if found else ""


def _recipient(written: str) -> dict[str, str]:
    name, address = parseaddr(written)
    return {"email": address or written, "name": name}


def _attachment(given: Any) -> dict[str, str]:
    if isinstance(given, email.message.Message):
        content = given.get_payload(decode=True)
        raw = content if isinstance(content, bytes) else given.as_bytes(policy=email.policy.SMTP)
        return _file(given.get_filename() or "attachment", raw, given.get_content_type())
    filename, content, mimetype = given
    raw = content.encode() if isinstance(content, str) else bytes(content)
    return _file(filename or "attachment", raw, mimetype or "application/octet-stream")


def _file(filename: str, content: bytes, content_type: str) -> dict[str, str]:
    return {"filename": filename, "content_type": content_type, "content": base64.b64encode(content).decode("ascii")}
