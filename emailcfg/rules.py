"""What a single value of the configuration may be: each rule returns the normal form or refuses in a sentence."""

import ipaddress
import re
import unicodedata
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.headerregistry import Address

import idna


class Refused(ValueError):
    """A value that the configuration can't hold. The message is a sentence for the person who typed it."""


MAX_CREDENTIAL = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)
_HOST_LABEL = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(?<!-)$")
_LOCAL_PART = re.compile(r"^[^\s@<>()\[\],;:\\\"\x00-\x20\x7f]+$")
_SENDGRID_KEY = re.compile(r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}")


def single_line(value: str) -> str:
    """Refuses control characters, also such as appear only when an encoded word (RFC 2047) is decoded:
    a mail program would decode it, and a line break in a header starts another header."""
    plain = decoded(value)
    for text in (value, plain):
        found = _CONTROL.search(text)
        if found:
            name = "a line break" if found.group() in "\r\n" else f"the control character U+{ord(found.group()):04X}"
            raise Refused(f"This must be a single line of text, but it contains {name}. Remove it.")
    if _ENCODED_WORD.search(plain):
        raise Refused("This contains text encoded as for a mail header (=?…?=). Enter the plain text.")
    return value


def decoded(value: str) -> str:
    """A header text as a mail program shows it: its encoded words (RFC 2047) decoded."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return value


def address(value: str) -> str:
    """One bare email address, its domain in lower case; "" stays "" (a field that is not used)."""
    if not value:
        return value
    local, at, domain_part = value.rpartition("@")
    if not at or not local or not domain_part:
        lacks = f"part {'before' if at and not local else 'after'} the @" if at else "@"
        raise Refused(f"Enter a full email address such as name@example.com; “{_cut(value)}” has no {lacks}.")
    if "<" in value or ">" in value or "," in value or ";" in value:
        raise Refused("Enter one bare address such as name@example.com, without a name, brackets or a second address.")
    if not _LOCAL_PART.match(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise Refused(f"The part before the @ contains {_first_odd(local)}, which an email address can't hold.")
    if "=?" in local:
        raise Refused("The part before the @ contains “=?”, which mail programs take for encoded text.")
    if len(local.encode()) > 64:
        raise Refused("The part before the @ is longer than the 64 characters an email address may have there.")
    normal = f"{local}@{domain(domain_part)}"
    try:
        Address(addr_spec=normal) if normal.isascii() else None
    except (HeaderParseError, ValueError, IndexError):
        raise Refused("This is not an email address. Enter one such as name@example.com.") from None
    return normal


def sender_address(value: str) -> str:
    """An address that mail comes from or replies go to: it stands in a header of every mail, where only an ASCII
    local part reaches every server (SMTPUTF8, RFC 6531, is optional)."""
    local = value.rpartition("@")[0]
    if not local.isascii():
        odd = next(character for character in local if not character.isascii())
        raise Refused(
            f"The part before the @ contains “{odd}”. Many servers refuse such a sender; use an address with plain "
            "letters there."
        )
    return value


def domain(value: str) -> str:
    """A domain name of at least two labels in lower case, without the trailing dot; "" stays ""."""
    refusal = Refused(f"Enter a full domain such as example.com; “{_cut(value)}” is not one.")
    try:
        name = host(value)
    except Refused:
        raise refusal from None  # a host's sentence would send whoever enters a domain to an SMTP server's name
    if name and ("." not in name or _ip(name) is not None):
        raise refusal
    return name


def host(value: str) -> str:
    """A host name or IP address in lower case, without the trailing dot; "" stays "". International names
    stay readable and must have an ASCII form (IDNA 2008, RFC 5891)."""
    if not value:
        return value
    name = value.strip("[]").rstrip(".").lower()
    literal = _ip(name)
    if literal is not None:
        return str(literal)
    if re.fullmatch(r"[0-9.]+", name):
        raise Refused(f"“{_cut(value)}” looks like an IP address but is not a complete one.")
    ascii_name = ascii_host(name)
    if len(ascii_name) > 253 or not all(_HOST_LABEL.match(label) for label in ascii_name.split(".")):
        raise Refused(f"A host name can't contain {_first_odd_host(name)}. Enter a name such as smtp.example.com.")
    return name


def ascii_host(name: str) -> str:
    """The form of a host name that DNS and TLS use (`bücher.example` is `xn--bcher-kva.example`).

    Raises Refused when the name has no such form."""
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise Refused(
            f"A host name can't contain {_first_odd_host(name)}. Enter a name such as smtp.example.com."
        ) from None


def ascii_address(value: str) -> str:
    """The envelope form of an address: its domain in ASCII; a non-ASCII local part is left as it is."""
    local, _, domain_part = value.rpartition("@")
    return f"{local}@{ascii_host(domain_part)}"


def credential(value: str) -> str:
    """A user name or password: any characters but NUL, CR and LF, which SASL PLAIN (RFC 4616) and the SMTP
    dialogue can't carry, and half characters (lone surrogates), which have no UTF-8 form. Spaces and umlauts
    stay. Servers bound the line it travels in (RFC 4954, section 4)."""
    if len(value) > MAX_CREDENTIAL:
        raise Refused(f"This has {len(value)} characters. Use at most {MAX_CREDENTIAL}.")
    for position, character in enumerate(value, start=1):
        if character in "\x00\r\n":
            name = {"\x00": "a NUL character", "\r": "a line break", "\n": "a line break"}[character]
            raise Refused(f"Character {position} is {name}, which SMTP can't carry. Remove it.")
        if "\ud800" <= character <= "\udfff":
            raise Refused(f"Character {position} is half a character (a lone surrogate). Enter it again.")
    return value


def sendgrid_key(value: str) -> str:
    """An API key of SendGrid by its form: `SG.`, an id and a secret, about 69 characters."""
    if not value.startswith("SG."):
        raise Refused("A SendGrid API key starts with “SG.”. Copy the whole key; SendGrid shows it only once.")
    if not _SENDGRID_KEY.fullmatch(value):
        raise Refused(
            f"This is not a whole SendGrid API key: it has {len(value)} characters where a key has about 69, in three "
            "parts with dots between them. Copy it again, or make a new key."
        )
    return value


def ca_certificate(value: str) -> str:
    """One or more PEM certificates, checked to parse; "" stays ""."""
    if not value:
        return value
    if "\x00" in value:
        raise Refused("This contains a NUL character. Paste the certificate as text.")
    if "PRIVATE KEY" in value:
        raise Refused(
            "This contains a private key. Paste only the certificate of the authority (CA), and keep the key secret."
        )
    from cryptography import x509  # here: it takes 8 MB, and few configurations bring a certificate

    try:
        x509.load_pem_x509_certificates(value.encode())
    except ValueError:
        raise Refused("This is not a PEM certificate. It starts with “-----BEGIN CERTIFICATE-----”.") from None
    return value.replace("\r\n", "\n")


def is_loopback(name: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    literal = _ip(name)
    return name == "localhost" or name.endswith(".localhost") or (literal is not None and literal.is_loopback)


def ip_version_of(name: str) -> str:
    """ "4" or "6" for an IP address, "" for a host name."""
    literal = _ip(name)
    return str(literal.version) if literal is not None else ""


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _first_odd(local: str) -> str:
    for character in local:
        if not _LOCAL_PART.match(character):
            return _character(character)
    return "dots in a row or at an end"


def _first_odd_host(name: str) -> str:
    for character in name:
        # Letters, marks and digits of any script may stand in a name; ☃ and 😀 may not (IDNA 2008).
        if character not in "._-" and unicodedata.category(character)[0] not in "LMN":
            return _character(character)
    return "an empty or overlong part between its dots, or a part that starts or ends with a hyphen"


def _character(character: str) -> str:
    if character.isspace():
        return "a space"
    return f"“{character}”" if character.isprintable() else f"the character U+{ord(character):04X}"


def _cut(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "…"
