"""What was typed into the form, and the configuration it means. Pure: no database, no request.

Values are the form's own: texts by schema path ("smtp.port": "587"), a switch "on" or "". Secrets are
not among them. Pasted clutter is repaired, and every repair is said in a sentence at its field.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from emailcfg.schema import SECRET_PATHS, EmailConfig, SecretValue, field_errors, walk

Values = dict[str, str]

# Everything a person can set in the form but the secrets; the selected service follows from the switches.
PATHS = tuple(path for path, _, _ in walk(EmailConfig()) if path not in (*SECRET_PATHS, "delivery.selected"))
SWITCHES = tuple(path for path, _, value in walk(EmailConfig()) if isinstance(value, bool))
SERVICES = ("smtp", "sendgrid")
# Texts that keep their surrounding spaces: a user name may begin with one.
_VERBATIM = ("smtp.username",)
_NUMBERS = ("smtp.port", "smtp.timeout_s", "smtp.max_connections", "smtp.rate_limit_per_minute")
_SPACE = r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+"
_INVISIBLE = re.compile(_SPACE)
_EDGES = re.compile(rf"\A{_SPACE}|{_SPACE}\Z")
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*://)+", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tidied:
    """The values after repair, and a sentence for each field that was repaired."""

    values: Values
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meant:
    """The configuration that the values mean (None when they don't), and the errors by field path."""

    config: EmailConfig | None
    errors: dict[str, list[str]] = field(default_factory=dict)


def values_of(config: EmailConfig) -> Values:
    """A configuration as the form shows it."""
    return {path: _text(value) for path, _, value in walk(config) if path in PATHS}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return "" if value is None else str(value)


def tidy(values: Mapping[str, str]) -> Tidied:
    """Strips white space everywhere but in the user name, takes apart a host field that holds more, and writes
    numbers plainly. Tidying twice changes nothing more."""
    notes: dict[str, str] = {}
    tidied = {path: _tidy_text(path, text, notes) for path, text in values.items()}
    for path in ("smtp.host", "smtp.ehlo_hostname"):
        if tidied.get(path):
            _repair_host(path, tidied, notes)
    for path in _NUMBERS:
        if path in tidied:
            _repair_number(path, tidied, notes)
    domain = tidied.get("general.reply_to_domain", "")
    if domain.startswith("@"):
        tidied["general.reply_to_domain"] = re.sub(rf"\A(?:@|{_SPACE})+", "", domain)
        notes["general.reply_to_domain"] = "The @ before the domain was removed."
    return Tidied(tidied, notes)


def _tidy_text(path: str, text: str, notes: dict[str, str]) -> str:
    if "\x00" in text:  # which PostgreSQL can't store
        text = text.replace("\x00", "")
        notes[path] = "A NUL character was removed."
    if path in _VERBATIM:
        return text
    text = unicodedata.normalize("NFC", text)
    # What a host name was pasted with is removed below, where it is said.
    return text if path in ("smtp.host", "smtp.ehlo_hostname") and text.strip() else _EDGES.sub("", text)


def _repair_number(path: str, values: Values, notes: dict[str, str]) -> None:
    """Writes "５８７", "0587" or "+587" as people and programs write it: "587"."""
    try:
        plain = str(int(values[path][:20]))
    except ValueError:
        return
    if plain != values[path] and len(values[path]) <= 20:
        values[path], notes[path] = plain, f"Written as {plain}."


def _repair_host(path: str, values: Values, notes: dict[str, str]) -> None:
    original = values[path]
    removed: list[str] = []
    host = _INVISIBLE.sub("", original)
    if host != original:
        removed.append("white space")
    scheme = _SCHEME.match(host)
    if scheme:
        removed.append(f"“{scheme.group()}”")
        host = host[scheme.end() :]
    host, slash, rest = host.partition("/")
    if slash:
        removed.append(f"the path “/{_cut(rest)}”" if rest else "the “/” at the end")
    host = host.rstrip(".") or host  # a host of dots alone stays, to be refused
    match = _HOST_AND_PORT.fullmatch(host) if "@" not in host else None
    port = match.group(2) if match else None
    host = match.group(1) if match else host
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    host = host.rstrip(".") or host
    values[path] = host.lower() if host.isascii() else host
    sentences = [notes[path]] if path in notes else []
    if removed:
        sentences.append(f"Removed {_listed(removed)} from the host name.")
    if port is not None:
        sentences.append(_move_port(path, port, values, notes))
    if sentences:
        notes[path] = " ".join(sentences)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _move_port(path: str, port: str, values: Values, notes: dict[str, str]) -> str:
    if path != "smtp.host":
        return f"Removed the port {port} from the host name."
    values["smtp.port"] = port
    notes["smtp.port"] = f"Port {port} was taken from the host field."
    return f"The port {port} was moved to its own field."


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def one_service(values: Values, before: Mapping[str, str]) -> Values:
    """At most one service on: the switch that was turned on last turns the other off."""
    on = [service for service in SERVICES if values.get(f"{service}.enabled")]
    if len(on) < 2:
        return values
    newly = [service for service in on if not before.get(f"{service}.enabled")]
    winner = newly[0] if newly else on[0]
    return {**values, **{f"{service}.enabled": "on" if service == winner else "" for service in SERVICES}}


def meaning(values: Mapping[str, str], typed_secrets: Mapping[str, SecretValue]) -> Meant:
    """The configuration of these values and secrets, or the errors by field path."""
    data: dict[str, Any] = {"general": {}, "delivery": {}, "smtp": {}, "sendgrid": {}}
    for path in PATHS:
        section, name = path.split(".")
        text = values.get(path, "")
        data[section][name] = bool(text) if path in SWITCHES else _plain(path, text)
    on = [service for service in SERVICES if values.get(f"{service}.enabled")]
    data["delivery"]["selected"] = on[0] if on else None
    for path, value in typed_secrets.items():
        section, name = path.split(".")
        data[section][name] = value
    try:
        return Meant(EmailConfig.model_validate(data))
    except ValidationError as error:
        return Meant(None, field_errors(error))


def _plain(path: str, text: str) -> str | None:
    """The text for the schema. A number has digits only: the schema would read "587.0" too, which nothing else in
    the form does."""
    if path == "smtp.rate_limit_per_minute" and not text:
        return None
    if path in _NUMBERS and not re.fullmatch(r"-?[0-9]{1,18}", text):
        return "no number"
    return text


def missing(errors: Mapping[str, list[str]], values: Mapping[str, str], service: str) -> list[str]:
    """The titles of the empty fields that a service still needs, for its header."""
    titles = {path: title for path, title, _ in walk(EmailConfig())}
    needed = (f"{service}.", "general.sender_email")
    return [
        titles[path] if titles[path][:2].isupper() else titles[path].lower()
        for path in errors
        if path.startswith(needed) and path in titles and not values.get(path)
    ]
