"""SPF (RFC 7208): what a receiver finds when an address sends for a domain."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

from emailcfg.diagnosis.lookup import Lookup
from emailcfg.diagnosis.spf_record import Outcome, PermanentError, Term, only_record, parse

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_LOOKUPS = 10  # RFC 7208 section 4.6.4
MAX_VOIDS = 2
_MAX_MX = 10
_MACRO = re.compile(r"%(?:\{([slodiphcrtvSLODIPHCRTV])(\d{0,3})([rR]?)([.\-+,/_=]*)\}|([%_\-]))")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`decided_by` is the mechanism that decided, or the sentence that says why it is an error."""

    outcome: Outcome
    decided_by: str = ""


def evaluate(domain: str, address: str, *, sender: str, helo: str, lookup: Lookup) -> Evaluation:
    """What a receiver finds when `address` sends for `sender`; raises Unanswered when DNS does not answer."""
    try:
        return _Check(ipaddress.ip_address(address), sender, helo, lookup).host(domain)
    except PermanentError as error:
        return Evaluation("permerror", str(error))


def network_of(term: Term) -> Network:
    """The network of an ip4 or ip6 term; raises PermanentError when it names none of its kind."""
    try:
        network = ipaddress.ip_network(term.value, strict=False)
    except ValueError:
        raise PermanentError(f"The record holds “{term.name}:{term.value[:60]}”, which is no address.") from None
    if f"ip{network.version}" != term.name:
        raise PermanentError(
            f"The record holds “{term.name}:{term.value[:60]}”; that address belongs to the other kind."
        )
    return network


class _Check:
    """One run of check_host() (RFC 7208 section 4) with its limits."""

    def __init__(self, address: Address, sender: str, helo: str, lookup: Lookup) -> None:
        self.address, self.sender, self.helo, self.lookup = address, sender, helo, lookup
        self.lookups = self.voids = 0

    def host(self, domain: str) -> Evaluation:
        record = only_record(domain, self.lookup)
        if record is None:
            return Evaluation("none")
        terms = parse(record)
        for term in terms:
            if not term.modifier and self._matches(term, domain):
                return Evaluation(term.outcome, f"{term.name}:{term.value}".rstrip(":"))
        redirect = next((term.value for term in terms if term.modifier and term.name == "redirect"), "")
        if not redirect:
            return Evaluation("neutral")
        self._spend()
        found = self.host(self._expanded(redirect, domain))
        if found.outcome == "none":
            raise PermanentError(f"The record redirects to {redirect}, which has no SPF record.")
        return found

    def _matches(self, term: Term, domain: str) -> bool:
        match term.name:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._in_network(term)
            case "include":
                self._spend()
                target = self._expanded(term.value, domain)
                found = self.host(target)
                if found.outcome == "none":
                    raise PermanentError(f"The record includes {target}, which has no SPF record.")
                return found.outcome == "pass"
            case "exists":
                self._spend()
                return bool(self._counted(self.lookup.addresses(self._expanded(term.value, domain), version=4)))
            case "a":
                self._spend()
                target, *lengths = term.prefixes
                return self._is_one_of(self._expanded(target, domain) or domain, lengths)
            case "mx":
                self._spend()
                target, *lengths = term.prefixes
                hosts = self._counted(self.lookup.mx(self._expanded(target, domain) or domain))
                if len(hosts) > _MAX_MX:
                    raise PermanentError(f"The record's mx leads to {len(hosts)} hosts, where 10 are allowed.")
                return any(self._is_one_of(host, lengths, counted=False) for host in hosts if host)
            case _:  # ptr: slow, unreliable and not to be used (RFC 7208 section 5.5); counted, never matched
                self._spend()
                return False

    def _in_network(self, term: Term) -> bool:
        return self.address in network_of(term)

    def _is_one_of(self, host: str, lengths: list[int], *, counted: bool = True) -> bool:
        found = self.lookup.addresses(host, version=self.address.version)
        length = lengths[0] if self.address.version == 4 else lengths[1]
        for address in self._counted(found) if counted else found:
            if self.address in ipaddress.ip_network(f"{address}/{length}", strict=False):
                return True
        return False

    def _spend(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise PermanentError("The record needs more than 10 DNS look-ups, so receivers give up on it.")

    def _counted(self, answers: list[str]) -> list[str]:
        self.voids += not answers
        if self.voids > MAX_VOIDS:
            raise PermanentError("More than two names in the record lead to nothing, so receivers give up on it.")
        return answers

    def _expanded(self, text: str, domain: str) -> str:
        """Macros of RFC 7208 section 7."""
        local, _, sender_domain = self.sender.rpartition("@")
        address = self.address
        dotted = str(address) if address.version == 4 else ".".join(address.exploded.replace(":", ""))
        values = {"s": self.sender, "l": local or "postmaster", "o": sender_domain, "d": domain, "i": dotted}
        values |= {"h": self.helo, "p": "unknown", "v": "in-addr" if address.version == 4 else "ip6"}

        def replaced(found: re.Match[str]) -> str:
            letter, digits, backwards, delimiters, sign = found.groups()
            if sign:
                return {"%": "%", "_": " ", "-": "%20"}[sign]
            parts = re.split(f"[{re.escape(delimiters or '.')}]", values.get(letter.lower(), ""))
            parts = parts[::-1] if backwards else parts
            value = ".".join(parts[-int(digits) :] if digits and int(digits) else parts)
            return quote(value, safe="") if letter.isupper() else value

        return _MACRO.sub(replaced, text)
