"""Whether SendGrid knows a sender: its verified single senders and authenticated domains, asked before a test.

`GET /v3/verified_senders` and `GET /v3/whitelabel/domains` (Twilio SendGrid API reference, Sender Verification and
Domain Authentication). Many keys may not read them, and a subuser may send from a domain of its parent account
that its own list does not show, so the lists can prove a sender and hardly ever disprove one."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from emailcfg.providers.base import ErrorClass, Failure, Stage
from emailcfg.providers.https import Response
from emailcfg.providers.reply import Redactor, words
from emailcfg.providers.stages import Note, StageFailed

SENDERS, DOMAINS = "/v3/verified_senders?limit=50", "/v3/whitelabel/domains?limit=20"  # an answer is cut at 64 KB
_AT_THE_MAIL = "SendGrid decides it when a mail is sent."
_LIMITS = {SENDERS: 50, DOMAINS: 20}

Ask = Callable[[str], Response | None]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A list of SendGrid's: names that count, and those that still wait for their proof. `complete` is False when
    it was cut or could not be read."""

    good: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    complete: bool = False


def note_sender(note: Note, sender: str, ask: Ask, redact: Redactor, *, decides: bool) -> None:
    """Looks `sender` up in both lists and writes down what was found. `ask` answers a path, None when it could not.

    A sender in neither list makes the step fail (StageFailed) only where it `decides`, because no mail follows;
    before a mail the step is left open, for SendGrid's own answer to the mail is the truth."""
    senders = _read(ask(SENDERS), SENDERS, "from_email", "verified", redact)
    domains = _read(ask(DOMAINS), DOMAINS, "domain", "valid", redact)
    address, domain = sender.lower(), sender.lower().rpartition("@")[2]
    note.facts.update(verified_senders=list(senders.good), authenticated_domains=list(domains.good))
    if domain in domains.good:
        note.detail = f"{domain} is an authenticated domain of the account."
        return
    if address in senders.good:
        note.detail = f"{sender} is a verified sender of the account."
        return
    of_a_subdomain = any(domain.endswith(f".{name}") for name in domains.good)
    if of_a_subdomain or not (senders.complete and domains.complete):
        note.ok, note.detail = None, f"It could not be told whether {sender} is verified. {_AT_THE_MAIL}"
        return
    found = ", ".join((*senders.good, *domains.good))
    note.facts["verified_found"] = found or "none"
    waits = address in senders.waiting or domain in domains.waiting
    missing = "is not yet a verified sender" if waits else "is neither a verified sender nor of an authenticated domain"
    if decides:
        detail = f"{sender} {missing} of the account."
        raise StageFailed(Failure(Stage.SENDER, ErrorClass.SENDER, "sender_not_verified", detail=detail))
    known = f"Verified are: {found}." if found else "The account has verified none."
    note.ok, note.detail = None, f"{sender} {missing} of the account. {known} {_AT_THE_MAIL}"


def _read(response: Response | None, path: str, name: str, proof: str, redact: Redactor) -> _Listed:
    if response is None or response.status != 200:
        return _Listed()
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return _Listed()
    rows = document.get("results") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        return _Listed()
    entries = [row for row in rows if isinstance(row, dict)]
    found = [(words(str(row.get(name, "")), redact)[:320].lower(), row.get(proof)) for row in entries]
    return _Listed(
        good=tuple(entry for entry, proven in found if entry and proven is True),
        waiting=tuple(entry for entry, proven in found if entry and proven is not True),
        complete=len(rows) < _LIMITS[path],
    )
