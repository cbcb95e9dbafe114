"""What a step has learnt, kept with the test: first as safe JSON, then as lines that a person reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MAX_TEXT = 300  # characters of one value that are kept
_MAX_ITEMS = 50
_MAX_DEPTH = 4
_OUTCOMES = {
    "connected": "connected",
    "connection_refused": "refused",
    "connection_lost": "broken off",
    "timed_out": "no answer",
    "unreachable": "no way there",
}


def safe(facts: Mapping[str, object]) -> dict[str, Any]:
    """The facts as JSON types only, cut to a bounded size; what has no place in JSON becomes its text."""
    cleaned = _safe(facts, _MAX_DEPTH)
    return cleaned if isinstance(cleaned, dict) else {}


def _safe(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping) and depth:
        return {str(name)[:60]: _safe(item, depth - 1) for name, item in list(value.items())[:_MAX_ITEMS]}
    if isinstance(value, list | tuple) and depth:
        return [_safe(item, depth - 1) for item in value[:_MAX_ITEMS]]
    text = str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of every fact worth reading, in the order in which a person asks."""
    certificate = facts.get("certificate") or {}
    size = facts.get("size")
    told = [
        ("Addresses", _listed(facts.get("addresses"))),
        ("IP version set", _text(facts.get("ip_version"))),
        ("Tried", "; ".join(_attempt(one) for one in facts.get("tried") or ())),
        ("TLS version", _text(facts.get("version"))),
        ("Cipher", _text(facts.get("cipher"))),
        ("Certificate for", _listed(certificate.get("names"))),
        ("Issued by", _text(certificate.get("issuer"))),
        ("Valid", _validity(certificate)),
        ("SHA-256 fingerprint", _text(certificate.get("fingerprint"))),
        ("We call ourselves", _text(facts.get("ehlo_name"))),
        ("Largest message (SIZE)", f"{size / 1048576:.0f} MB" if isinstance(size, int) and size else ""),
        ("Logins offered (AUTH)", _listed(facts.get("auth") or facts.get("mechanisms"))),
        ("Login used", _text(facts.get("mechanism"))),
        ("Login refused before", _text(facts.get("mechanism_refused"))),
        ("User name", _text(facts.get("username"))),
        ("Pipelining", _yes_no(facts.get("pipelining"))),
        ("Addresses beyond ASCII (SMTPUTF8)", _yes_no(facts.get("smtputf8"))),
        ("Permissions of the key", _listed(facts.get("scopes"))),
        ("Verified senders", _listed(facts.get("verified_senders"))),
        ("Authenticated domains", _listed(facts.get("authenticated_domains"))),
        ("Id at the service", _text(facts.get("message_id"))),
    ]
    return [(label, value) for label, value in told if value]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _listed(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else _text(value)


def _yes_no(value: Any) -> str:
    return "" if value is None else "yes" if value else "no"


def _attempt(attempt: Mapping[str, Any]) -> str:
    outcome = _OUTCOMES.get(str(attempt.get("outcome")), _text(attempt.get("outcome")))
    return f"{attempt.get('address')}: {outcome} after {attempt.get('ms')} ms"


def _validity(certificate: Mapping[str, Any]) -> str:
    start, end = _day(certificate.get("not_before")), _day(certificate.get("not_after"))
    if not end:
        return ""
    left = certificate.get("days_left")
    days = f", {left} days left" if isinstance(left, int) and left >= 0 else ", expired" if left is not None else ""
    return f"{start} to {end}{days}"


def _day(value: Any) -> str:
    try:
        return f"{datetime.fromisoformat(str(value)):%Y-%m-%d}"
    except ValueError:
        return ""
