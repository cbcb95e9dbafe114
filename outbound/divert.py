"""Turns a composed mail to another recipient, for "divert all mail": on its final bytes, body untouched."""

import re
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from email.policy import default

from emailcfg import rules
from outbound.headers import MAX_TEXT, block, mailbox, text_line, unstructured

_FIELD = re.compile(rb"([!-9;-~]+):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def diverted(content: bytes, original: Sequence[str], divert_to: str) -> bytes:
    """The same mail for `divert_to` (a bare address): To is that address, Cc is gone, and the subject starts with
    whom the mail was for. `original` are the envelope's recipients, at least one.

    Every other header and the body stay byte for byte. Raises ValueError when the bytes are not a mail."""
    end = content.find(b"\r\n\r\n") + 2
    head, rest = content[:end], content[end:]
    found = [(match.group(1).decode("ascii"), match.group()) for match in _FIELD.finditer(head)]
    if end < 2 or b"".join(field for _, field in found) != head:
        raise ValueError("These bytes are not a mail with a header.")
    subject = str(BytesHeaderParser(policy=default).parsebytes(head)["Subject"] or "")
    fresh = {
        "to": block([("To", mailbox("", rules.ascii_address(divert_to)))]),
        "subject": block([("Subject", unstructured(_subject(subject, original)))]),
    }
    fields = [fresh.pop(name.lower(), field) for name, field in found if name.lower() != "cc"]
    return b"".join((*fresh.values(), *fields, rest))


def _subject(subject: str, original: Sequence[str]) -> str:
    more = f" and {len(original) - 1} more" if len(original) > 1 else ""
    mark = f"[for {original[0]}{more}]"
    try:
        return text_line(f"{mark} {subject}"[:MAX_TEXT])
    except rules.Refused:  # composed elsewhere, or not by this version: the recipient is named all the same
        return text_line(mark)
