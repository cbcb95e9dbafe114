"""The check of SPF: does the sender's domain permit the service or the relay, and what to publish if not."""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from emailcfg.diagnosis.findings import Check, Record, State
from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.mail_services import MailService
from emailcfg.diagnosis.spf import MAX_LOOKUPS, MAX_VOIDS, Evaluation, evaluate
from emailcfg.diagnosis.spf_record import nearly_records_of, records_of
from emailcfg.diagnosis.spf_survey import Survey, survey

_SAMPLES = 6  # addresses of a service that are tried where its name is not in the record
_ERROR = "Receivers count that as an error."


@dataclass(frozen=True, slots=True)
class Way:
    """How mail leaves: through a known service, or through the relay `host`. `addresses` are those the relay sends
    from where the administrator knows better than DNS. `dkim_vouches` says that a DKIM key stands for the domain."""

    sender: str
    service: MailService | None
    host: str = ""
    addresses: tuple[str, ...] = ()
    dkim_vouches: bool = False


def check_spf(domain: str, way: Way, lookup: Lookup) -> Check:
    """Raises Unanswered."""
    records = records_of(domain, lookup)
    found = survey(domain, lookup) if len(records) == 1 else Survey()
    publish, needed = _to_publish(domain, way, records, found, lookup)
    told = _broken(domain, way, records, found, publish, lookup)
    if told is None and way.service:
        told = _service(domain, way, way.service, records, found, publish, lookup)
    told = told or _relay(domain, way, records, publish, lookup)
    total = found.lookups + needed
    if told.publish is not None and len(records) == 1 and total > MAX_LOOKUPS:
        full = f"It then needs {total} DNS look-ups, where 10 are allowed: first remove services that no longer send."
        told = replace(told, next_step=f"{told.next_step} {full}")
    if found.ending == "pass" and told.state is State.OK:
        sentence = f"SPF of {domain} ends in +all, which permits every server in the world."
        told = replace(told, state=State.WARNING, sentence=sentence, next_step="Replace +all by ~all.")
    return replace(told, found=tuple(records), details=tuple(_remarks(found)))


def _check(state: State, sentence: str, step: str = "", publish: Record | None = None) -> Check:
    return Check("spf", "SPF", state, sentence, step, (), publish)


def _broken(
    domain: str, way: Way, records: list[str], found: Survey, publish: Record | None, lookup: Lookup
) -> Check | None:
    """What makes receivers give up on the record, whoever sends."""
    nearly = nearly_records_of(domain, lookup) if not records else []
    if nearly:
        sentence = f"{domain} has a record that is meant as SPF, “{nearly[0][:80]}”, and receivers pass over it."
        return _check(State.PROBLEM, sentence, "Replace it by a record that begins with v=spf1 and a space.", publish)
    if len(records) > 1:
        sentence = f"{domain} has {len(records)} SPF records, where one is allowed; receivers count that as an error."
        return _check(State.PROBLEM, sentence, "Replace them by this one record.", publish)
    if found.error:
        return _check(State.PROBLEM, f"{found.error} {_ERROR}", "Correct the SPF record of the domain.")
    if found.lookups > MAX_LOOKUPS:
        sentence = f"The SPF record of {domain} needs {found.lookups} DNS look-ups, and receivers give up after 10."
        step = "Remove the includes of services that no longer send for this domain."
        spent = found.domains.get(way.service.spf_include, found.lookups) if way.service else found.lookups
        if spent <= MAX_LOOKUPS and way.service:
            sentence += f" {way.service.name} stands before the limit, so its mail still passes."
            return _check(State.WARNING, sentence, step)
        return _check(State.PROBLEM, sentence, step)
    if len(found.voids) > MAX_VOIDS:
        names = ", ".join(found.voids[:4])
        sentence = f"The SPF record of {domain} names {len(found.voids)} hosts that lead to nothing ({names}), where 2 "
        return _check(State.PROBLEM, f"{sentence}are allowed. {_ERROR}", "Remove their entries from the record.")
    return None


def _service(
    domain: str,
    way: Way,
    service: MailService,
    records: list[str],
    found: Survey,
    publish: Record | None,
    lookup: Lookup,
) -> Check:
    wanted = service.spf_include
    if any(reached == wanted or reached.endswith(f".{wanted}") for reached in {domain, *found.domains}):
        return _check(State.OK, f"SPF of {domain} permits {service.name} ({wanted}).")
    passed, tried = _sampled(domain, way, service, lookup) if records else (0, 0)
    if tried and passed == tried:
        sentence = f"SPF of {domain} permits the addresses of {service.name} without naming {wanted}."
        return _check(State.OK, sentence)
    missing = f"SPF of {domain} does not permit {service.name}." if records else f"{domain} has no SPF record."
    if passed:
        missing = f"SPF of {domain} permits only some of the addresses of {service.name}."
    if any(wanted in entry for entry in found.dead):
        missing = f"SPF of {domain} names {wanted} behind “all”, where nobody reads any more."
    if service.own_return_path and way.dkim_vouches:
        sentence = (
            f"{missing} It need not: {service.name} uses a return path of its own, and DKIM vouches for {domain}."
        )
        return _check(State.OK, sentence)
    if service.own_return_path:
        sentence = (
            f"{missing} {service.name} uses a return path of its own, where SPF passes without it; DKIM has to vouch "
            f"for {domain} then."
        )
        step = "Set up DKIM for the domain; publish this record too if the return path is in your own domain."
        return _check(State.WARNING, sentence, step, publish)
    sentence = f"{missing} Receivers may put its mail into the spam folder or refuse it."
    return _check(State.PROBLEM, sentence, "Publish this record.", publish)


def _sampled(domain: str, way: Way, service: MailService, lookup: Lookup) -> tuple[int, int]:
    """How many of some addresses of a service pass, and how many were tried. Records that list addresses themselves or
    decide by macros permit a service without naming it."""
    networks = survey(service.spf_include, lookup).networks
    step = max(1, len(networks) // _SAMPLES)
    samples = [str(network.network_address) for network in networks[::step][:_SAMPLES]]
    outcomes = [_evaluated(domain, way, address, lookup).outcome for address in samples]
    return outcomes.count("pass"), len(outcomes)


def _evaluated(domain: str, way: Way, address: str, lookup: Lookup) -> Evaluation:
    return evaluate(domain, address, sender=way.sender, helo=way.host or domain, lookup=lookup)


def _relay(domain: str, way: Way, records: list[str], publish: Record | None, lookup: Lookup) -> Check:
    addresses = _public(way, lookup)
    if not addresses:
        sentence = "The relay has no public address here, so whether SPF permits it is not known."
        step = "Make sure that SPF permits the public address from which the relay sends."
        return _check(State.UNKNOWN, sentence, step)
    outcomes = {address: _evaluated(domain, way, address, lookup) for address in addresses}
    refused = {address: found for address, found in outcomes.items() if found.outcome != "pass"}
    relay = f"the relay {way.host}" if way.host else "the relay"
    if not refused:
        by = next(iter(outcomes.values())).decided_by
        return _check(State.OK, f"SPF of {domain} permits {relay} ({', '.join(addresses)}) by {by}.")
    address, found = next(iter(refused.items()))
    if found.outcome == "permerror":
        return _check(State.PROBLEM, f"{found.decided_by} {_ERROR}", "Correct the SPF record of the domain.")
    missing = (
        f"SPF of {domain} does not permit {address} ({found.outcome})" if records else f"{domain} has no SPF record"
    )
    if way.addresses:
        sentence = f"{missing}. Receivers may put its mail into the spam folder or refuse it."
        return _check(State.PROBLEM, sentence, "Publish this record.", publish)
    return _check(
        State.WARNING,
        f"{missing}. The relay {way.host} may send from another address than the one it listens on.",
        f"Publish this record if {way.host} sends mail to the internet from {address}.",
        publish,
    )


def _remarks(found: Survey) -> list[str]:
    told = []
    if found.lookups:
        told.append(f"The record needs {found.lookups} of 10 DNS look-ups.")
        told += [f"{text} takes {cost} of them." for text, cost in found.costs if cost > 1]
    if found.voids:
        names = ", ".join(found.voids[:4])
        told.append(f"These names lead to nothing and can be removed: {names}.")
    if found.dead:
        told.append(f"Entries behind “all” are never read: {', '.join(found.dead[:4])}.")
    if found.ptr:
        told.append("The entry “ptr” is slow, and some receivers pass over it (RFC 7208 advises against it).")
    if found.macros:
        told.append("An entry decides by macros for each mail, so it could not be followed in full.")
    if found.ending == "neutral":
        told.append("The record ends in ?all, so receivers learn nothing about servers that are not permitted.")
    return told


def _to_publish(domain: str, way: Way, records: list[str], found: Survey, lookup: Lookup) -> tuple[Record | None, int]:
    """The record that permits this way too, and the look-ups that the added entry costs."""
    if way.service:
        permit, cost = f"include:{way.service.spf_include}", 1
        if found.lookups:
            with suppress(Unanswered):
                cost += survey(way.service.spf_include, lookup).lookups
    else:
        addresses = _public(way, lookup)
        permit, cost = " ".join(f"ip{ipaddress.ip_address(one).version}:{one}" for one in addresses), 0
    return (Record(domain, "TXT", _merged(records, permit)) if permit else None), cost


def _public(way: Way, lookup: Lookup) -> list[str]:
    """The public addresses from which the relay sends, as far as they are known."""
    addresses: Sequence[str] = way.addresses
    if not addresses:
        try:
            addresses = [str(ipaddress.ip_address(way.host))]
        except ValueError:
            addresses = lookup.addresses(way.host) if way.host else []
    return [address for address in addresses if ipaddress.ip_address(address).is_global]


def _merged(records: list[str], permit: str) -> str:
    """One record that keeps what all records permit, adds `permit`, and ends as the mildest of them ends. What stood
    behind an "all" comes before it, where it was meant to be read."""
    terms = list(dict.fromkeys(term for record in records for term in record.split()[1:]))
    endings = [term.lower() for term in terms if term.lower().lstrip("+-~?") == "all"]
    redirects = [term for term in terms if term.lower().startswith("redirect=")]
    kept = [term for term in terms if term.lower().lstrip("+-~?") != "all" and term not in redirects]
    kept += [term for term in permit.split() if term not in kept]
    mildest = next((ending for ending in ("?all", "~all", "-all") if ending in endings), "~all")
    if redirects and not endings:
        return " ".join(["v=spf1", *kept, redirects[0]])
    return " ".join(["v=spf1", *kept, mildest])
