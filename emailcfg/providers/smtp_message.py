"""One mail made ready for SMTP: what must be refused before a byte is sent, and the bytes that are sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from emailcfg.providers import shape
from emailcfg.providers.base import ErrorClass, Failure, Mail, Stage

# More than any server must take in one transaction (RFC 5321 4.5.3.1.8), and few enough that the replies
# to a pipelined group never fill a window while it is still being sent (RFC 2920 3.1).
MAX_RECIPIENTS = 100

_BAD_IN_PATH = re.compile(r"[\x00-\x20<>\x7f-\x9f]")
_USUAL = shape.CRLF | shape.ASCII | shape.ASCII_HEADER  # fit for every server


def on_the_wire(mail: Mail) -> bytes:
    """The content of `mail` as it stands after DATA, but for the final dot."""
    return dot_stuffed(mail.content) if (mail.shape or shape.shape_of(mail.content)) & shape.DOTS else mail.content


def dot_stuffed(content: bytes) -> bytes:
    """`content` with each line that starts with a dot given a second one (RFC 5321 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _refused(stage: Stage, error_class: ErrorClass, reason: str, detail: str) -> Failure:
    return Failure(stage, error_class, reason, detail=detail)


@dataclass(frozen=True, slots=True)
class Offers:
    """What a server offers that decides which mail it can take. `max_size` is 0 when it names no limit."""

    pipelining: bool
    chunking: bool
    size: bool
    max_size: int
    eightbit: bool
    utf8: bool

    @classmethod
    def of(cls, keywords: Mapping[str, str]) -> Self:
        """From the keywords of its EHLO (RFC 1870, 2920, 3030, 6152, 6531)."""
        limit = keywords.get("SIZE", "")
        return cls(
            pipelining="PIPELINING" in keywords,
            chunking="CHUNKING" in keywords,
            size="SIZE" in keywords,
            max_size=int(limit) if limit.isdecimal() else 0,
            eightbit="8BITMIME" in keywords,
            utf8="SMTPUTF8" in keywords,
        )


def unfit(mail: Mail, offers: Offers) -> Failure | None:
    """Why `mail` can't be sent to a server that offers this, or None. Permanent for this mail."""
    form, size = mail.shape or shape.shape_of(mail.content), len(mail.content)
    if form & _USUAL == _USUAL and not 0 < offers.max_size < size and mail.recipients and _is_plain(mail.mail_from):
        return None
    if not mail.recipients:
        return _refused(Stage.RECIPIENT, ErrorClass.MESSAGE_HARD, "no_recipients", "The mail has no recipients.")
    if _BAD_IN_PATH.search(mail.mail_from):
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "bad_address", "The sender address is malformed.")
    if not form & shape.CRLF:
        # RFC 5321 2.3.8; a bare line end is how one message is smuggled into another.
        detail = "The message has line ends other than CRLF."
        return _refused(Stage.DATA, ErrorClass.MESSAGE_HARD, "bare_line_end", detail)
    if 0 < offers.max_size < size:
        detail = f"The message has {size} bytes; the server takes at most {offers.max_size}."
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "too_big", detail)
    if not form & shape.ASCII and not offers.eightbit:
        detail = "The message has 8-bit bytes; the server takes 7-bit only."
        return _refused(Stage.SENDER, ErrorClass.MESSAGE_HARD, "eightbit_needed", detail)
    if not offers.utf8 and not (form & shape.ASCII_HEADER and mail.mail_from.isascii()):
        return smtputf8_needed(Stage.SENDER, ErrorClass.MESSAGE_HARD)
    return None


@lru_cache(maxsize=64)
def _is_plain(sender: str) -> bool:
    """Whether every server can be given this sender: nearly all mail has the same."""
    return sender.isascii() and not _BAD_IN_PATH.search(sender)


def unfit_recipient(address: str, offers: Offers) -> Failure | None:
    """Why a single recipient can't be given to this server, or None. Permanent for this recipient."""
    if not address or _BAD_IN_PATH.search(address):
        return _refused(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD, "bad_address", "The address is malformed.")
    if not address.isascii() and not offers.utf8:
        return smtputf8_needed(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD)
    return None


def smtputf8_needed(stage: Stage, error_class: ErrorClass) -> Failure:
    detail = "The address has characters that the server can't carry: it does not offer SMTPUTF8."
    return _refused(stage, error_class, "smtputf8_needed", detail)


def mail_command(mail: Mail, offers: Offers) -> bytes:
    """MAIL FROM with the parameters that the server offers and the mail needs (RFC 1870, 6152, 6531)."""
    form = mail.shape or shape.shape_of(mail.content)
    parameters = f" SIZE={len(mail.content)}" if offers.size else ""
    if not form & shape.ASCII and offers.eightbit:
        parameters += " BODY=8BITMIME"
    if offers.utf8 and not (
        form & shape.ASCII_HEADER and mail.mail_from.isascii() and all(map(str.isascii, mail.recipients))
    ):
        parameters += " SMTPUTF8"
    return f"MAIL FROM:<{mail.mail_from}>{parameters}\r\n".encode()


def rcpt_command(address: str) -> bytes:
    return f"RCPT TO:<{address}>\r\n".encode()
