"""DMARC (RFC 7489): the policy that holds for a sender, and whether its mail passes it."""

import re
from dataclasses import dataclass

from emailcfg.diagnosis.dkim import Signing, misplaced
from emailcfg.diagnosis.findings import Check, Record, State
from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.organisation import organisation

_TITLE = "DMARC"
_POLICIES = ("none", "quarantine", "reject")
_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(;|$)")
_MAILTO = re.compile(r"mailto:[^@\s,!]{1,64}@([A-Za-z0-9.-]{1,253})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Policy:
    """`at` is the domain whose record holds; `action` what receivers do with mail that fails; `strict_*` asks
    for the very same domain where relaxed alignment takes the same organisation. `percent` is the share of failing
    mail that the policy is for, `testing` says that receivers are asked not to act, `reports` go to these domains."""

    at: str
    action: str
    record: str
    strict_spf: bool
    strict_dkim: bool
    percent: int = 100
    testing: bool = False
    inherited: bool = False
    reports: tuple[str, ...] = ()


def policy_for(domain: str, lookup: Lookup) -> tuple[Policy | None, tuple[str, ...]]:
    """The policy, from the domain itself or its organisation (RFC 7489 section 6.6.3), and all records found.
    More than one record at a place counts as none. Raises Unanswered."""
    for place in dict.fromkeys((domain, organisation(domain))):
        records = [text for text in lookup.txt(f"_dmarc.{place}") if _RECORD.match(text)]
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
    percent = tags.get("pct", "100")
    return Policy(
        at=place,
        action=action,
        record=record,
        strict_spf=tags.get("aspf") == "s",
        strict_dkim=tags.get("adkim") == "s",
        percent=min(int(percent), 100) if re.fullmatch(r"\d{1,3}", percent, re.ASCII) else 100,
        testing=tags.get("t") == "y",
        inherited=place != domain,
        reports=tuple(dict.fromkeys(_MAILTO.findall(tags.get("rua", "")))),
    )


def check_dmarc(domain: str, lookup: Lookup, *, spf_passes: bool | None, signing: Signing | None) -> Check:
    """`spf_passes` says whether mail of this service passes SPF at the sender's own domain; None: not known. `signing`
    says for which domains DKIM keys stand; None: not known. Raises Unanswered."""
    policy, records = policy_for(domain, lookup)
    publish = Record(f"_dmarc.{domain}", "TXT", "v=DMARC1; p=none")
    if policy is not None:
        state, sentence, step = _judged(policy, spf_passes, _dkim_aligned(policy, domain, signing))
        return Check("dmarc", _TITLE, state, sentence, step, records, None, tuple(_remarks(policy, domain, lookup)))
    if len(records) > 1:
        sentence = f"There are {len(records)} DMARC records where only one is allowed, so receivers use none of them."
        return Check("dmarc", _TITLE, State.PROBLEM, sentence, "Delete all but one of them.", records)
    if records:
        sentence = "The DMARC record has no valid policy, so receivers ignore it."
        step = "Publish a record whose second part is p=none, p=quarantine or p=reject."
        return Check("dmarc", _TITLE, State.PROBLEM, sentence, step, records, publish)
    return _missing(domain, publish, lookup)


def _missing(domain: str, publish: Record, lookup: Lookup) -> Check:
    nearly = [text for text in lookup.txt(f"_dmarc.{domain}") if "dmarc" in text.lower()]
    if nearly:
        sentence = f"The record at _dmarc.{domain}, “{nearly[0][:60]}”, does not begin with v=DMARC1, so it is ignored."
        return Check("dmarc", _TITLE, State.PROBLEM, sentence, "Publish this record.", tuple(nearly), publish)
    at_the_domain = any(_RECORD.match(text) for text in lookup.txt(domain))
    twice = domain if at_the_domain else misplaced(f"_dmarc.{domain}", domain, lookup)
    if twice:
        sentence = f"The DMARC record is published at {twice}, where no receiver looks; it belongs to _dmarc.{domain}."
        step = "Enter only _dmarc as its name: most DNS consoles add the domain by themselves."
        return Check("dmarc", _TITLE, State.PROBLEM, sentence, step, (), publish)
    sentence = f"{domain} has no DMARC record. Gmail and Yahoo ask for one from those who send much mail."
    step = "Publish this record; it changes nothing but what receivers may count on."
    return Check("dmarc", _TITLE, State.WARNING, sentence, step, (), publish)


def _dkim_aligned(policy: Policy, domain: str, signing: Signing | None) -> bool | None:
    if signing is None or not signing.known:
        return None
    if domain in signing.domains:
        return True
    return not policy.strict_dkim and any(organisation(one) == organisation(domain) for one in signing.domains)


def _judged(policy: Policy, spf_aligned: bool | None, dkim_aligned: bool | None) -> tuple[State, str, str]:
    above = ", which holds for its subdomains," if policy.inherited else ""
    held = f"The DMARC policy of {policy.at}{above} is {policy.action}."
    if spf_aligned or dkim_aligned:
        by = " and ".join(name for name, good in (("SPF", spf_aligned), ("DKIM", dkim_aligned)) if good)
        return State.OK, f"{held} Mail through this service can pass it by {by}.", ""
    if spf_aligned is None or dkim_aligned is None:
        state = State.OK if policy.action == "none" else State.WARNING
        return (
            state,
            f"{held} Whether mail through this service passes it is not known.",
            "Send a test mail, paste its received headers into the header reader and look at the result of DMARC.",
        )
    passes = "Mail through this service passes neither by SPF nor by DKIM"
    step = "Set up DKIM for this domain at the mail service, or permit the service in SPF."
    if policy.strict_dkim:
        step += " The record asks for DKIM at the very same domain (adkim=s)."
    if policy.action == "none" or policy.testing:
        sentence = (
            f"{held} {passes}; the policy asks for nothing to be done, and Gmail and Yahoo may refuse much of it."
        )
        return State.WARNING, sentence, step
    effect = "reject it" if policy.action == "reject" else "put it into the spam folder"
    return State.PROBLEM, f"{held} {passes}, so receivers are asked to {effect}.", step


def _remarks(policy: Policy, domain: str, lookup: Lookup) -> list[str]:
    told = []
    if policy.inherited:
        told.append(f"{domain} has no record of its own, so that of {policy.at} holds.")
    alignment = [
        f"{name} counts for {'the very same domain' if strict else 'any domain of the organisation'}"
        for name, strict in (("SPF", policy.strict_spf), ("DKIM", policy.strict_dkim))
    ]
    told.append(f"Alignment: {'; '.join(alignment)}.")
    if policy.percent < 100:
        told.append(f"The policy is for {policy.percent} % of the mail that fails (pct).")
    if policy.testing:
        told.append("The record is marked as a test (t=y), so receivers are asked not to act on it.")
    if not policy.reports:
        told.append("No address for reports (rua), so nobody hears of mail that fails.")
    told += [sentence for one in policy.reports[:3] if (sentence := _report_refused(one, policy.at, lookup))]
    return told


def _report_refused(target: str, at: str, lookup: Lookup) -> str:
    """RFC 7489 section 7.1: reports go to another organisation only when it says so in DNS."""
    if organisation(target) == organisation(at):
        return ""
    try:
        agreed = lookup.txt(f"{at}._report._dmarc.{target}")
    except Unanswered:
        return ""
    if any(text.replace(" ", "").startswith("v=DMARC1") for text in agreed):
        return ""
    return f"Reports to {target} are not sent: it does not say at {at}._report._dmarc.{target} that it takes them."
