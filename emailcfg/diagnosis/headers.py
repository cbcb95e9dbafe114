"""The header reader: from pasted headers to hops with delays, TLS per hop, and what the receiver found (RFC 8601)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from emailcfg.diagnosis.authentication import (
    Finding,
    Results,
    Sealed,
    Signature,
    is_aligned,
    received_spf_of,
    results_of,
    sealed_of,
    signatures_of,
)
from emailcfg.diagnosis.header_fields import Field, decoded, fields_of, split_comments
from emailcfg.diagnosis.received import Hop, date_of, hop_of, owner, span, with_delays
from emailcfg.diagnosis.spam_marks import spam_marks

LIMIT = 256 * 1024  # characters that are read
_MAX_HOPS = 100
_ENDLESS = 1 << 30
_ADDRESS = re.compile(r"<([^<>\s@]{1,64}@[^<>\s@]{1,255})>|(?:^|[\s,:])([^<>\s@\",;:]{1,64}@[^<>\s@\",;:]{1,255})")


@dataclass(frozen=True, slots=True)
class Headers:
    """What pasted headers tell; hops oldest first. `trusted` is whether the Authentication-Results come from
    the server that took the mail from outside: anything below could have been written by the sender. `total_s` is
    the time from the first clock to the last. `sealed` is what those found who passed it on."""

    hops: tuple[Hop, ...]
    findings: tuple[Finding, ...]
    checked_by: str
    trusted: bool
    message_id: str
    date: datetime | None
    subject: str
    total_s: float | None
    notes: tuple[str, ...]
    sender: str = ""
    sealed: tuple[Sealed, ...] = ()
    signatures: tuple[Signature, ...] = ()

    @property
    def total_words(self) -> str:
        return "" if self.total_s is None else span(self.total_s)

    @property
    def selectors(self) -> tuple[str, ...]:
        """The DKIM selectors with which the sender's own organisation signed."""
        domain = self.sender.rpartition("@")[2]
        return tuple(dict.fromkeys(one.selector for one in self.signatures if is_aligned(one.domain, domain)))


def read_headers(text: str) -> Headers:
    """Never raises. Reads up to the first empty line after the fields, at most 256 KB and 100 hops."""
    fields = fields_of(text[:LIMIT])
    received = [field for field in fields if field.name == "received"][:_MAX_HOPS]
    newest_first = [hop_of(field.value) for field in received]
    hops = with_delays(newest_first[::-1])
    sender = _address(_first(fields, "from")[:2000])
    checked_by, found, trusted = _findings(fields, received, newest_first)
    domain = sender.rpartition("@")[2]
    findings = tuple(_with_alignment(one, domain) for one in found)
    date = date_of(_first(fields, "date"))
    clocks = [hop.at for hop in hops if hop.at]
    start = min(clocks[0], date) if clocks and date and abs((clocks[0] - date).total_seconds()) < 86400 else None
    total = (clocks[-1] - (start or clocks[0])).total_seconds() if clocks else None
    read = Headers(
        hops=tuple(hops),
        findings=findings,
        checked_by=checked_by,
        trusted=trusted,
        message_id=_first(fields, "message-id")[:998],
        date=date,
        subject=decoded(_first(fields, "subject")[:998]),
        total_s=total if total is not None and total >= 0 else None,
        notes=(),
        sender=sender,
        sealed=sealed_of(fields),
        signatures=signatures_of(fields),
    )
    if not fields:
        nothing = "This text holds no headers. Open the mail, choose “Show original” or “View source”, and copy it all."
        return replace(read, notes=(nothing,))
    cut = ["The text was longer than 256 KB; only its beginning was read."] if len(text) > LIMIT else []
    return replace(read, notes=(*_of_results(read), *spam_marks(fields), *_of_the_way(read), *cut))


def _first(fields: list[Field], name: str) -> str:
    return next((field.value for field in fields if field.name == name), "")


def _address(value: str) -> str:
    """The address of a From field. The standard library's parser recurses with the depth of comments."""
    found = _ADDRESS.search(split_comments(value)[0])
    return (found.group(1) or found.group(2)).lower()[:320] if found else ""


def _with_alignment(finding: Finding, domain: str) -> Finding:
    return replace(finding, aligned=is_aligned(finding.domain, domain) if finding.method in ("spf", "dkim") else None)


def _findings(
    fields: list[Field], received: list[Field], newest_first: Sequence[Hop]
) -> tuple[str, tuple[Finding, ...], bool]:
    """The results to believe: what stands above the field by which the mail came in from outside, and right below it
    what bears the receiver's own name (filters put theirs there). A border server removes fields that claim its name
    (RFC 8601 section 5), and everything further down may be the sender's."""
    border = next((at for at, hop in enumerate(newest_first) if not hop.internal), None)
    names = [newest_first[border]] if border is not None else newest_first
    receiver = next((owner(hop.taken_by) for hop in names if owner(hop.taken_by)), "")
    above = received[border].at if border is not None else received[0].at if received else 0
    older = border + 1 if border is not None else len(received)
    below = received[older].at if older < len(received) else _ENDLESS

    def is_own(at: int, checked_by: str) -> bool:
        named = owner(checked_by) == receiver if checked_by else receiver == "outlook.com"  # which leaves its name out
        return at < above or (at < below and bool(receiver) and named)

    results = [results_of(field) for field in fields if field.name == "authentication-results"]
    own = [one for one in results if is_own(one.at, one.checked_by)]
    spf = [
        Results(receiver, (finding,), field.at)
        for field in fields
        if field.name == "received-spf" and field.at < below and (finding := received_spf_of(field))
    ]
    if own and any(finding.method == "spf" for one in own for finding in one.findings):
        spf = []  # said already
    believed = own + spf[:1]
    chosen = believed or results[:1]
    findings = tuple(dict.fromkeys(finding for one in chosen for finding in one.findings))
    checked_by = next((one.checked_by for one in chosen if one.checked_by), "")
    return checked_by, findings, bool(believed)


def _of_results(read: Headers) -> list[str]:
    notes = []
    if read.findings and not read.trusted:
        notes.append("The results can't be tied to the receiving server, so the sender could have written them.")
    if read.hops and not read.findings:
        notes.append("The receiving server left no results of SPF, DKIM or DMARC.")
    results = {one.method: one.result for one in read.findings}
    counted = [one for one in read.findings if one.result == "pass" and one.aligned]
    if read.findings and "dmarc" not in results and not counted and read.sender:
        domain = read.sender.rpartition("@")[2]
        notes.append(f"Nothing that passed belongs to {domain}, so a DMARC policy would count this mail as failed.")
    if results.get("dmarc") == "fail":
        before = [one for one in read.sealed if any(f.method == "dmarc" and f.result == "pass" for f in one.findings)]
        if before:
            notes.append(
                f"At {before[0].checked_by or 'the first server'} DMARC still passed, so passing it on broke it."
            )
    return notes


def _of_the_way(read: Headers) -> list[str]:
    hops = read.hops
    if not hops:
        return ["There is no Received field, so the way of the mail is unknown."]
    notes = []
    slowest = max(hops, key=lambda hop: hop.delay_s or 0)
    if slowest.delay_s and slowest.delay_s >= 60 and slowest.delay_s * 2 >= (read.total_s or 0):
        notes.append(
            f"Most of the time passed before {slowest.taken_by or 'one server'} took it: {slowest.delay_words}."
        )
    if read.date and hops[0].at and 60 <= (hops[0].at - read.date).total_seconds() < 86400 * 30:
        waited = span((hops[0].at - read.date).total_seconds())
        notes.append(f"It was written {waited} before the first server took it, so it waited in the sending program.")
    if any(hop.skew_s > 2 for hop in hops):
        notes.append("The clocks of two servers disagree, so the delay between them is unknown.")
    if any(hop.tls is False and not hop.internal for hop in hops):
        notes.append("At least one hop was not encrypted.")
    return notes
