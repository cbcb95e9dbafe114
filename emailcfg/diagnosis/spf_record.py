"""An SPF record as text (RFC 7208 section 12): finding it among a domain's TXT records, and taking it apart."""

import re
from dataclasses import dataclass
from typing import Literal

from emailcfg.diagnosis.lookup import Lookup

Outcome = Literal["none", "neutral", "pass", "fail", "softfail", "permerror"]

_OUTCOMES: dict[str, Outcome] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_TERM = re.compile(r"^([+\-~?]?)([A-Za-z][A-Za-z0-9._-]*)(?:([:/=])(.*))?$", re.DOTALL)
_MECHANISMS = {"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}
_CIDR = re.compile(r"^(.*?)(?:/(\d{1,3}))?(?://(\d{1,3}))?$", re.DOTALL)
_VERSION = re.compile(r"v=spf1(?: |$)", re.IGNORECASE)


class PermanentError(Exception):
    """The record can't be evaluated, so receivers treat it as an error. The message is a whole sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism (`name` of RFC 7208 section 5) or, without qualifier, a modifier; `text` is it as published."""

    outcome: Outcome
    name: str
    value: str
    modifier: bool = False
    text: str = ""

    @property
    def prefixes(self) -> tuple[str, int, int]:
        """The value without its prefix lengths, and those for IPv4 and IPv6 ("a:host/24//64")."""
        found = _CIDR.match(self.value)
        target, four, six = found.groups() if found else (self.value, None, None)
        lengths = (int(four or 32), int(six or 128))
        if lengths[0] > 32 or lengths[1] > 128:
            raise PermanentError(f"The record holds “{self.name}:{self.value}”, whose prefix length is too large.")
        return target, *lengths


def records_of(domain: str, lookup: Lookup) -> list[str]:
    """The SPF records of a domain, as published."""
    return [text for text in lookup.txt(domain) if _VERSION.match(text)]


def nearly_records_of(domain: str, lookup: Lookup) -> list[str]:
    """Records that were meant as SPF and that receivers pass over: quoted twice, without a space, another version."""
    texts = [text for text in lookup.txt(domain) if not _VERSION.match(text)]
    return [text for text in texts if re.match(r"\W{0,3}v\s*=?\s*spf|spf1\b|spf2\.0/", text.strip(), re.IGNORECASE)]


def only_record(domain: str, lookup: Lookup) -> str | None:
    """The one SPF record of a domain, None without one; raises PermanentError for several."""
    records = records_of(domain, lookup)
    if len(records) > 1:
        raise PermanentError(f"{domain} has {len(records)} SPF records, where only one is allowed.")
    return records[0] if records else None


def parse(record: str) -> list[Term]:
    """Raises PermanentError on a term that is none, and on a modifier that stands there twice."""
    terms = [_term(text) for text in record.split()[1:]]
    redirects = [term for term in terms if term.modifier and term.name == "redirect"]
    if len(redirects) > 1:
        raise PermanentError("The record holds “redirect” twice.")
    return terms


def _term(text: str) -> Term:
    found = _TERM.match(text)
    qualifier, name, mark, value = found.groups() if found else ("", "", "", "")
    name = name.lower()
    if found and mark == "=" and not qualifier:
        return Term("neutral", name, value or "", modifier=True, text=text)
    if not found or mark == "=" or name not in _MECHANISMS:
        raise PermanentError(f"The record holds “{text[:60]}”, which SPF does not know.")
    # "a/24" has no domain: the slash belongs to the value
    value = f"/{value}" if mark == "/" else value or ""
    if name in ("include", "exists", "ip4", "ip6") and not value:
        raise PermanentError(f"The record holds “{text}”, which names nothing.")
    if name in ("include", "exists", "a", "mx") and ":" in value and "%" not in value:
        # strings of one TXT record are joined without a space, so two terms can run together
        raise PermanentError(f"The record holds “{text[:60]}”, where two entries have run into one.")
    if name == "all" and value:
        raise PermanentError(f"The record holds “{text[:60]}”, and nothing may follow “all”.")
    return Term(_OUTCOMES[qualifier or "+"], name, value, text=text)
