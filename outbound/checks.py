"""The parts of a request that need no template: recipients, extra headers, attachments.

Each function returns what may go into the mail and files a sentence in `wrong` for each field that may not, so that
a product learns everything at once.
"""

import re
from collections.abc import Callable

from emailcfg import rules
from outbound import mime
from outbound.addresses import envelope_address
from outbound.headers import text_line
from outbound.requests import Attachment, Recipient, Request

MAX_RECIPIENTS = 100  # of one mail; what common relays take in one transaction
MAX_ATTACHED_BYTES = 10_000_000
EXTRA_HEADERS = frozenset(
    ("auto-submitted", "feedback-id", "importance", "in-reply-to", "list-id", "precedence", "references")
)

_MAX_EXTRA = 8_000  # characters of one extra header; References of a long thread
_MAX_WORD = 900  # characters that can't be folded
_EXTRA_NAME = re.compile(r"X-[A-Za-z0-9-]{1,70}", re.IGNORECASE)


def checked(wrong: dict[str, str], path: str, rule: Callable[[str], str], value: str) -> str:
    """What `rule` makes of a value, or "" with the reason filed under `path`."""
    try:
        return rule(value)
    except rules.Refused as refused:
        wrong[path] = str(refused)
        return ""


def mailboxes(path: str, group: tuple[Recipient, ...], wrong: dict[str, str]) -> tuple[mime.Mailbox, ...]:
    """The recipients of `path` ("to", "cc", "bcc") with their addresses in envelope form."""
    found = []
    for index, recipient in enumerate(group):
        try:
            address = envelope_address(recipient.email)
        except rules.Refused as refused:
            wrong[f"{path}.{index}.email"] = str(refused)
            continue
        name = checked(wrong, f"{path}.{index}.name", text_line, recipient.name) if recipient.name else ""
        found.append(mime.Mailbox(name, address))
    return tuple(found)


def check_count(request: Request, wrong: dict[str, str]) -> None:
    """Files a request without recipients, or with too many."""
    if not (request.to or request.cc or request.bcc):
        wrong["to"] = "Name at least one recipient."
    elif len(request.to) + len(request.cc) + len(request.bcc) > MAX_RECIPIENTS:
        wrong["to"] = f"One mail has at most {MAX_RECIPIENTS} recipients. Send several."


def extra_headers(headers: tuple[tuple[str, str], ...], wrong: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """The extra headers of raw mail: `X-...` and those of EXTRA_HEADERS, each once, in ASCII."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        if not _EXTRA_NAME.fullmatch(name) and name.lower() not in EXTRA_HEADERS:
            wrong["headers"] = "A header is not one that can be set. Use X-... or one of: " + ", ".join(
                sorted(EXTRA_HEADERS)
            )
        elif name.lower() in found:
            wrong[f"headers.{name}"] = "This header is given twice."
        else:
            text = checked(wrong, f"headers.{name}", _extra_value, value)
            found[name.lower()] = (name, text)
    return tuple(found.values())


def attachments(given: tuple[Attachment, ...], wrong: dict[str, str]) -> tuple[Attachment, ...]:
    """The attachments: a file name without a path, a media type, ten megabytes in all."""
    if sum(len(attachment.content) for attachment in given) > MAX_ATTACHED_BYTES:
        wrong["attachments"] = f"Attachments have at most {MAX_ATTACHED_BYTES // 1_000_000} MB in all."
    found = []
    for index, attachment in enumerate(given):
        name = checked(wrong, f"attachments.{index}.filename", text_line, attachment.filename)
        if not name or len(name) > 200 or "/" in name or "\\" in name:
            wrong.setdefault(f"attachments.{index}.filename", "Give a file name of at most 200 characters, no path.")
        if not mime.is_content_type(attachment.content_type):
            wrong[f"attachments.{index}.content_type"] = "Give a media type such as application/pdf."
        found.append(Attachment(name, attachment.content_type, attachment.content))
    return tuple(found)


def _extra_value(value: str) -> str:
    text = text_line(value, limit=_MAX_EXTRA)
    if not text or not text.isascii() or "=?" in text or max(map(len, text.split(" "))) > _MAX_WORD:
        raise rules.Refused(f"Use plain ASCII text here, with no word over {_MAX_WORD} characters.")
    return text
