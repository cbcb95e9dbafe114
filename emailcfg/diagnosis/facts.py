"""What a failure and its surroundings tell: the facts that rules ask for and that sentences name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pydantic import SecretStr

from emailcfg.providers.base import ErrorClass, Failure, Step
from emailcfg.providers.sendgrid import BASE_URLS
from emailcfg.providers.ses import looks_like_access_key_id, looks_like_aws_secret, region_of
from emailcfg.schema import EmailConfig

SecretShape = str  # "", "iam-secret", "app-password", "not-ascii:<position>"

_APP_PASSWORD = re.compile(r"^[a-z]{4} ?[a-z]{4} ?[a-z]{4} ?[a-z]{4}$")
_PERSONAL = re.compile(r"@(?:outlook|hotmail|live|msn)\.(?:com|de|fr|es|it|co\.uk)$", re.IGNORECASE)
_SES_REGION = re.compile(r"in region ([a-z]{2}(?:-[a-z]+)+-\d)", re.IGNORECASE)
_SES_IDENTITIES = re.compile(r"in region [a-z0-9-]+:\s*(.+)$", re.IGNORECASE | re.DOTALL)
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+\w")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(r"\[(?:IPv6:)?([0-9a-f:]*:[0-9a-f:]+)(?: +\d+)?\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the failure; all of it may be missing.

    `provider` is "smtp", "sendgrid" or "" (unknown). `secret_shape` comes from `secret_shape()`: the form of
    the secret, never the secret. `learnt` holds the facts of the steps so far (certificate names, AUTH
    mechanisms, scopes, `other_region_accepts`). `now` is this machine's clock, UTC."""

    provider: str = ""
    host: str = ""
    port: int | None = None
    security: str = ""
    username: str = ""
    sender: str = ""
    recipient: str = ""
    preset: str = ""
    ehlo_name: str = ""
    secret_shape: SecretShape = ""
    learnt: Mapping[str, object] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def secret_shape(secret: str) -> SecretShape:
    """What a secret looks like, in a word that gives nothing of it away.

    An AWS secret access key has 40 characters of base64; an app password of Google 16 letters."""
    if looks_like_aws_secret(secret):
        return "iam-secret"
    if _APP_PASSWORD.match(secret):
        return "app-password"
    odd = next((position for position, character in enumerate(secret, start=1) if not character.isascii()), 0)
    return f"not-ascii:{odd}" if odd else ""


def context_of(
    config: EmailConfig, *, recipient: str = "", steps: Iterable[Step] = (), api_host: str = "", ehlo_name: str = ""
) -> Context:
    """The context of a failure under `config`, whose secrets may be resolved or not: only their form is looked at.

    `steps` are those reported so far; `api_host` the host of SendGrid's API that is in use."""
    smtp, learnt = config.smtp, learnt_from(steps)
    sender = config.general.sender_email
    if config.delivery.selected == "sendgrid":
        host = api_host or urlsplit(BASE_URLS[config.sendgrid.region]).hostname or ""
        return Context(
            provider="sendgrid", host=host, port=443, security="tls", sender=sender, recipient=recipient, learnt=learnt
        )
    password = smtp.password.get_secret_value() if isinstance(smtp.password, SecretStr) else ""
    return Context(
        provider="smtp",
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        username=smtp.username,
        preset=smtp.preset,
        ehlo_name=smtp.ehlo_hostname or str(learnt.get("ehlo_name") or ehlo_name),
        secret_shape=secret_shape(password),
        sender=sender,
        recipient=recipient,
        learnt=learnt,
    )


def learnt_from(steps: Iterable[Step]) -> dict[str, object]:
    """The facts of all steps so far as one mapping, for `Context.learnt`; a later step has the last word."""
    return {name: value for step in steps for name, value in step.facts.items()}


def known(failure: Failure, context: Context) -> dict[str, str]:
    """Every fact that is known, by name. An unknown fact is absent, so a rule can ask for it."""
    text = failure.reply.text if failure.reply else failure.detail
    facts = {
        "host": context.host,
        "port": str(context.port or ""),
        "security": context.security,
        "username": context.username,
        "sender": context.sender,
        "sender_domain": context.sender.rpartition("@")[2],
        "recipient": context.recipient,
        "ehlo": context.ehlo_name,
        "code": str(failure.reply.code) if failure.reply else "",
        "enhanced": failure.reply.enhanced if failure.reply else "",
        "our_address": _our_address(text),
        "iam_secret": _yes(context.secret_shape, "iam-secret"),
        "in_doubt": _yes(failure.error_class, ErrorClass.IN_DOUBT),
        "microsoft_personal": "yes" if _PERSONAL.search(context.username) else "",
        "app_password": _yes(context.secret_shape, "app-password"),
        "clock": f"{context.now:%Y-%m-%d %H:%M} UTC",
        **_of_ses(text, context),
    }
    if context.secret_shape.startswith("not-ascii:"):
        facts["secret_not_ascii"] = context.secret_shape.partition(":")[2]
    facts.update(_learnt(context.learnt))
    return {name: value for name, value in facts.items() if value}


def _of_ses(text: str, context: Context) -> dict[str, str]:
    host_region = region_of(context.host)
    at_ses = host_region is not None and bool(context.username)
    region = _SES_REGION.search(text)
    facts = {"host_region": host_region or "", "region": region.group(1).lower() if region else ""}
    if at_ses and not looks_like_access_key_id(context.username):
        facts["odd_user"] = context.username
    if host_region and region and facts["host_region"] != facts["region"]:
        facts["region_differs"] = "yes"
    listed = _SES_IDENTITIES.search(text)
    identities = [found.lower() for found in _ADDRESS.findall(listed.group(1))] if listed else []
    if identities:
        facts["identities"] = ", ".join(identities)
        if context.recipient.lower() in identities and context.sender.lower() not in identities:
            facts["identity_is_recipient"] = "yes"
        elif context.recipient.lower() in identities and context.recipient.lower() != context.sender.lower():
            facts["also_recipient"] = context.recipient
    return facts


def _our_address(text: str) -> str:
    """The address a refusing server names is nearly always ours: it says whom it refuses."""
    for found in _IPV4.findall(text):
        if all(int(part) < 256 for part in found.split(".")):
            return str(found)
    six = _IPV6.search(text)
    return six.group(1) if six else ""


_NAMES = {  # fact: the keys under which the steps may tell it
    "names": ("names",),
    "expires": ("not_after",),
    "issuer": ("issuer",),
    "mechanisms": ("mechanisms", "auth"),
    "mechanism_tried": ("mechanism",),
    "mechanism_set": ("mechanism_set",),
    "version_set": ("ip_version",),
    "scopes": ("scopes",),
    "verified_found": ("verified_found",),
    "size_limit": ("size",),
    "other_region_accepts": ("other_region_accepts",),
}


def _learnt(learnt: Mapping[str, object]) -> dict[str, str]:
    certificate = learnt.get("certificate")
    learnt = {**learnt, **(certificate if isinstance(certificate, Mapping) else {})}
    facts = _other_version(learnt.get("other_version"))
    for name, keys in _NAMES.items():
        value = next((learnt[key] for key in keys if learnt.get(key)), None)
        if isinstance(value, (list, tuple, set, frozenset)):
            facts[name] = ", ".join(str(item) for item in value)
        elif value is not None:
            facts[name] = _day(str(value)) if name == "expires" else str(value)
    return facts


def _other_version(told: object) -> dict[str, str]:
    """Of a connection that was made by one IP version after the other had failed."""
    if not isinstance(told, Mapping):
        return {}
    ms = float(told["ms"])
    cost = f"{ms / 1000:.1f} seconds" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 1 else "less than 1 ms"
    return {"version_fails": str(told["fails"]), "version_works": str(told["works"]), "version_cost": cost}


def _day(moment: str) -> str:
    """An ISO time as it reads in a sentence."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return moment


def _yes(value: str, wanted: str) -> str:
    return "yes" if value == wanted else ""
