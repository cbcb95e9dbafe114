"""DKIM (RFC 6376): the keys that are published for a sender, whether they are sound, and for which domain."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from emailcfg.diagnosis.findings import Check, State
from emailcfg.diagnosis.lookup import Lookup, Unanswered
from emailcfg.diagnosis.mail_services import MailService
from emailcfg.diagnosis.organisation import organisation

# What many programs and services are set up with; looked for where nobody told the selectors.
USUAL = ("default", "dkim", "mail", "selector1", "google", "k1", "s1", "key1", "smtp")


@dataclass(frozen=True, slots=True)
class Key:
    """The record at one selector. `fault` says in a sentence why receivers can't use it, `remarks` what is weak."""

    selector: str
    domain: str
    record: str
    fault: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Signing:
    """The check, and the domains for which a sound key stands; `known` is False where the selectors are a guess."""

    check: Check
    domains: tuple[str, ...] = ()
    known: bool = True


def check_dkim(domain: str, service: MailService | None, selectors: Sequence[str], lookup: Lookup) -> Signing:
    """Looks at the sender's domain and at the organisation above it, which may sign for it. Raises Unanswered."""
    where = service.dkim_where if service else "The operator of the relay tells the selector and the record."
    wanted = tuple(dict.fromkeys([*selectors, *(service.selectors if service else ())]))
    places = tuple(dict.fromkeys((domain, organisation(domain))))
    keys = [key for place in places for one in wanted or USUAL for key in _keys(one, place, lookup)]
    if not wanted:
        return _guessed(keys, where)
    sound = [key for key in keys if not key.fault]
    found = tuple(f"{key.name}: {key.record}" for key in keys)
    remarks = [remark for key in keys for remark in key.remarks]
    if sound:
        at = sound[0].domain
        names = ", ".join(dict.fromkeys(key.selector for key in sound))
        above = "" if at == domain else f" at {at}, the domain above {domain}"
        sentence = f"A DKIM key is published for the selector {names}{above}."
        details = (*remarks, *(key.fault for key in keys if key.fault))
        check = Check("dkim", "DKIM", State.OK, sentence, "", found, None, details)
        return Signing(check, tuple(dict.fromkeys(key.domain for key in sound)))
    if keys:
        check = Check("dkim", "DKIM", State.PROBLEM, keys[0].fault, f"Publish a sound key. {where}", found)
        return Signing(check)
    return Signing(_missing(domain, wanted, where, lookup))


def _guessed(keys: list[Key], where: str) -> Signing:
    usable = [key for key in keys if not key.fault]
    found = tuple(f"{key.name}: {key.record}" for key in keys)
    if usable:
        names = ", ".join(key.name for key in usable)
        sentence = f"A DKIM key is published at {names}; whether this service signs with it is not known."
    else:
        sentence = "The DKIM selectors are not known, so DKIM could not be checked."
    step = f"Enter the selectors to check them, or read them from the headers of a mail that arrived. {where}"
    return Signing(Check("dkim", "DKIM", State.UNKNOWN, sentence, step, found), known=False)


def _missing(domain: str, wanted: Sequence[str], where: str, lookup: Lookup) -> Check:
    names = " and ".join(f"{selector}._domainkey.{domain}" for selector in wanted)
    sentence = f"No DKIM key is published at {names}, so receivers can't tell that mail comes from {domain}."
    step = f"Publish the DKIM records of the service. {where}"
    for selector in wanted:
        name = f"{selector}._domainkey.{domain}"
        twice = misplaced(name, domain, lookup)
        if twice:
            sentence = f"The DKIM record of {selector} is published at {twice}, one time too deep."
            step = f"Most DNS consoles add {domain} by themselves: enter only {selector}._domainkey as the name."
            return Check("dkim", "DKIM", State.WARNING, sentence, step)
        target = _alias(name, lookup)
        if target:
            sentence = f"{name} points to {target}, where no DKIM key is found."
            return Check("dkim", "DKIM", State.WARNING, sentence, f"Compare the record with the service's. {where}")
    return Check("dkim", "DKIM", State.WARNING, sentence, step)


def misplaced(name: str, domain: str, lookup: Lookup) -> str:
    """Where a record stands when a DNS console added the domain to a name that ended in it already, "" if not there."""
    twice = f"{name}.{domain}"
    try:
        return twice if lookup.txt(twice) or lookup.alias(twice) else ""
    except Unanswered:
        return ""


def _alias(name: str, lookup: Lookup) -> str:
    try:
        return lookup.alias(name)
    except Unanswered:
        return ""


def _keys(selector: str, domain: str, lookup: Lookup) -> list[Key]:
    records = [text for text in lookup.txt(f"{selector}._domainkey.{domain}") if "p" in _tags(text)]
    keys = [_judged(selector, domain, record) for record in records]
    if len(keys) > 1:
        fault = f"{keys[0].name} has {len(keys)} DKIM records, so receivers may take any of them."
        return [Key(selector, domain, key.record, fault) for key in keys]
    return keys


def _tags(record: str) -> dict[str, str]:
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip(): "".join(value.split()) for name, mark, value in parts if mark}


def _judged(selector: str, domain: str, record: str) -> Key:
    tags = _tags(record)
    fault, remarks = _fault(tags), []
    if not fault:
        kind = tags.get("k", "rsa")
        fault, strength = _strength(kind, tags["p"])
        if strength:
            remarks.append(f"{selector}: {strength}")
    if "y" in tags.get("t", "").split(":"):
        remarks.append(f"{selector}: The key is marked as a test (t=y), so receivers may treat the mail as unsigned.")
    told = f"The DKIM key at {selector}._domainkey.{domain} can't be used: {fault}" if fault else ""
    return Key(selector, domain, record, told, tuple(remarks))


def _fault(tags: dict[str, str]) -> str:
    if tags.get("v", "DKIM1") != "DKIM1":
        return f"its version is {tags['v'][:20]}, not DKIM1."
    if not tags["p"]:
        return "it was withdrawn (its record is empty)."
    if "h" in tags and "sha256" not in tags["h"].split(":"):
        return "it allows only hashes that receivers no longer take (h without sha256)."
    if not {"*", "email"} & set(tags.get("s", "*").split(":")):
        return "it is not meant for mail (s without email)."
    return ""


def _strength(kind: str, text: str) -> tuple[str, str]:
    """A fault, and what there is to say about a key's strength."""
    try:
        raw = base64.b64decode(text, validate=True)
        if kind == "ed25519":
            short = len(raw) != 32
            return ("it is no Ed25519 key." if short else ""), "Ed25519; Gmail and others check only RSA keys."
        if kind != "rsa":
            return f"its kind “{kind[:20]}” is unknown.", ""
        key = load_der_public_key(raw)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return "its key is damaged; a part may have been lost when it was copied.", ""
    bits = key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
    if bits < 1024:
        return f"it has {bits} bits, and receivers take 1024 at least.", ""
    advice = "" if bits >= 2048 else " 2048 are advised."
    return "", f"RSA with {bits} bits.{advice}"
