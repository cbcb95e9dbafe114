"""Does DNS vouch for the sender: MX, SPF, DKIM and DMARC of the sender's domain, and where replies go."""

import ipaddress
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from emailcfg.diagnosis.dkim import Signing, check_dkim
from emailcfg.diagnosis.dmarc import check_dmarc
from emailcfg.diagnosis.findings import Check, State, unchecked
from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.mail_services import MailService, owner_of, service_of
from emailcfg.diagnosis.spf_check import Way, check_spf

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
    addresses: Sequence[str] = (),
    reply_to_domain: str = "",
    lookup: Lookup,
    names: Collection[str] = tuple(_TITLES),
) -> SenderDomain:
    """`provider` is "smtp" or "sendgrid", `host` the SMTP server; `selectors` are DKIM selectors to look for beside
    those known for the service, `addresses` those from which the relay sends where they are known, `names` the checks
    to show. Never raises: what DNS does not answer is "could not be checked"."""
    domain = sender.rpartition("@")[2].lower().rstrip(".")
    service = service_of(provider, host)
    owner = owner_of(domain)
    if owner:
        return SenderDomain(domain, (_of_a_mailbox_provider(domain, owner, service),))
    signing: Signing | None = None

    def dkim() -> Check:
        nonlocal signing
        signing = check_dkim(domain, service, selectors, lookup)
        return signing.check

    def spf() -> Check:
        vouches = signing is not None and bool(signing.domains)
        return check_spf(domain, Way(sender, service, host, tuple(addresses), vouches), lookup)

    def replies() -> Check:
        return _replies(reply_to_domain, lookup)

    told: dict[str, Check] = {}
    if {"dkim", "dmarc"} & set(names) or (service and service.own_return_path):
        told["dkim"] = guarded("dkim", dkim, domain)
    told["spf"] = guarded("spf", spf, domain)
    passes = _passes_spf(told["spf"], service)
    if "mx" in names:
        told["mx"] = guarded("mx", lambda: _mx(domain, lookup), domain)
    if "dmarc" in names:
        dmarc = guarded("dmarc", lambda: check_dmarc(domain, lookup, spf_passes=passes, signing=signing), domain)
        told["dmarc"] = dmarc
    if reply_to_domain and reply_to_domain != domain:
        told["reply_to_mx"] = guarded("reply_to_mx", replies, reply_to_domain)
    return SenderDomain(domain, tuple(told[name] for name in _TITLES if name in told and name in names))


def guarded(name: str, check: Callable[[], Check], domain: str) -> Check:
    """A check, or that it could not be made."""
    try:
        return check()
    except Unanswered as error:
        return unchecked(name, _TITLES[name], domain, error.name, servfail=error.servfail)


def _of_a_mailbox_provider(domain: str, owner: str, service: MailService | None) -> Check:
    if service is not None and service.name == owner:
        sentence = f"{domain} belongs to {owner}, which keeps its DNS in order and signs the mail itself."
        return Check("spf", "Sender", State.OK, sentence)
    sentence = (
        f"{domain} belongs to {owner}, and only its own servers may send for it. Receivers put such mail from "
        "anywhere else into the spam folder or refuse it, and nobody but the provider can change that in DNS."
    )
    step = f"Use a sender address in a domain of your own, or send through {owner}."
    return Check("spf", "Sender", State.PROBLEM, sentence, step)


def _passes_spf(spf: Check, service: MailService | None) -> bool | None:
    if service and service.own_return_path:
        return False  # SPF is checked at the service's own domain
    if spf.state is State.WARNING and service is None and spf.publish is not None:
        return None  # the relay may send from another address
    return None if spf.state is State.UNKNOWN else spf.state is not State.PROBLEM


def _mx(domain: str, lookup: Lookup) -> Check:
    hosts = lookup.mx(domain)
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
        return _mail_servers(domain, hosts, lookup)
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


def _mail_servers(domain: str, hosts: list[str], lookup: Lookup) -> Check:
    """Whether the named mail servers can be reached by their names at all."""
    found = tuple(hosts)
    bare = [host for host in hosts if _is_address(host)]
    if bare:
        sentence = f"The MX record of {domain} holds the address {bare[0]}, where only the name of a host may stand."
        step = "Give the mail server a name with an A record, and enter that name in the MX record."
        return Check("mx", "MX", State.PROBLEM, sentence, step, found)
    try:
        lost = [host for host in hosts[:5] if host and not lookup.addresses(host)]
    except Unanswered:
        lost = []
    if lost and len(lost) == len(hosts):
        sentence = f"The mail server of {domain}, {lost[0]}, has no address in DNS, so replies and bounces are lost."
        step = "Correct the MX record, or publish an address for that host."
        return Check("mx", "MX", State.PROBLEM, sentence, step, found)
    details = tuple(f"{host} has no address in DNS." for host in lost)
    sentence = f"Replies and bounces to {domain} go to {next(host for host in hosts if host not in lost)}."
    return Check("mx", "MX", State.OK, sentence, "", found, None, details)


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


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
