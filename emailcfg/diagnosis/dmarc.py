"""DMARC (RFC 7489): the policy that holds for a sender, and whether its mail can be aligned."""

import re
from dataclasses import dataclass

from emailcfg.diagnosis.findings import Check, Record, State
from emailcfg.diagnosis.lookup import Lookup
from emailcfg.diagnosis.organisation import organisation

_TITLE = "DMARC"
_POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Policy:
    """`at` is the domain whose record holds; `action` what receivers do with mail that fails; `strict_*` asks
    for the very same domain where relaxed alignment takes the same organisation."""

    at: str
    action: str
    record: str
    strict_spf: bool
    strict_dkim: bool


def policy_for(domain: str, lookup: Lookup) -> tuple[Policy | None, tuple[str, ...]]:
    """The policy, from the domain itself or its organisation (RFC 7489 section 6.6.3), and all records found.
    More than one record at a place counts as none. Raises Unanswered."""
    for place in dict.fromkeys((domain, organisation(domain))):
        records = [text for text in lookup.txt(f"_dmarc.{place}") if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
        if records:
            policy = _read(records[0], place, domain) if len(records) == 1 else None
            return policy, tuple(records)
    return None, ()


def _read(record: str, place: str, domain: str) -> Policy | None:
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, mark, value = part.partition("=")
        if mark:
            tags.setdefault(name.strip().lower(), value.strip().lower())
    action = tags.get("p", "")
    if place != domain:
        action = tags.get("sp", action)
    if action not in _POLICIES:
        if "rua" not in tags:
            return None
        action = "none"  # RFC 7489 section 6.6.3: a report address makes up for a broken policy
    return Policy(place, action, record, tags.get("aspf") == "s", tags.get("adkim") == "s")


def check_dmarc(domain: str, lookup: Lookup, *, spf_aligned: bool | None, dkim_aligned: bool | None) -> Check:
    """`spf_aligned` and `dkim_aligned` say whether mail of this provider would pass by them; None: not known."""
    policy, records = policy_for(domain, lookup)
    publish = Record(f"_dmarc.{domain}", "TXT", "v=DMARC1; p=none")
    if len(records) > 1:
        return Check(
            "dmarc",
            _TITLE,
            State.PROBLEM,
            f"There are {len(records)} DMARC records where only one is allowed, so receivers use none of them.",
            "Delete all but one of them.",
            records,
        )
    if policy is None and records:
        return Check(
            "dmarc",
            _TITLE,
            State.PROBLEM,
            "The DMARC record has no valid policy, so receivers ignore it.",
            "Publish a record whose second part is p=none, p=quarantine or p=reject.",
            records,
            publish,
        )
    if policy is None:
        return Check(
            "dmarc",
            _TITLE,
            State.WARNING,
            f"{domain} has no DMARC record. Gmail and Yahoo ask for one from those who send much mail.",
            "Publish this record; it changes nothing but what receivers may count on.",
            (),
            publish,
        )
    state, sentence, step = _judged(policy, spf_aligned, dkim_aligned)
    return Check("dmarc", _TITLE, state, sentence, step, records)


def _judged(policy: Policy, spf_aligned: bool | None, dkim_aligned: bool | None) -> tuple[State, str, str]:
    held = f"The DMARC policy of {policy.at} is {policy.action}."
    if spf_aligned or dkim_aligned:
        by = " and ".join(name for name, good in (("SPF", spf_aligned), ("DKIM", dkim_aligned)) if good)
        return State.OK, f"{held} Mail through this service can pass it by {by}.", ""
    if policy.action == "none":
        return State.OK, f"{held} Mail that fails is delivered as before.", ""
    if spf_aligned is None or dkim_aligned is None:
        return (
            State.WARNING,
            f"{held} Whether mail through this service passes it is not known.",
            "Send a test mail, paste its received headers into the header reader and look at the result of DMARC.",
        )
    effect = "reject it" if policy.action == "reject" else "put it into the spam folder"
    return (
        State.PROBLEM,
        f"{held} Mail through this service passes neither by SPF nor by DKIM, so receivers are asked to {effect}.",
        "Set up DKIM for this domain at the mail service, or permit the service in SPF.",
    )
