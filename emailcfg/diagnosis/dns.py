"""Does DNS vouch for the sender: MX, SPF, DKIM and DMARC of the sender's domain, and where replies go."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emailcfg.diagnosis.dmarc import check_dmarc
from emailcfg.diagnosis.findings import Check, Record, State, unchecked
from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.mail_services import MailService, service_of
from emailcfg.diagnosis.spf import MAX_LOOKUPS, Survey, evaluate, records_of, survey

_TITLES = {"mx": "MX", "spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "reply_to_mx": "MX for replies"}


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """All checks of one sender's domain, in the order in which they are shown."""

    domain: str
    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """The worst one; what could not be checked does not make it worse."""
        states = {check.state for check in self.checks}
        ranked = (State.PROBLEM, State.WARNING, State.OK)
        return next((state for state in ranked if state in states), State.UNKNOWN)

    def as_json(self) -> dict[str, object]:
        checks = [check.as_json() for check in self.checks]
        return {"domain": self.domain, "state": str(self.state), "checks": checks}


def check_sender_domain(
    sender: str,
    *,
    provider: str,
    host: str = "",
    selectors: Sequence[str] = (),
    reply_to_domain: str = "",
    lookup: Lookup,
) -> SenderDomain:
    """`provider` is "smtp" or "sendgrid", `host` the SMTP server; `selectors` are DKIM selectors to look for
    beside those known for the service. Never raises: what DNS does not answer is "could not be checked"."""
    domain = sender.rpartition("@")[2].lower().rstrip(".")
    service = service_of(provider, host)
    wanted = tuple(dict.fromkeys([*selectors, *(service.selectors if service else ())]))

    def guarded(name: str, check: Callable[[], Check], of: str = domain) -> Check:
        try:
            return check()
        except Unanswered:
            return unchecked(name, _TITLES[name], of)

    mx = guarded("mx", lambda: _mx(domain, lookup))
    spf = guarded("spf", lambda: _spf(sender, domain, service, host, lookup))
    dkim = guarded("dkim", lambda: _dkim(domain, service, wanted, lookup))
    dmarc = guarded(
        "dmarc",
        lambda: check_dmarc(domain, lookup, spf_aligned=_spf_aligned(spf, service), dkim_aligned=_dkim_aligned(dkim)),
    )
    checks = [mx, spf, dkim, dmarc]
    if reply_to_domain and reply_to_domain != domain:
        checks.append(guarded("reply_to_mx", lambda: _replies(reply_to_domain, lookup), reply_to_domain))
    return SenderDomain(domain, tuple(checks))


def _spf_aligned(spf: Check, service: MailService | None) -> bool | None:
    if service and service.own_return_path:
        return False  # SPF is checked at the service's own domain
    return {State.OK: True, State.PROBLEM: False}.get(spf.state)


def _dkim_aligned(dkim: Check) -> bool | None:
    return None if dkim.state is State.UNKNOWN else dkim.state is State.OK


def _mx(domain: str, lookup: Lookup) -> Check:
    hosts = lookup.mx(domain)
    found = tuple(hosts)
    if hosts == [""]:
        return Check(
            "mx",
            "MX",
            State.PROBLEM,
            f"{domain} says that it takes no mail at all (a null MX), and many servers refuse senders there.",
            "Replace the record by one that names a mail server, or send from another domain.",
            ("0 .",),
        )
    if hosts:
        return Check("mx", "MX", State.OK, f"Replies and bounces to {domain} go to {hosts[0]}.", "", found)
    if lookup.addresses(domain):
        return Check(
            "mx",
            "MX",
            State.WARNING,
            f"{domain} has no MX record, so replies and bounces go to the address of its website.",
            "Publish an MX record that names the server where mail for this domain arrives.",
        )
    missing = not lookup.exists(domain)
    sentence = f"{domain} does not exist in DNS." if missing else f"{domain} has neither a mail server nor an address."
    return Check(
        "mx",
        "MX",
        State.PROBLEM,
        f"{sentence} Many servers refuse mail from such a sender.",
        "Check the spelling of the sender address, or publish an MX record for the domain.",
    )


def _replies(domain: str, lookup: Lookup) -> Check:
    hosts = [host for host in lookup.mx(domain) if host]
    if hosts:
        return Check("reply_to_mx", _TITLES["reply_to_mx"], State.OK, f"Replies go to {hosts[0]}.", "", tuple(hosts))
    return Check(
        "reply_to_mx",
        _TITLES["reply_to_mx"],
        State.PROBLEM,
        f"{domain} has no MX record, so replies to the product's mail have nowhere to go.",
        "Publish an MX record that names the server where replies arrive, or clear the reply-to domain.",
    )


def _spf(sender: str, domain: str, service: MailService | None, host: str, lookup: Lookup) -> Check:
    records = records_of(domain, lookup)
    permit = f"include:{service.spf_include}" if service else _permit_of(host, lookup)
    publish = Record(domain, "TXT", _merged(records, permit)) if permit else None
    if len(records) > 1:
        sentence = f"{domain} has {len(records)} SPF records, where one is allowed; receivers count that as an error."
        step = "Replace them by this one record."
        return Check("spf", "SPF", State.PROBLEM, sentence, step, tuple(records), publish)
    found = survey(domain, lookup)
    if found.lookups > MAX_LOOKUPS:
        return Check(
            "spf",
            "SPF",
            State.PROBLEM,
            f"The SPF record of {domain} needs {found.lookups} DNS look-ups, and receivers give up after 10.",
            "Remove the includes of services that no longer send for this domain.",
            tuple(records),
        )
    if found.error:
        step = "Correct the SPF record of the domain."
        sentence = f"{found.error} Receivers count that as an error."
        return Check("spf", "SPF", State.PROBLEM, sentence, step, tuple(records))
    if service:
        return _permits_service(domain, records, found, service, publish)
    return _permits_relay(sender, domain, records, host, publish, lookup)


def _permits_service(
    domain: str, records: list[str], found: Survey, service: MailService, publish: Record | None
) -> Check:
    permitted = service.spf_include
    if any(reached == permitted or reached.endswith(f".{permitted}") for reached in {domain, *found.domains}):
        return Check(
            "spf",
            "SPF",
            State.OK,
            f"SPF of {domain} permits {service.name} ({service.spf_include}).",
            "",
            tuple(records),
        )
    missing = f"SPF of {domain} does not permit {service.name}." if records else f"{domain} has no SPF record."
    if service.own_return_path:
        sentence = (
            f"{missing} {service.name} uses a return path of its own, where SPF passes without it; DKIM has to vouch "
            f"for {domain} then."
        )
        step = "Set up DKIM for the domain; publish this record too if the return path is in your own domain."
        return Check("spf", "SPF", State.WARNING, sentence, step, tuple(records), publish)
    sentence = f"{missing} Receivers may put its mail into the spam folder or refuse it."
    return Check("spf", "SPF", State.PROBLEM, sentence, "Publish this record.", tuple(records), publish)


def _permits_relay(
    sender: str, domain: str, records: list[str], host: str, publish: Record | None, lookup: Lookup
) -> Check:
    addresses = _public(host, lookup)
    if not addresses:
        sentence = "The relay has no public address here, so whether SPF permits it is not known."
        step = "Make sure that SPF permits the public address from which the relay sends."
        return Check("spf", "SPF", State.UNKNOWN, sentence, step, tuple(records))
    outcomes = {a: evaluate(domain, a, sender=sender, helo=host, lookup=lookup) for a in addresses}
    refused = {address: found for address, found in outcomes.items() if found.outcome != "pass"}
    if not refused:
        sentence = f"SPF of {domain} permits the relay {host} ({', '.join(addresses)})."
        return Check("spf", "SPF", State.OK, sentence, "", tuple(records))
    address, found = next(iter(refused.items()))
    if found.outcome == "permerror":
        sentence, step = (
            f"{found.decided_by} Receivers count that as an error.",
            "Correct the SPF record of the domain.",
        )
        return Check("spf", "SPF", State.PROBLEM, sentence, step, tuple(records))
    missing = f"SPF of {domain} does not permit {address}" if records else f"{domain} has no SPF record"
    return Check(
        "spf",
        "SPF",
        State.WARNING,
        f"{missing}. The relay {host} may send from another address than the one it listens on.",
        f"Publish this record if {host} sends mail to the internet from {address}.",
        tuple(records),
        publish,
    )


def _permit_of(host: str, lookup: Lookup) -> str:
    addresses = _public(host, lookup)
    return " ".join(f"ip{ipaddress.ip_address(address).version}:{address}" for address in addresses)


def _public(host: str, lookup: Lookup) -> list[str]:
    try:
        addresses = [str(ipaddress.ip_address(host))]
    except ValueError:
        addresses = lookup.addresses(host) if host else []
    return [address for address in addresses if ipaddress.ip_address(address).is_global]


def _merged(records: list[str], permit: str) -> str:
    """One record that keeps what all records permit, adds `permit`, and ends as the mildest of them ends."""
    terms = list(dict.fromkeys(term for record in records for term in record.split()[1:]))
    endings = [term for term in terms if term.lower() in ("all", "+all", "?all", "~all", "-all")]
    redirects = [term for term in terms if term.lower().startswith("redirect=")]
    kept = [term for term in terms if term not in endings and term not in redirects]
    kept += [term for term in permit.split() if term not in kept]
    mildest = next((ending for ending in ("?all", "~all", "-all") if ending in endings), "~all")
    if redirects and not endings:
        return " ".join(["v=spf1", *kept, redirects[0]])
    return " ".join(["v=spf1", *kept, mildest])


def _dkim(domain: str, service: MailService | None, selectors: Sequence[str], lookup: Lookup) -> Check:
    where = service.dkim_where if service else "The operator of the relay tells the selector and the record."
    if not selectors:
        sentence = "The DKIM selectors are not known, so DKIM could not be checked."
        return Check("dkim", "DKIM", State.UNKNOWN, sentence, f"Enter the selectors to check them. {where}")
    keys = {selector: _key(f"{selector}._domainkey.{domain}", lookup) for selector in selectors}
    usable = [selector for selector, key in keys.items() if key]
    found = tuple(f"{selector}: {key}" for selector, key in keys.items() if key is not None)
    if usable:
        names = ", ".join(usable)
        return Check("dkim", "DKIM", State.OK, f"A DKIM key is published for the selector {names}.", "", found)
    if found:
        sentence = f"The DKIM key of {domain} was withdrawn (its record is empty)."
        return Check("dkim", "DKIM", State.PROBLEM, sentence, f"Publish a new key. {where}", found)
    names = " and ".join(f"{selector}._domainkey.{domain}" for selector in selectors)
    sentence = f"No DKIM key is published at {names}, so receivers can't tell that mail comes from {domain}."
    return Check("dkim", "DKIM", State.WARNING, sentence, f"Publish the DKIM records of the service. {where}")


def _key(name: str, lookup: Lookup) -> str | None:
    """The public key at a name, "" when it was withdrawn (RFC 6376 section 3.6.1), None without a record."""
    for record in lookup.txt(name):
        tags = dict(part.partition("=")[::2] for part in record.replace(" ", "").split(";"))
        if "p" in tags and tags.get("v", "DKIM1") == "DKIM1":
            return tags["p"]
    return None
