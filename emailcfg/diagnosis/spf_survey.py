"""All that an SPF record leads to, whatever would match first: what it costs, whom it includes, where it is broken."""

from dataclasses import dataclass, field

from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.spf import MAX_LOOKUPS, Network, network_of
from emailcfg.diagnosis.spf_record import PermanentError, Term, only_record, parse

_COST = ("include", "a", "mx", "ptr", "exists", "redirect")


@dataclass
class Survey:
    """`domains` are reached by include or redirect with a pass, each with the look-ups spent when its record is read
    to its end; `costs` what each entry of the domain's own record costs, in its order. `voids` are names that lead to
    nothing, `networks` those that pass, `ending` the outcome of "all" ("" without), `dead` entries behind an "all",
    which nobody reads. `macros` says that an entry depends on each mail, so that it can't be followed here."""

    domains: dict[str, int] = field(default_factory=dict)
    costs: list[tuple[str, int]] = field(default_factory=list)
    voids: list[str] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    lookups: int = 0
    ending: str = ""
    macros: bool = False
    ptr: bool = False
    error: str = ""


def survey(domain: str, lookup: Lookup) -> Survey:
    """Walks every include and redirect: the cost in the worst case. Raises Unanswered."""
    found = Survey()
    try:
        _walk(domain, lookup, found, seen=(), passing=True)
    except PermanentError as error:
        found.error = str(error)
    return found


def _walk(domain: str, lookup: Lookup, found: Survey, *, seen: tuple[str, ...], passing: bool, verb: str = "") -> None:
    record = only_record(domain, lookup)
    if record is None:
        if seen:
            raise PermanentError(f"The record {verb} {domain}, which has no SPF record.")
        return
    terms = parse(record)
    last = next((index for index, term in enumerate(terms) if term.name == "all" and not term.modifier), len(terms))
    ended = last < len(terms)
    for index, term in enumerate(terms):
        if (term.modifier and (term.name != "redirect" or ended)) or (not term.modifier and index > last):
            if not seen and (not term.modifier or term.name == "redirect"):
                found.dead.append(term.text)
            continue
        before = found.lookups
        _visit(term, domain, lookup, found, seen=seen, passing=passing)
        if not seen and term.name in _COST:
            found.costs.append((term.text, found.lookups - before))
    if ended and not seen:
        found.ending = terms[last].outcome


def _visit(term: Term, domain: str, lookup: Lookup, found: Survey, *, seen: tuple[str, ...], passing: bool) -> None:
    passes = passing and (term.modifier or term.outcome == "pass")
    if term.name in ("ip4", "ip6"):
        network = network_of(term)
        if passes:
            found.networks.append(network)
    if term.name not in _COST:
        return
    found.lookups += 1
    found.ptr = found.ptr or term.name == "ptr"
    if "%" in term.value:
        found.macros = True
    elif term.name in ("include", "redirect"):
        _follow(term, domain, lookup, found, seen=seen, passes=passes)
    elif term.name in ("a", "mx", "exists") and found.lookups <= 3 * MAX_LOOKUPS:
        _count_void(term, domain, lookup, found)


def _follow(term: Term, domain: str, lookup: Lookup, found: Survey, *, seen: tuple[str, ...], passes: bool) -> None:
    target = term.value.lower().rstrip(".")
    verb = "redirects to" if term.modifier else "includes"
    if target in (*seen, domain):
        raise PermanentError(f"The record {verb} {target} in a circle.")
    if found.lookups <= 3 * MAX_LOOKUPS:  # far beyond the limit there is nothing left to learn
        _walk(target, lookup, found, seen=(*seen, domain), passing=passes, verb=verb)
    if passes:
        found.domains.setdefault(target, found.lookups)


def _count_void(term: Term, domain: str, lookup: Lookup, found: Survey) -> None:
    name = term.prefixes[0] or domain
    try:
        answers = lookup.mx(name) if term.name == "mx" else lookup.addresses(name)
    except Unanswered:
        return  # whether a side entry leads to nothing does not decide about the whole
    if not answers:
        found.voids.append(name)
