"""Fields of the configuration that the operator fixed in the environment: EMAILCFG__SMTP__HOST=relay.internal.

A pinned field has this value whatever the active revision says. It is applied when a revision is read for use; what
is saved stays as it was saved. Each also as NAME_FILE, the path of a file with the value.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac
from pydantic import ValidationError

from emailcfg.schema import SECRET_PATHS, EmailConfig, field_errors, walk

PREFIX = "EMAILCFG__"
_FILE = "_FILE"


class PinRefused(Exception):
    """A pinned field can't be used. The message is a sentence that names its variable and never holds its value."""

    code = "pin_refused"


@dataclass(frozen=True, slots=True)
class Pin:
    """One pinned field: its path, where the value comes from, and the text of it."""

    path: str
    source: str
    text: str


def read(variables: Mapping[str, str]) -> dict[str, Pin]:
    """The pins in these variables, by path. Raises PinRefused for a name that is no field and for unreadable files."""
    known = {path for path, _, _ in walk(EmailConfig())}
    pins = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX):
            continue
        path = _path(name)
        if path not in known and name.endswith(_FILE):
            path, text = _path(name.removesuffix(_FILE)), _content(name, text)
        if path not in known:
            raise PinRefused(f"{name} names no field of the configuration. Fields are named like EMAILCFG__SMTP__HOST.")
        pins[path] = Pin(path, name, text)
    return pins


def _path(name: str) -> str:
    return name.removeprefix(PREFIX).lower().replace("__", ".", 1)


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise PinRefused(f"The file that {name} names can't be read.") from None


def current() -> dict[str, Pin]:
    """The pins of this installation, by path: the fields that forms show as locked, with their source."""
    return read(settings.EMAILCFG_PINS)


def check() -> None:
    """Raises PinRefused for a pin that no configuration could go with. A start looks before it serves; whether the
    pins go with a certain revision is judged when that is read."""
    for path, pin in current().items():
        section, name = path.split(".")
        try:
            EmailConfig.model_validate({section: {name: _value(pin)}})
        except ValidationError as error:
            if sentences := field_errors(error).get(path):  # what other fields lack, a configuration brings
                raise PinRefused(f"{pin.source} is not valid: {sentences[0]}") from None


def sources() -> dict[str, str]:
    """The variable that pins each pinned field, by path; empty when the pins can't be read, which others report."""
    try:
        return {path: pin.source for path, pin in current().items()}
    except PinRefused:
        return {}


def digest() -> str:
    """Names exactly these pins, keyed so that it tells nothing of their values; "" without any. What was proven under
    other pins is not proven under these."""
    if not settings.EMAILCFG_PINS:
        return ""
    try:
        found = sorted((path, pin.text) for path, pin in current().items())
    except PinRefused:
        return "refused"  # with these nothing can be tested
    return salted_hmac("emailcfg.pins", json.dumps(found), algorithm="sha256").hexdigest()


def replaced(config: EmailConfig) -> list[Pin]:
    """The pins that give a field another value here than this configuration says. Raises PinRefused."""
    found = current()
    running = {path: value for path, _, value in walk(applied(config, found))}
    return [found[path] for path, _, value in walk(config) if path in found and running[path] != value]


def applied(config: EmailConfig, pins: Mapping[str, Pin] | None = None) -> EmailConfig:
    """The configuration as it runs here, with the pinned fields in place of its own. Raises PinRefused."""
    pins = current() if pins is None else pins
    if not pins:
        return config
    data = config.model_dump()
    for path, pin in pins.items():
        section, name = path.split(".")
        data[section][name] = _value(pin)
    try:
        return EmailConfig.model_validate(data)
    except ValidationError as error:
        path, sentences = next(iter(field_errors(error).items()))
        source = pins[path].source if path in pins else ", ".join(pin.source for pin in pins.values())
        raise PinRefused(f"With {source} from the environment the configuration is not valid: {sentences[0]}") from None


def _value(pin: Pin) -> Any:
    """Texts of the environment say "nothing" by being empty; for numbers and choices that is None."""
    if pin.text == "" and pin.path in ("delivery.selected", "smtp.rate_limit_per_minute", *SECRET_PATHS):
        return None
    return pin.text
