"""The state of the form while it is edited, and what it means: a configuration, errors, changes, secrets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pydantic import SecretStr

from emailcfg import secrets
from emailcfg.destinations import Destination, SecretUnavailable
from emailcfg.models import ConfigRevision
from emailcfg.rules import Refused, ascii_host
from emailcfg.schema import SECRET_PATHS, EmailConfig, SecretValue, StoredSecret
from emailcfg.typed import PATHS, Values, meaning, values_of


@dataclass(frozen=True, slots=True)
class Pending:
    """A secret typed in this session and not saved."""

    text: SecretStr
    bound_to: Destination


@dataclass(frozen=True, slots=True)
class Editing:
    """The form's state: what it started from and what stands in it now."""

    base: ConfigRevision | None
    base_config: EmailConfig
    values: Values
    pending: Mapping[str, Pending] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    repairs: Mapping[str, list[str]] = field(default_factory=dict)  # path -> [repaired text, sentence]
    lost: frozenset[str] = frozenset()  # secrets typed in a session that has ended
    version: int = 0
    started_at: datetime | None = None
    migrated: tuple[str, ...] = ()
    problem: str = ""  # why the base can't be read; the form then starts empty

    @property
    def stamp(self) -> str:
        """What a page made from this state sends back with every change, so that a stale page is noticed: the
        revision it started from, and the version of the draft."""
        return f"{self.base.number if self.base is not None else 0}.{self.version}"


@dataclass(frozen=True, slots=True)
class SecretState:
    """How a secret field stands: "none", "stored", "typed", "same" (typed, and equal to the
    stored one), "again" (must be entered again) or "dropped" (a stored one that will not be part of the new
    revision), with a sentence where there is one to say."""

    state: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Understood:
    """What the form means: the configuration or its errors, what changed, and how each secret stands."""

    config: EmailConfig | None
    errors: Mapping[str, list[str]]
    changed: tuple[str, ...]
    secrets: Mapping[str, SecretState]


def destination(values: Mapping[str, str], path: str) -> Destination:
    """The destination as far as it is typed; a part that is missing or wrong is left open ("" or 0)."""
    if path == "sendgrid.api_key":
        return Destination.of(EmailConfig(), path)
    try:
        host = ascii_host(values["smtp.host"])
    except Refused:
        host = ""
    port = values["smtp.port"]
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    number = number if 1 <= number <= 65535 else 0
    return Destination("smtp", host, number, values["smtp.security"], values["smtp.username"])


def fits(bound_to: Destination, now: Destination) -> bool:
    """Whether a typed secret may go to this destination: every part that was known when it was typed is the
    same. Parts still open then were not yet a promise to anybody."""
    known = asdict(bound_to)
    return all(not part or part == asdict(now)[name] for name, part in known.items())


def understand(editing: Editing) -> Understood:
    """What the form means as it stands."""
    states: dict[str, SecretState] = {}
    values: dict[str, SecretValue] = {}
    for path in SECRET_PATHS:
        states[path], values[path] = _secret(editing, path)
    meant = meaning(editing.values, values)
    errors = dict(meant.errors)
    for path, state in states.items():
        if state.state == "again":
            errors[path] = [state.sentence]
    config = meant.config if not errors else None
    return Understood(config, errors, _changed(editing, meant.config, states), states)


def _secret(editing: Editing, path: str) -> tuple[SecretState, SecretValue]:
    now = destination(editing.values, path)
    stored = secrets.get(editing.base_config, path)
    held = editing.pending.get(path)
    if held is not None and fits(held.bound_to, now):
        if isinstance(stored, StoredSecret) and _is_same(held.text, stored, now):
            return SecretState("same", "This is what is stored already, so nothing changes."), stored
        return SecretState("typed", _typed_sentence(held.text.get_secret_value())), held.text
    enabled = bool(editing.values[f"{path.split('.')[0]}.enabled"])
    if held is not None:
        return _again("The server, port, security or user name changed after the password was typed. Enter it again.")
    if path in editing.lost:
        return _again("Your session ended before this was saved, and typed secrets are not kept. Enter it again.")
    if path in editing.removed or stored is None:
        return SecretState("none"), None
    if now == Destination.of(editing.base_config, path):
        return SecretState("stored"), stored
    if not now.username or not enabled:
        return SecretState("dropped", "The stored password belongs to another server or user and is not kept."), None
    return _again(
        "The server, port, security or user name changed. Enter the password again: a stored secret is only ever "
        "sent to the server it was entered for."
    )


def _typed_sentence(text: str) -> str:
    kept = "Typed, and kept for this session until you save."
    return kept if text == text.strip() else f"{kept} It begins or ends with a space, which stays part of it."


def _again(sentence: str) -> tuple[SecretState, None]:
    return SecretState("again", sentence), None


def _changed(
    editing: Editing,
    config: EmailConfig | None,
    states: Mapping[str, SecretState],
) -> tuple[str, ...]:
    """The paths that differ from the base, in normal form where there is one; a switch counts as one change
    of the delivery service."""
    now = values_of(config) if config is not None else editing.values
    before = values_of(editing.base_config)
    found = ["delivery.selected" if path.endswith(".enabled") else path for path in PATHS if now[path] != before[path]]
    found += [path for path in SECRET_PATHS if _secret_changed(editing, path, states[path])]
    return tuple(dict.fromkeys(found))


def _secret_changed(editing: Editing, path: str, state: SecretState) -> bool:
    if state.state == "none":
        return secrets.get(editing.base_config, path) is not None
    return state.state in ("typed", "again", "dropped")


def _is_same(text: SecretStr, stored: StoredSecret, now: Destination) -> bool:
    """Whether a typed secret is the stored one. One that can't be decrypted any more is another: saving the typed
    one repairs it."""
    try:
        ring = secrets.key_ring()
        return ring.fingerprint(text.get_secret_value(), now) == stored.fingerprint and secrets.opens(stored, now, ring)
    except SecretUnavailable:
        return False
