"""One mail made ready for SMTP: what must be refused before a byte is sent, and the bytes that are sent."""

import re
from collections.abc import Mapping

from emailcfg.providers.base import ErrorClass, Failure, Mail, Stage

# More than any server must take in one transaction (RFC 5321 4.5.3.1.8), and few enough that the replies
# to a pipelined group never fill a window while it is still being sent (RFC 2920 3.1).
MAX_RECIPIENTS = 100

_BAD_IN_PATH = re.compile(r"[\x00-\x20<>\x7f-\x9f]")


def dot_stuffed(content: bytes) -> bytes:
    """`content` with each line that starts with a dot given a second one (RFC 5321 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _refused(stage: Stage, error_class: ErrorClass, reason: str, detail: str) -> Failure:
    return Failure(stage, error_class, reason, detail=detail)


def unfit(mail: Mail, offered: Mapping[str, str]) -> Failure | None:
    """Why `mail` can't be sent to a server that offers these EHLO keywords, or None. Permanent for this mail."""
    content = mail.content
    if not mail.recipients:
        return _refused(Stage.RECIPIENT, ErrorClass.MESSAGE_HARD, "no_recipients", "The mail has no recipients.")
    if _BAD_IN_PATH.search(mail.mail_from):
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "bad_address", "The sender address is malformed.")
    lines = content.count(b"\r\n")
    if content.count(b"\n") != lines or content.count(b"\r") != lines or not content.endswith(b"\r\n"):
        # RFC 5321 2.3.8; a bare line end is how one message is smuggled into another.
        detail = "The message has line ends other than CRLF."
        return _refused(Stage.DATA, ErrorClass.MESSAGE_HARD, "bare_line_end", detail)
    limit = offered.get("SIZE", "")
    if limit.isdecimal() and 0 < int(limit) < len(content):
        detail = f"The message has {len(content)} bytes; the server takes at most {int(limit)}."
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "too_big", detail)
    if not content.isascii() and "8BITMIME" not in offered:
        detail = "The message has 8-bit bytes; the server takes 7-bit only."
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "eightbit_needed", detail)
    if "SMTPUTF8" not in offered and (not mail.mail_from.isascii() or _utf8_headers(content)):
        return smtputf8_needed(Stage.SENDER, ErrorClass.MESSAGE_HARD)
    return None


def unfit_recipient(address: str, offered: Mapping[str, str]) -> Failure | None:
    """Why a single recipient can't be given to this server, or None. Permanent for this recipient."""
    if not address or _BAD_IN_PATH.search(address):
        return _refused(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD, "bad_address", "The address is malformed.")
    if not address.isascii() and "SMTPUTF8" not in offered:
        return smtputf8_needed(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD)
    return None


def smtputf8_needed(stage: Stage, error_class: ErrorClass) -> Failure:
    detail = "The address has characters that the server can't carry: it does not offer SMTPUTF8."
    return _refused(stage, error_class, "smtputf8_needed", detail)


def _utf8_headers(content: bytes) -> bool:
    return not content.isascii() and not content.partition(b"\r\n\r\n")[0].isascii()


def mail_command(mail: Mail, offered: Mapping[str, str]) -> bytes:
    """MAIL FROM with the parameters that the server offers and the mail needs (RFC 1870, 6152, 6531)."""
    parameters = f" SIZE={len(mail.content)}" if "SIZE" in offered else ""
    plain = mail.content.isascii()
    if not plain and "8BITMIME" in offered:
        parameters += " BODY=8BITMIME"
    if "SMTPUTF8" in offered and not (
        mail.mail_from.isascii()
        and all(map(str.isascii, mail.recipients))
        and (plain or not _utf8_headers(mail.content))
    ):
        parameters += " SMTPUTF8"
    return f"MAIL FROM:<{mail.mail_from}>{parameters}\r\n".encode()


def rcpt_command(address: str) -> bytes:
    return f"RCPT TO:<{address}>\r\n".encode()
