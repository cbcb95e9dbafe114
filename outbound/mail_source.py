"""A mail's source as the log may show it: its headers and texts in reading form, live tokens masked, files left out."""

from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from outbound.log_view import LogView

MAX_SHOWN = 200_000  # characters


def masked_source(content: bytes, view: LogView) -> str:
    """The structure of the mail with `view`'s masked texts in place of its own. Transfer encodings are undone, so
    it reads; it is not the bytes that left."""
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - the policy makes it so
    texts = {id(mail.get_body(("plain",))): view.text, id(mail.get_body(("html",))): view.html}
    lines = [*(f"{name}: {value}" for name, value in view.headers), f"Subject: {view.subject}", *_part(mail, texts)]
    source = "\n".join(lines)
    return source if len(source) <= MAX_SHOWN else source[:MAX_SHOWN] + "\n(cut here)"


def _part(part: EmailMessage, texts: dict[int, str]) -> Iterator[str]:
    for name, value in part.items():
        if name.lower().startswith("content-") or name.lower() == "mime-version":
            yield f"{name}: {value}"
    yield ""
    if part.is_multipart():
        boundary = part.get_boundary() or ""
        for child in part.iter_parts():
            if isinstance(child, EmailMessage):
                yield f"--{boundary}"
                yield from _part(child, texts)
        yield f"--{boundary}--"
    elif id(part) in texts:
        yield texts[id(part)].rstrip("\n")
        yield ""
    else:
        payload = part.get_payload(decode=True)
        yield f"({len(payload) if isinstance(payload, bytes) else 0:,} bytes, not shown)"
        yield ""
