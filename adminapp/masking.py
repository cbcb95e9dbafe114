"""What leaves the installation for help: addresses masked, and every known secret replaced in each of its forms."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from adminapp.log import redact
from emailcfg import secrets
from emailcfg.destinations import Destination, SecretUnavailable
from emailcfg.models import ConfigRevision, FormDraft, Secret
from emailcfg.pins import PinRefused, current
from emailcfg.providers.reply import Redactor
from emailcfg.revisions import section
from emailcfg.rules import Refused, ascii_host
from emailcfg.schema import SECRET_PATHS

_ADDRESS = re.compile(r"([\w!#$%&'*+/=?^`{|}~.-])[\w!#$%&'*+/=?^`{|}~.-]*@((?:[\w-]+\.)*[\w-]+)")


def masked(text: str) -> str:
    """Every address in a text as a***@example.com: the domain often matters for help, the person never does."""
    return _ADDRESS.sub(r"\1***@\2", text)


def redactors() -> list[Redactor]:
    """One for each secret this installation can open: those of all revisions, of forms being edited, and pinned ones.
    A secret that does not open can't be replaced, and stands nowhere but encrypted."""
    found: set[tuple[str, str]] = set()
    try:
        ring = secrets.key_ring()
    except SecretUnavailable:
        return []
    for destination, token in _tokens():
        try:
            found.add((ring.decrypt(token, destination), destination.username))
        except SecretUnavailable:
            continue
    found |= _pinned()
    return [Redactor(secret, user=user) for secret, user in found if secret]


def _tokens() -> list[tuple[Destination, str]]:
    tokens = []
    rows = dict(Secret.objects.values_list("pk", "ciphertext"))
    for payload in ConfigRevision.objects.values_list("payload", flat=True).iterator(chunk_size=200):
        for path in SECRET_PATHS:
            where, name = path.split(".")
            number = section(section(payload, where), name).get("secret")
            if isinstance(number, int) and number in rows:
                tokens.append((_destination(payload, path), rows[number]))
    for held in FormDraft.objects.values_list("secrets", flat=True):
        tokens += [(Destination(**item["for"]), item["token"]) for item in held.values() if "token" in item]
    return tokens


def _destination(payload: Any, path: str) -> Destination:
    if path == "sendgrid.api_key":
        return Destination("sendgrid", "sendgrid.com", 443, "tls", "")
    smtp = section(payload, "smtp")
    try:
        host = ascii_host(str(smtp.get("host")))
    except Refused:
        host = ""
    return Destination("smtp", host, smtp.get("port", 0), smtp.get("security", ""), smtp.get("username", ""))


def _pinned() -> set[tuple[str, str]]:
    try:
        pins = current()
    except PinRefused:
        return set()
    user = pins["smtp.username"].text if "smtp.username" in pins else ""
    return {(pins[path].text, user) for path in SECRET_PATHS if path in pins}


def cleaner(*, full_addresses: bool) -> Callable[[Any], Any]:
    """A function that cleans any JSON value, texts and names alike: secrets out, addresses masked unless wanted."""
    known = redactors()

    def text(value: str) -> str:
        for redactor in known:
            value = redactor(value)
        value = redact(value)
        return value if full_addresses else masked(value)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, SecretStr):
            return "set"
        if isinstance(value, Mapping):
            return {text(str(name)): clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else text(str(value))

    return clean
