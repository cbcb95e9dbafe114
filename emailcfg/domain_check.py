"""The check of the sender's domain, in the background: DNS may be slow, and the page must not wait for it."""

import ipaddress
import logging
import re
import secrets as random
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from emailcfg.diagnosis.dns import check_sender_domain
from emailcfg.diagnosis.lookup import Lookup, ResolverSettings
from emailcfg.schema import EmailConfig

logger = logging.getLogger(__name__)

_KEPT_S = 900
_MAX_SELECTORS = 10
_SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_runners = ThreadPoolExecutor(max_workers=2, thread_name_prefix="domaincheck")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be checked. `provider` is "smtp" or "sendgrid"; `selectors` are further DKIM selectors,
    `addresses` those from which the relay sends, where the administrator knows them."""

    sender: str
    provider: str = "smtp"
    host: str = ""
    reply_to_domain: str = ""
    selectors: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2].lower().rstrip(".")


def of_config(config: EmailConfig) -> Question:
    """The question for a configuration."""
    general = config.general
    host = config.smtp.host if config.provider != "sendgrid" else ""
    return Question(general.sender_email, config.provider or "smtp", host, general.reply_to_domain)


def of_posted(posted: Mapping[str, str]) -> Question:
    """The question that a form asks, by the names of the fields of Configuration > Email; a bare domain will do."""

    def text(name: str, limit: int = 255) -> str:
        return posted.get(name, "").strip()[:limit]

    sender = text("general__sender_email", 320)
    provider = "sendgrid" if posted.get("sendgrid__enabled") or posted.get("provider") == "sendgrid" else "smtp"
    selectors = [one for one in text("selectors").replace(",", " ").split() if _SELECTOR.fullmatch(one)]
    addresses = [one for one in text("addresses").replace(",", " ").split() if _is_address(one)]
    return Question(
        sender if "@" in sender or not sender else f"postmaster@{sender}",
        provider,
        text("smtp__host") if provider == "smtp" else "",
        text("general__reply_to_domain"),
        tuple(selectors[:_MAX_SELECTORS]),
        tuple(addresses[:_MAX_SELECTORS]) if provider == "smtp" else (),
    )


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def check(question: Question) -> dict[str, Any]:
    """The finished check as JSON; takes at most some 15 seconds. Never raises for what DNS says or does not say."""
    found = check_sender_domain(
        question.sender,
        provider=question.provider,
        host=question.host,
        selectors=question.selectors,
        addresses=question.addresses,
        reply_to_domain=question.reply_to_domain,
        lookup=Lookup(_resolver()),
    )
    return {"state": "done", "question": asdict(question), "found": found.as_json()}


def _resolver() -> ResolverSettings:
    if settings.DNS_RESOLVER is None:
        return ResolverSettings()
    address, port = settings.DNS_RESOLVER
    return ResolverSettings(nameservers=(address,), port=port)


def start(question: Question) -> str:
    """Starts the check and returns the key under which its result can be read for a quarter of an hour."""
    key = random.token_urlsafe(12)
    cache.set(_name(key), {"state": "running", "question": asdict(question)}, _KEPT_S)
    _runners.submit(_run, key, question).add_done_callback(_report)
    return key


def result(key: str) -> dict[str, Any] | None:
    """The check as it stands ("running" or "done"), or None when there is none under this key any more."""
    found: dict[str, Any] | None = cache.get(_name(key))
    return found


def _run(key: str, question: Question) -> None:
    try:
        cache.set(_name(key), check(question), _KEPT_S)
    finally:
        connection.close()


def _report(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        logger.error("A check of a sender domain ended without a result.", exc_info=error)


def _name(key: str) -> str:
    return f"domain-check:{key[:40]}"
