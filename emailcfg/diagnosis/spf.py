"""SPF (RFC 7208): reads records, evaluates them for an address, and surveys all that a record includes."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from emailcfg.diagnosis.lookup import Lookup

Outcome = Literal["none", "neutral", "pass", "fail", "softfail", "permerror"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_LOOKUPS = 10  # RFC 7208 section 4.6.4
MAX_VOIDS = 2
_MAX_MX = 10
_OUTCOMES: dict[str, Outcome] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_TERM = re.compile(r"^([+\-~?]?)([A-Za-z][A-Za-z0-9._-]*)(?:([:/=])(.*))?$", re.DOTALL)
_MECHANISMS = {"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}
_CIDR = re.compile(r"^(.*?)(?:/(\d{1,3}))?(?://(\d{1,3}))?$", re.DOTALL)
_MACRO = re.compile(r"%(?:\{([slodiphcrtvSLODIPHCRTV])(\d{0,3})([rR]?)([.\-+,/_=]*)\}|([%_\-]))")


class PermanentError(Exception):
    """The record can't be evaluated, so receivers treat it as an error. The message is a whole sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism (`name` of RFC 7208 section 5) or, without qualifier, a modifier."""

    outcome: Outcome
    name: str
    value: str
    modifier: bool = False

    @property
    def prefixes(self) -> tuple[str, int, int]:
        """The value without its prefix lengths, and those for IPv4 and IPv6 ("a:host/24//64")."""
        found = _CIDR.match(self.value)
        target, four, six = found.groups() if found else (self.value, None, None)
        lengths = (int(four or 32), int(six or 128))
        if lengths[0] > 32 or lengths[1] > 128:
            raise PermanentError(f"The record holds “{self.name}:{self.value}”, whose prefix length is too large.")
        return target, *lengths


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`decided_by` is the mechanism that decided, or the sentence that says why it is an error."""

    outcome: Outcome
    decided_by: str = ""


@dataclass
class Survey:
    """Everything a record includes: the domains reached by include or redirect with a pass, and what it costs."""

    domains: set[str] = field(default_factory=set)
    lookups: int = 0
    error: str = ""


def records_of(domain: str, lookup: Lookup) -> list[str]:
    """The SPF records of a domain, as published."""
    return [text for text in lookup.txt(domain) if re.match(r"v=spf1(?: |$)", text, re.IGNORECASE)]


def parse(record: str) -> list[Term]:
    """Raises PermanentError on a term that is none."""
    terms = []
    for text in record.split()[1:]:
        found = _TERM.match(text)
        qualifier, name, mark, value = found.groups() if found else ("", "", "", "")
        name = name.lower()
        if found and mark == "=" and not qualifier:
            terms.append(Term("neutral", name, value or "", modifier=True))
        elif found and mark != "=" and name in _MECHANISMS:
            # "a/24" has no domain: the slash belongs to the value
            value = f"/{value}" if mark == "/" else value or ""
            if name in ("include", "exists", "ip4", "ip6") and not value:
                raise PermanentError(f"The record holds “{text}”, which names nothing.")
            terms.append(Term(_OUTCOMES[qualifier or "+"], name, value))
        else:
            raise PermanentError(f"The record holds “{text[:60]}”, which SPF does not know.")
    return terms


def evaluate(domain: str, address: str, *, sender: str, helo: str, lookup: Lookup) -> Evaluation:
    """What a receiver finds when `address` sends for `sender`; raises Unanswered when DNS does not answer."""
    try:
        return _Check(ipaddress.ip_address(address), sender, helo, lookup).host(domain)
    except PermanentError as error:
        return Evaluation("permerror", str(error))


def survey(domain: str, lookup: Lookup) -> Survey:
    """Walks every include and redirect, whatever would match first: the cost in the worst case."""
    found = Survey()
    try:
        _walk(domain, lookup, found, seen=set(), passing=True)
    except PermanentError as error:
        found.error = str(error)
    return found


def _only(domain: str, lookup: Lookup) -> str | None:
    records = records_of(domain, lookup)
    if len(records) > 1:
        raise PermanentError(f"{domain} has {len(records)} SPF records, where only one is allowed.")
    return records[0] if records else None


def _walk(domain: str, lookup: Lookup, found: Survey, *, seen: set[str], passing: bool) -> None:
    record = _only(domain, lookup)
    if record is None:
        if seen:
            raise PermanentError(f"The record includes {domain}, which has no SPF record.")
        return
    terms = parse(record)
    has_all = any(term.name == "all" and not term.modifier for term in terms)
    for term in terms:
        if term.modifier and (term.name != "redirect" or has_all):
            continue
        if term.name in ("include", "a", "mx", "ptr", "exists", "redirect"):
            found.lookups += 1
        if term.name in ("include", "redirect") and "%" not in term.value:
            target = term.value.lower().rstrip(".")
            if target in seen or target == domain:
                raise PermanentError(f"The record includes {target} in a circle.")
            good = passing and (term.modifier or term.outcome == "pass")
            if good:
                found.domains.add(target)
            if found.lookups <= 3 * MAX_LOOKUPS:  # far beyond the limit there is nothing left to learn
                _walk(target, lookup, found, seen=seen | {domain}, passing=good)


class _Check:
    """One run of check_host() (RFC 7208 section 4) with its limits."""

    def __init__(self, address: Address, sender: str, helo: str, lookup: Lookup) -> None:
        self.address, self.sender, self.helo, self.lookup = address, sender, helo, lookup
        self.lookups = self.voids = 0

    def host(self, domain: str) -> Evaluation:
        record = _only(domain, self.lookup)
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
        try:
            return self.address in ipaddress.ip_network(term.value, strict=False)
        except ValueError:
            raise PermanentError(f"The record holds “{term.name}:{term.value[:60]}”, which is no address.") from None

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
