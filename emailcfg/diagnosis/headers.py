"""The header reader: from pasted headers to hops with delays, TLS per hop, and what the receiver found (RFC 8601)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise

from emailcfg.diagnosis.header_fields import Field, fields_of, split_comments
from emailcfg.diagnosis.organisation import organisation

LIMIT = 256 * 1024  # characters that are read
_MAX_HOPS = 100
_METHODS = ("spf", "dkim", "dmarc", "arc")
_TLS_PROTOCOLS = re.compile(r"^(?:UTF8)?(?:E?SMTP|LMTP)SA?$", re.IGNORECASE)  # RFC 3848: the S says TLS
_PLAIN_PROTOCOLS = re.compile(r"^(?:UTF8)?(?:E?SMTP|LMTP)A?$", re.IGNORECASE)
_VERSION = re.compile(r"\b(TLS|SSL)[ _v]{0,2}(\d)[._](\d)\b", re.IGNORECASE)
_CIPHER = re.compile(r"\b(?:cipher[ =]|tls )([A-Z][A-Z0-9_-]{5,60})\b", re.IGNORECASE)
_CLAUSE = re.compile(r"(?:^|\s)(from|by|with|id|for)\s+(\S{1,255})", re.IGNORECASE)
_METHOD = re.compile(r"^([a-z0-9-]{1,30})(?:/\d+)?\s*=\s*([a-z]{1,20})\b", re.IGNORECASE)
_PROPERTY = re.compile(r"\b((?:smtp|header|policy)\.[a-z0-9-]{1,20})\s*=\s*(\S{1,255})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received field. `delay_s` is the time since the hop before; None when a clock is missing or when it
    would be negative, and then `skew_s` says by how many seconds the two clocks disagree at least. `tls` is
    True, False or None (not said); `tls_words` holds version and cipher as far as stated."""

    sent_by: str
    taken_by: str
    protocol: str
    tls: bool | None
    tls_words: str
    at: datetime | None
    delay_s: float | None = None
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the receiver found by one method: `method` spf, dkim, dmarc or arc; `result` its word (pass, fail,
    softfail, none, ...); `about` the domain, address or selector it is about."""

    method: str
    result: str
    about: str = ""

    @property
    def sentence(self) -> str:
        subject = f"{self.method.upper()}{f' for {self.about}' if self.about else ''}"
        if self.result == "pass":
            return f"{subject} passed."
        if self.result == "none":
            return f"{subject} was not there to check."
        if self.result in ("temperror", "permerror"):
            return f"{subject} could not be checked because of an error in DNS or in the record ({self.result})."
        return f"{subject} did not pass ({self.result})."


@dataclass(frozen=True, slots=True)
class Headers:
    """What pasted headers tell; hops oldest first. `trusted` is whether the Authentication-Results come from
    the server that the newest hops name: anything below could have been written by the sender. `total_s` is
    the time from the first clock to the last."""

    hops: tuple[Hop, ...]
    findings: tuple[Finding, ...]
    checked_by: str
    trusted: bool
    message_id: str
    date: datetime | None
    subject: str
    total_s: float | None
    notes: tuple[str, ...]


def read_headers(text: str) -> Headers:
    """Never raises. Reads up to the first empty line after the fields, at most 256 KB and 100 hops."""
    fields = fields_of(text[:LIMIT])
    received = [field for field in fields if field.name == "received"][:_MAX_HOPS]
    hops = _with_delays([_hop(field.value) for field in reversed(received)])
    checked_by, findings, trusted = _findings(fields, [hop.taken_by for hop in reversed(hops)])
    clocks = [hop.at for hop in hops if hop.at]
    date = _date(_first(fields, "date"))
    start = min(clocks[0], date) if clocks and date and abs((clocks[0] - date).total_seconds()) < 86400 else None
    total = (clocks[-1] - (start or clocks[0])).total_seconds() if clocks else None
    notes = _notes(hops, findings, trusted=trusted, found_any=bool(fields), cut=len(text) > LIMIT)
    return Headers(
        hops=tuple(hops),
        findings=findings,
        checked_by=checked_by,
        trusted=trusted,
        message_id=_first(fields, "message-id")[:998],
        date=date,
        subject=_first(fields, "subject")[:998],
        total_s=total if total is not None and total >= 0 else None,
        notes=notes,
    )


def _first(fields: list[Field], name: str) -> str:
    return next((field.value for field in fields if field.name == name), "")


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value[:200])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _hop(value: str) -> Hop:
    clauses, _, date = value.rpartition(";")
    plain, comments = split_comments(clauses or value)
    said: dict[str, str] = {}
    for name, word in _CLAUSE.findall(plain):
        said.setdefault(name.lower(), word.strip(";,"))
    protocol = said.get("with", "")
    stated = " ".join([plain, *comments])
    version = _VERSION.search(stated)
    cipher = _CIPHER.search(stated)
    words = f"{version.group(1).upper()} {version.group(2)}.{version.group(3)}" if version else ""
    words = " ".join(filter(None, (words, cipher.group(1) if cipher else "")))
    if _TLS_PROTOCOLS.match(protocol) or version:
        tls: bool | None = True
    else:
        tls = False if _PLAIN_PROTOCOLS.match(protocol) else None
    return Hop(said.get("from", ""), said.get("by", ""), protocol, tls, words, _date(split_comments(date)[0]))


def _with_delays(hops: list[Hop]) -> list[Hop]:
    """Delays between neighbours. Servers' clocks disagree, so a negative delay is no delay but a skew."""
    told = hops[:1]
    for before, hop in pairwise(hops):
        if before.at is None or hop.at is None:
            told.append(hop)
            continue
        seconds = (hop.at - before.at).total_seconds()
        delay, skew = (seconds, 0.0) if seconds >= 0 else (None, -seconds)
        told.append(
            Hop(hop.sent_by, hop.taken_by, hop.protocol, hop.tls, hop.tls_words, hop.at, delay_s=delay, skew_s=skew)
        )
    return told


def _findings(fields: list[Field], newest_first: list[str]) -> tuple[str, tuple[Finding, ...], bool]:
    """The results to believe: the topmost field by the organisation that took the mail last. A border server
    removes fields that claim its own name (RFC 8601, section 5), so the topmost one is its own."""
    results = [_parsed(field.value) for field in fields if field.name == "authentication-results"]
    if not results:
        return "", (), False
    receiver = next((organisation(name) for name in newest_first if "." in name and ":" not in name), "")
    for checked_by, findings in results:
        if receiver and checked_by and organisation(checked_by) == receiver:
            return checked_by, findings, True
    checked_by, findings = results[0]
    first = next(field.name for field in fields if field.name in ("received", "authentication-results"))
    # Microsoft leaves the name out; its field stands above every hop that the sender could have written.
    return checked_by, findings, not checked_by and (first == "authentication-results" or receiver == "outlook.com")


def _parsed(value: str) -> tuple[str, tuple[Finding, ...]]:
    plain, _ = split_comments(value)
    parts = [part.strip() for part in plain.split(";")]
    checked_by = ""
    if parts and not _METHOD.match(parts[0]):
        checked_by = (parts.pop(0).split() or [""])[0][:255]
    findings = []
    for part in parts[:50]:
        method = _METHOD.match(part)
        if method and method.group(1).lower() in _METHODS:
            properties = {name.lower(): about for name, about in _PROPERTY.findall(part)}
            findings.append(Finding(method.group(1).lower(), method.group(2).lower(), _about(properties)))
    return checked_by, tuple(findings)


def _about(properties: dict[str, str]) -> str:
    names = ("header.d", "smtp.mailfrom", "header.from", "header.i", "smtp.helo")
    return next((properties[name] for name in names if name in properties), "")


def _notes(
    hops: list[Hop], findings: tuple[Finding, ...], *, trusted: bool, found_any: bool, cut: bool
) -> tuple[str, ...]:
    notes = []
    if not found_any:
        return ("This text holds no headers. Open the mail, choose “Show original” or “View source”, and copy it all.",)
    if not hops:
        notes.append("There is no Received field, so the way of the mail is unknown.")
    if findings and not trusted:
        notes.append("The results can't be tied to the receiving server, so the sender could have written them.")
    if hops and not findings:
        notes.append("The receiving server left no results of SPF, DKIM or DMARC.")
    if any(hop.skew_s > 2 for hop in hops):
        notes.append("The clocks of two servers disagree, so the delay between them is unknown.")
    if any(hop.tls is False and hop.sent_by and not _is_local(hop) for hop in hops):
        notes.append("At least one hop was not encrypted.")
    if cut:
        notes.append("The text was longer than 256 KB; only its beginning was read.")
    return tuple(notes)


def _is_local(hop: Hop) -> bool:
    return "localhost" in (hop.sent_by, hop.taken_by) or hop.sent_by.startswith(("127.", "[127.", "::1", "[::1"))
