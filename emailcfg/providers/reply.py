"""What servers say, treated as data: decoded, escaped, cut short, and freed of every secret that was sent."""

import base64
import quopri
import re
from urllib.parse import quote, quote_plus

MAX_TEXT = 1024  # characters of a server's words that are kept

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_ENOUGH = 10
_REMOVED = "[removed]"
_URL_SAFE = str.maketrans("+/", "-_")


class Redactor:
    """Replaces secrets in a text, in each form in which a server could echo them: plain, base64, the base64
    of SASL PLAIN's `\\0user\\0password` (RFC 4616), of `user:password` or of any other text around the secret,
    URL-encoded, quoted-printable and in hexadecimal. Its repr shows nothing."""

    __slots__ = ("_forms", "_pattern")

    def __init__(self, *secrets: str, user: str = "") -> None:
        forms: set[str] = set()
        for secret in filter(None, secrets):
            encoded = [secret.encode(), f"\0{user}\0{secret}".encode(), f"{user}\0{user}\0{secret}".encode()]
            encoded.append(f"{user}:{secret}".encode())
            base64s = [base64.b64encode(raw).decode() for raw in encoded]
            forms |= {secret, escaped(secret), quote(secret, safe=""), quote(secret), quote_plus(secret)}
            base64s += _within(secret.encode())
            base64s += [text.translate(_URL_SAFE) for text in base64s]
            forms |= {*base64s, *(text.rstrip("=") for text in base64s)}
            forms |= {quopri.encodestring(secret.encode(), quotetabs=True).decode(), secret.encode().hex()}
        ordered = sorted(forms, key=len, reverse=True)
        self._forms = tuple(form.lower() for form in ordered)
        self._pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        lowered = text.lower()
        if any(form in lowered for form in self._forms):
            return self._pattern.sub(_REMOVED, text)
        return text

    def __repr__(self) -> str:
        return "Redactor()"


def _within(secret: bytes) -> list[str]:
    """What base64 of any text that contains the secret has in common, for each of the three places where it can begin.
    Nothing of so few characters that innocent words would have them, too."""
    found = []
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret).decode().rstrip("=")
        found.append(coded[before + 1 if before else 0 : -1])  # the characters at the edges hold bits of what is around
    return [text for text in found if len(text) >= _ENOUGH]


NOTHING_SECRET = Redactor()


def escaped(text: str) -> str:
    """`text` with everything unprintable (control characters, line separators) as \\xNN or \\uNNNN."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else (f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}") for c in text)


def words(raw: bytes | str, redact: Redactor = NOTHING_SECRET) -> str:
    """A server's words as they may be stored and shown: printable, without secrets, at most 1 KB."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    text = redact(escaped(text))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def enhanced_code(text: str) -> str:
    """The enhanced status code (RFC 3463) that a reply's text starts with, or ""."""
    found = _ENHANCED.match(text)
    return found.group(1) if found else ""
