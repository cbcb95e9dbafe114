"""The way of a mail by its Received fields (RFC 5321 section 4.4): who took it from whom, when, and how encrypted."""

import ipaddress
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise

from emailcfg.diagnosis.header_fields import split_comments
from emailcfg.diagnosis.organisation import organisation

_TLS_PROTOCOLS = re.compile(r"^(?:(?:UTF8)?(?:E?SMTP|LMTP)SA?|HTTPS)$", re.IGNORECASE)  # RFC 3848: the S says TLS
_PLAIN_PROTOCOLS = re.compile(r"^(?:UTF8)?(?:E?SMTP|LMTP)A?$", re.IGNORECASE)
_VERSION = re.compile(r"\b(TLS|SSL)[ _v]{0,2}(\d)[._](\d)\b", re.IGNORECASE)
_CIPHER = re.compile(r"\b(?:cipher[ =]|tls )([A-Z][A-Z0-9_-]{5,60})\b", re.IGNORECASE)
_CLAUSE = re.compile(r"(?:^|\s)(from|by|with|id|for)\s+(\S{1,255})", re.IGNORECASE)
_BY = re.compile(r"\sby\s", re.IGNORECASE)
_ADDRESS = re.compile(r"[\[( ](?:IPv6:)?([0-9A-Fa-f:.]{3,45})[\])]", re.IGNORECASE)
_ISO = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? ([+-]\d{4})\b")
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10", "::1/128", "fc00::/7",
                 "fe80::/10", "169.254.0.0/16")
)  # fmt: skip
_RFC = re.compile(r"\b(\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d)(?:\.\d{1,9})? ([+-]\d{4}|GMT|UTC)\b")
# Names under which one organisation's servers hand mail to each other.
_SAME = {"exchangelabs.com": "outlook.com", "office365.com": "outlook.com", "1e100.net": "google.com",
         "googlemail.com": "google.com", "gmail.com": "google.com"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received field. `delay_s` is the time since the hop before; None when a clock is missing or when it
    would be negative, and then `skew_s` says by how many seconds the two clocks disagree at least. `tls` is
    True, False or None (not said); `tls_words` holds version and cipher as far as stated. `address` is the one the
    mail came from; `internal` says that it stayed inside one organisation or machine."""

    sent_by: str
    taken_by: str
    protocol: str
    tls: bool | None
    tls_words: str
    at: datetime | None
    delay_s: float | None = None
    skew_s: float = 0.0
    address: str = ""
    internal: bool = False

    @property
    def delay_words(self) -> str:
        return "" if self.delay_s is None else span(self.delay_s)

    @property
    def skew_words(self) -> str:
        return span(self.skew_s) if self.skew_s else ""


def span(seconds: float) -> str:
    """A time in its two largest units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    left = round(seconds)
    for size, name, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if left >= size:
            rest = left % size // below
            return f"{left // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{left} s"


def date_of(value: str) -> datetime | None:
    """The moment a Date or Received field tells, in UTC; also as some programs write it (2026-11-23 14:00:05 +0000)."""
    iso = _ISO.search(value[:400])
    inside = _RFC.search(value[:1000])
    if inside:
        value = " ".join(inside.groups())
    try:
        if iso:
            return datetime.strptime(" ".join(iso.groups()), "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)
        found = parsedate_to_datetime(value[:200])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def owner(name: str) -> str:
    """The organisation behind a server's name, "" for an address or a name without a domain."""
    bare = name.strip("[]<>()").lower()
    if "." not in bare or ":" in bare or re.fullmatch(r"[\d.]+", bare):
        return ""
    found = organisation(bare)
    return _SAME.get(found, found)


def hop_of(value: str) -> Hop:
    """Reads one field; what it does not say stays empty."""
    plain, comments = split_comments(value)
    clauses, _, date = plain.rpartition(";")
    clauses = clauses or plain
    said: dict[str, str] = {}
    for name, word in _CLAUSE.findall(clauses):
        said.setdefault(name.lower(), word.strip(";,"))
    protocol = said.get("with", "")
    protocol = "Microsoft SMTP Server" if protocol.lower() == "microsoft" else protocol
    stated = " ".join([clauses, *comments])
    version, cipher = _VERSION.search(stated), _CIPHER.search(stated)
    words = f"{version.group(1).upper()} {version.group(2)}.{version.group(3)}" if version else ""
    words = " ".join(filter(None, (words, cipher.group(1) if cipher else "")))
    if _TLS_PROTOCOLS.match(protocol) or version:
        tls: bool | None = True
    else:
        tls = False if _PLAIN_PROTOCOLS.match(protocol) else None
    sent_by, taken_by = said.get("from", ""), said.get("by", "")
    address = _address_in(_BY.split(f" {value}", maxsplit=1)[0]) if sent_by else ""
    internal = _is_internal(sent_by, taken_by, address)
    return Hop(sent_by, taken_by, protocol, tls, words, date_of(date), address=address, internal=internal)


def _address_in(text: str) -> str:
    for found in _ADDRESS.findall(text[:1000]):
        try:
            return str(ipaddress.ip_address(found))
        except ValueError:
            continue
    return ""


def _is_internal(sent_by: str, taken_by: str, address: str) -> bool:
    if not sent_by:
        return True
    if address:
        given = ipaddress.ip_address(address)
        if any(given in network for network in _INSIDE if network.version == given.version):
            return True
    if sent_by.lower().startswith(("localhost", "127.", "[127.", "::1", "[::1")):
        return True
    return bool(owner(sent_by)) and owner(sent_by) == owner(taken_by)


def with_delays(hops: list[Hop]) -> list[Hop]:
    """Delays between neighbours, oldest first. Clocks disagree, so a negative delay is no delay but a skew."""
    told = hops[:1]
    for before, hop in pairwise(hops):
        if before.at is None or hop.at is None:
            told.append(hop)
            continue
        seconds = (hop.at - before.at).total_seconds()
        told.append(replace(hop, delay_s=seconds) if seconds >= 0 else replace(hop, skew_s=-seconds))
    return told
