"""What receivers found about a mail: Authentication-Results (RFC 8601), Received-SPF, ARC, and its own signatures."""

import re
from dataclasses import dataclass

from emailcfg.diagnosis.header_fields import Field, split_comments, split_parts
from emailcfg.diagnosis.organisation import organisation

_METHODS = ("spf", "dkim", "dmarc", "arc", "compauth")
_METHOD = re.compile(r"^([a-z0-9-]{1,30})(?:\s*/\s*\d{1,3})?\s*=\s*([a-z]{1,20})\b", re.IGNORECASE)
_PROPERTY = re.compile(r"\b((?:smtp|header|policy)\.[a-z0-9-]{1,20})\s*=\s*(\"[^\"]{0,255}\"|\S{1,255})", re.IGNORECASE)
_REASON = re.compile(r"\breason\s*=\s*(?:\"([^\"]{0,255})\"|(\S{1,255}))", re.IGNORECASE)
_RECEIVED_SPF = re.compile(r"^\s*([a-z]{3,10})\b", re.IGNORECASE)
_ENVELOPE = re.compile(r"\benvelope-from=\"?<?([^\s\";>]{1,255})|\bdomain of (\S{1,255}) ", re.IGNORECASE)
_INSTANCE = re.compile(r"^i\s*=\s*(\d{1,2})$", re.IGNORECASE)
_ABOUT = ("header.d", "smtp.mailfrom", "header.from", "header.i", "smtp.helo")
_NOTHING = frozenset({"none", "<>", "unknown", "\"\""})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What the receiver found by one method: `method` spf, dkim, dmarc, arc or compauth; `result` its word (pass, fail,
    softfail, none, ...); `about` the domain, address or selector it is about; `detail` the receiver's own remark;
    `aligned` whether the domain it is about belongs to the sender's organisation (None: not known)."""

    method: str
    result: str
    about: str = ""
    detail: str = ""
    aligned: bool | None = None

    @property
    def domain(self) -> str:
        return self.about.strip('<>"').rpartition("@")[2].lower().rstrip(".")

    @property
    def sentence(self) -> str:
        if self.result != "pass" or self.aligned is None:
            return self._said
        return f"{self._said} {_COUNTS if self.aligned else _COUNTS_NOT}"

    @property
    def _said(self) -> str:
        known = _SAYS.get((self.method, self.result))
        if known and (self.about or "{about}" not in known):
            return known.format(about=self.about)
        subject = f"{self.method.upper()}{f' for {self.about}' if self.about else ''}"
        if self.result == "pass":
            return f"{subject} passed."
        if self.result == "none":
            return f"{subject} was not there to check."
        if self.result in ("temperror", "permerror"):
            return f"{subject} could not be checked because of an error in DNS or in the record ({self.result})."
        return f"{subject} did not pass ({self.result})."


_COUNTS = "It is of the sender's organisation, so DMARC counts it."
_COUNTS_NOT = "That is another organisation than the sender's, so DMARC does not count it."
_SAYS = {
    ("spf", "fail"): "SPF of {about} forbids the server that sent it (fail).",
    ("spf", "softfail"): "SPF of {about} does not permit the server that sent it (softfail).",
    ("spf", "neutral"): "SPF of {about} says nothing about the server that sent it (neutral).",
    ("spf", "none"): "{about} has no SPF record.",
    ("dkim", "none"): "The mail carries no DKIM signature.",
    ("dkim", "fail"): "The DKIM signature of {about} does not verify (fail).",
    ("dkim", "pass"): "DKIM passed: signed by {about}.",
    ("dmarc", "none"): "{about} has no DMARC record.",
    ("dmarc", "bestguesspass"): "{about} has no DMARC record; the mail would have passed one.",
    ("arc", "pass"): "ARC passed: the seals of those who passed it on are intact.",
    ("arc", "none"): "Nobody who passed it on has sealed it (ARC).",
    ("arc", "fail"): "ARC failed: the seals of those who passed it on are broken.",
    ("compauth", "pass"): "Microsoft takes the sender for genuine (compauth).",
    ("compauth", "softpass"): "Microsoft takes the sender for genuine, with reservations (compauth).",
    ("compauth", "fail"): "Microsoft does not take the sender for genuine (compauth).",
    ("compauth", "none"): "Microsoft did not judge the sender (compauth).",
}


@dataclass(frozen=True, slots=True)
class Results:
    """One field of results: who checked (empty where not said), what was found, and where the field stands."""

    checked_by: str
    findings: tuple[Finding, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """What somebody who passed the mail on found before that (ARC, RFC 8617); `number` counts them."""

    number: int
    checked_by: str
    findings: tuple[Finding, ...]

    @property
    def words(self) -> str:
        return ", ".join(f"{one.method}={one.result}" for one in self.findings) or "nothing of use"


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM signature that the mail carries."""

    domain: str
    selector: str
    algorithm: str


def results_of(field: Field) -> Results:
    """Reads an Authentication-Results field, however commented and quoted."""
    parts = split_parts(field.value)
    checked_by = ""
    if parts and not _METHOD.match(split_comments(parts[0])[0].strip()):
        checked_by = (split_comments(parts.pop(0))[0].split() or [""])[0][:255].strip('"')
    findings = [finding for part in parts[:50] if (finding := _finding(part))]
    return Results(checked_by, tuple(findings), field.at)


def _finding(part: str) -> Finding | None:
    plain, comments = split_comments(part)
    method = _METHOD.match(plain.strip())
    if method is None or method.group(1).lower() not in _METHODS:
        return None
    properties = {name.lower(): about.strip('"') for name, about in _PROPERTY.findall(plain)}
    about = next((properties[name] for name in _ABOUT if properties.get(name, "none") not in _NOTHING), "").lstrip("@")
    reason = _REASON.search(plain)
    why = (reason.group(1) or reason.group(2) or "") if reason else ""
    said = [f"reason {why}" if why.isdecimal() else why, *(comment[1:-1] for comment in comments)]
    detail = "; ".join(filter(None, said))[:300]
    return Finding(method.group(1).lower(), method.group(2).lower(), about, detail)


def received_spf_of(field: Field) -> Finding | None:
    """Reads a Received-SPF field (RFC 7208 section 9.1), which some servers write in place of results."""
    plain, comments = split_comments(field.value)
    result = _RECEIVED_SPF.match(plain)
    if result is None:
        return None
    envelope = _ENVELOPE.search(field.value)
    about = next(filter(None, envelope.groups()), "") if envelope else ""
    return Finding("spf", result.group(1).lower(), about, comments[0][1:-1][:300] if comments else "")


def sealed_of(fields: list[Field]) -> tuple[Sealed, ...]:
    """All ARC-Authentication-Results, the first of those who passed the mail on first."""
    found = []
    for field in fields:
        if field.name != "arc-authentication-results":
            continue
        head, _, rest = field.value.partition(";")
        instance = _INSTANCE.match(split_comments(head)[0].strip())
        if instance:
            told = results_of(Field(field.name, rest.strip(), field.at))
            found.append(Sealed(int(instance.group(1)), told.checked_by, told.findings))
    return tuple(sorted(found[:50], key=lambda one: one.number))


def signatures_of(fields: list[Field]) -> tuple[Signature, ...]:
    """The DKIM signatures that the mail carries, whether they verify or not."""
    found = []
    for field in fields:
        if field.name == "dkim-signature":
            parts = (part.partition("=") for part in field.value.split(";"))
            tags = {name.strip(): "".join(value.split())[:255] for name, _, value in parts}
            if tags.get("d") and tags.get("s"):
                found.append(Signature(tags["d"].lower(), tags["s"], tags.get("a", "")))
    return tuple(dict.fromkeys(found))[:20]


def is_aligned(domain: str, sender: str) -> bool | None:
    """Whether two domains belong to one organisation, as relaxed DMARC asks; None when one is not known."""
    return organisation(domain) == organisation(sender) if domain and sender else None
