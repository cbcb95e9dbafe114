"""Header fields of a mail as ASCII bytes: texts and mailboxes encoded (RFC 2047) and folded (RFC 5322).

Every function takes text that `text_line` has passed: no control characters, no encoded words, so that nothing
a person typed can start another header, before or after a mail program decodes it.
"""

import re
import textwrap
from binascii import b2a_base64
from functools import lru_cache

from emailcfg import rules

MAX_LINE = 998  # RFC 5322 section 2.1.1, without CRLF
MAX_TEXT = 998  # characters of a subject or name; more is no header but a body in the wrong place

_FOLD_AT = 76
# 39 bytes are 52 characters of base64; with "=?utf-8?b?", "?=" and "Subject: " the line stays within the 76
# characters that RFC 2047 section 2 allows.
_WORD_BYTES = 39
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)
_SPACES = re.compile(" {2,}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def text_line(value: str, *, limit: int = MAX_TEXT) -> str:
    """The text of a header as a reader is to see it: encoded words decoded, runs of spaces made one.

    Raises rules.Refused for control characters, also such as only decoding brings out, for encoded words
    inside encoded words, for half a character (a lone surrogate), and for more than `limit` characters."""
    rules.single_line(value)
    if "=?" in value:
        value = rules.decoded(value)  # free of control characters too, says single_line
        if _ENCODED_WORD.search(value):
            raise rules.Refused("This contains text encoded as for a mail header (=?...?=). Give the plain text.")
    if not value.isascii() and not encodable(value):
        raise rules.Refused("This contains half a character (a lone surrogate). Give complete Unicode text.")
    value = value.strip(" ")
    if "  " in value:
        value = _SPACES.sub(" ", value)
    if len(value) > limit:
        raise rules.Refused(f"This has {len(value)} characters. Use at most {limit}.")
    return value


def encodable(value: str) -> bool:
    """Whether a text has a UTF-8 form; a lone surrogate has none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def unstructured(text: str) -> str:
    """The value of a Subject: ASCII as it is, anything else as encoded words; folded."""
    if text.isascii() and "=?" not in text:
        if len(text) <= _FOLD_AT - len("Subject: "):
            return text
        words = textwrap.wrap(text, _FOLD_AT - len("Subject: "), break_long_words=False, break_on_hyphens=False)
        if max(map(len, words)) < _FOLD_AT:
            return "\r\n ".join(words)
    return _encoded_words(text)


def structured(name: str, value: str) -> str:
    """The value of a field whose words must stay as they are (References): folded between words, never encoded."""
    return value if len(name) + len(value) < _FOLD_AT else "\r\n ".join(value.split(" "))


@lru_cache(maxsize=1024)
def mailbox(name: str, address: str) -> str:
    """One mailbox for From or To: `Ana <ana@example.com>`, or the bare address when the name is empty.

    An address that is not ASCII has no place in a 7-bit header; it becomes an empty group that names it, the
    form of RFC 6857 section 3.1.8. The envelope still carries the address itself."""
    if not address.isascii():
        return f"{_encoded_words(f'{name} {address}'.strip())}:;"
    if not name:
        return address
    if not name.isascii() or "=?" in name or len(name) > _FOLD_AT:
        return f"{_encoded_words(name)}\r\n <{address}>"
    phrase = name if _ATOMS.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    separator = " " if len(phrase) + len(address) < _FOLD_AT - len("From:  <>") else "\r\n "
    return f"{phrase}{separator}<{address}>"


def block(fields: list[tuple[str, str]]) -> bytes:
    """The header fields as bytes, each line ended. Read back, they must be the fields that were set and no more, and
    no line may be over 998 characters; anything else is a defect here and raises ValueError."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("ascii")
    ends = lines.count(b"\r\n")
    folds = lines.count(b"\r\n ") + lines.count(b"\r\n\t")  # a line that begins so goes on with the field before it
    if not lines.count(b"\n") == lines.count(b"\r") == ends == len(fields) + folds:
        raise ValueError("A header does not read back as it was set.")
    if len(lines) > MAX_LINE and longest_line_over(lines, MAX_LINE):
        raise ValueError(f"A header line is longer than {MAX_LINE} characters.")
    return lines


def longest_line_over(lines: bytes, limit: int) -> bool:
    """Whether a line has more than `limit` bytes without its CRLF. All lines are ended, by CRLF."""
    at, end = 0, len(lines)
    while end - at > limit + 2:
        found = lines.rfind(b"\n", at, at + limit + 2)  # all lines up to there are short enough
        if found < 0:
            return True
        at = found + 1
    return False


def _encoded_words(text: str) -> str:
    data = text.encode()
    if len(data) <= _WORD_BYTES:
        return f"=?utf-8?b?{b2a_base64(data, newline=False).decode()}?="
    words, start = [], 0
    while start < len(data):
        end = min(start + _WORD_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # a character stays in one word (RFC 2047 section 5)
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode()}?=")
        start = end
    return "\r\n ".join(words)
