"""Log lines that can't be forged and hold no secret: control characters escaped, credentials replaced."""

import logging
import re

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_SECRETS = (
    re.compile(r"SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    re.compile(r"(?<=aat_)[A-Za-z0-9_-]{8,}"),
    re.compile(r"(?i)(?<=authorization: )\S+ \S+"),
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=auth plain )\S+"),
    re.compile(r"(?i)(?<=password=)[^\s&,)]+"),
    re.compile(r"(?i)(?<=token=)[^\s&,)]+"),
    re.compile(r"(?<=/received/)[^/\s]+"),  # the links of test mails and of confirmations hold a token
    re.compile(r"(?<=/configuration/confirm/)[^/\s]+"),
    re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"),
)


def redact(text: str) -> str:
    """Replaces what has the form of a credential. The code that knows a secret replaces it itself before logging;
    this catches what a library writes."""
    for pattern in _SECRETS:
        text = pattern.sub("[redacted]", text)
    return text


class OneLineFormatter(logging.Formatter):
    """Escapes every control character of the message, so that a line in the log is a line we wrote. The lines of a
    traceback are kept apart by an escaped line break too."""

    def format(self, record: logging.LogRecord) -> str:
        return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", redact(super().format(record)))


class RedactingFilter(logging.Filter):
    """Replaces credentials in the message and its arguments before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        return True


class NoProbes(logging.Filter):
    """Drops what Django says of `/readyz` answering 503: a monitor asks every few seconds and gets the reasons."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(getattr(record, "request", None), "path", None) != "/readyz"
