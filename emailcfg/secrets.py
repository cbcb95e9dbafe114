"""Secrets of a configuration on their way in (sealed into rows) and out (opened for use, checked).

An EmailConfig carries each secret in one of three forms: None (not set), SecretStr (typed just now) or
StoredSecret (a row). Whoever delivers needs SecretStr; whoever saves needs StoredSecret.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import SecretStr

from emailcfg.destinations import Destination, SecretMisdirected, SecretUndecryptable
from emailcfg.models import Secret
from emailcfg.schema import SECRET_PATHS, EmailConfig, SecretValue, StoredSecret

if TYPE_CHECKING:
    from emailcfg.encryption import KeyRing


class SecretNeeded(Exception):
    """A secret can't be kept and has to be entered again. `path` names its field; the message is a sentence."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


def key_ring() -> "KeyRing":
    """The ring of this installation; read anew each time, so that a restored key file is taken up at once.

    Raises KeyRingUnusable."""
    from emailcfg.encryption import KeyRing  # here: cryptography takes 8 MB, which a process without secrets saves

    return KeyRing.read(settings.ENCRYPTION_KEY_FILES, settings.FINGERPRINT_KEY_FILE)


def get(config: EmailConfig, path: str) -> SecretValue:
    """The secret at a schema path, in whatever form the configuration carries it."""
    section, name = path.split(".")
    value: SecretValue = getattr(getattr(config, section), name)
    return value


def all_of(config: EmailConfig) -> list[SecretValue]:
    """Every secret of a configuration, set or not."""
    return [get(config, path) for path in SECRET_PATHS]


def has_stored(config: EmailConfig) -> bool:
    """Whether a secret of this configuration has to be decrypted before use."""
    return any(isinstance(value, StoredSecret) for value in all_of(config))


def replace(config: EmailConfig, values: Mapping[str, SecretValue]) -> EmailConfig:
    """The configuration with the secrets at these paths replaced."""
    for path, value in values.items():
        section, name = path.split(".")
        changed = getattr(config, section).model_copy(update={name: value})
        config = config.model_copy(update={section: changed})
    return config


def seal(config: EmailConfig, *, base: EmailConfig | None, ring: "KeyRing", created_by: str) -> EmailConfig:
    """The configuration with every typed secret encrypted into a row, ready to be saved.

    A secret that equals the one of `base` keeps its row, so that re-entering it changes nothing; unless that
    row can't be decrypted any more, which re-entering repairs."""
    sealed: dict[str, SecretValue] = {}
    for path in SECRET_PATHS:
        value = get(config, path)
        if not isinstance(value, SecretStr):
            continue
        destination = Destination.of(config, path)
        fingerprint = ring.fingerprint(value.get_secret_value(), destination)
        known = get(base, path) if base is not None else None
        if isinstance(known, StoredSecret) and known.fingerprint == fingerprint and opens(known, destination, ring):
            sealed[path] = known
            continue
        row = Secret.objects.create(
            ciphertext=ring.encrypt(value.get_secret_value(), destination),
            fingerprint=fingerprint,
            created_by=created_by,
        )
        sealed[path] = StoredSecret(secret=row.pk, fingerprint=fingerprint)
    return replace(config, sealed)


def open_all(config: EmailConfig, ring: "KeyRing") -> EmailConfig:
    """The configuration with every stored secret decrypted, for the provider that it will be handed to.

    Raises SecretUndecryptable or SecretMisdirected; a secret bound to another destination never opens."""
    opened: dict[str, SecretValue] = {}
    for path in SECRET_PATHS:
        value = get(config, path)
        if isinstance(value, StoredSecret):
            opened[path] = SecretStr(_open(value, Destination.of(config, path), ring))
    return replace(config, opened)


def _open(stored: StoredSecret, destination: Destination, ring: "KeyRing") -> str:
    row = Secret.objects.filter(pk=stored.secret).first()
    if row is None or row.fingerprint != stored.fingerprint:
        raise SecretUndecryptable("The stored secret is missing or was altered. Enter it again.")
    return ring.decrypt(row.ciphertext, destination)


def opens(stored: StoredSecret, destination: Destination, ring: "KeyRing") -> bool:
    """Whether a stored secret can be used for this destination."""
    try:
        _open(stored, destination, ring)
    except (SecretUndecryptable, SecretMisdirected):
        return False
    return True


def check(config: EmailConfig, ring: "KeyRing") -> dict[str, str]:
    """Why secrets of this configuration can't be used, by path; empty when all of them open."""
    problems = {}
    for path in SECRET_PATHS:
        value = get(config, path)
        if isinstance(value, StoredSecret):
            try:
                _open(value, Destination.of(config, path), ring)
            except (SecretUndecryptable, SecretMisdirected) as error:
                problems[path] = str(error)
    return problems


def unreadable(config: EmailConfig) -> dict[str, str]:
    """As `check`, with the ring of this installation, which is read only where something has to be opened.

    Raises KeyRingUnusable."""
    return check(config, key_ring()) if has_stored(config) else {}


def keep(config: EmailConfig, *, base: EmailConfig | None, paths: list[str]) -> EmailConfig:
    """The configuration with the stored secrets of `base` at these paths, unless their destination changed.

    Raises SecretNeeded when there is nothing to keep or the secret belongs to another destination."""
    kept: dict[str, SecretValue] = {}
    for path in paths:
        stored = get(base, path) if base is not None else None
        if base is None or stored is None:
            raise SecretNeeded(path, "There is no stored secret to keep. Enter it.")
        if Destination.of(base, path) != Destination.of(config, path):
            raise SecretNeeded(
                path,
                "The server, port, security or user name changed. Enter the password again: a stored secret is only "
                "ever sent to the server it was entered for.",
            )
        kept[path] = stored
    return replace(config, kept)


def content_hash(payload: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical bytes of a payload, secrets by fingerprint: equal hash, equal behaviour."""
    return hashlib.sha256(json.dumps(_canonical(payload), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"secret", "fingerprint"}:
            return {"fingerprint": value["fingerprint"]}
        return {key: _canonical(item) for key, item in value.items()}
    return value


def hash_of(config: EmailConfig, ring: "KeyRing") -> str:
    """The content hash of a configuration, whichever form its secrets have."""
    fingerprinted: dict[str, SecretValue] = {}
    for path in SECRET_PATHS:
        value = get(config, path)
        if isinstance(value, SecretStr):
            destination = Destination.of(config, path)
            fingerprint = ring.fingerprint(value.get_secret_value(), destination)
            fingerprinted[path] = StoredSecret(secret=0, fingerprint=fingerprint)
    return content_hash(replace(config, fingerprinted).model_dump(mode="json"))


def public(config: EmailConfig) -> dict[str, Any]:
    """The configuration as JSON for people and programs: a set secret reads {"keep": true}, an unset one
    null, so that what was read can be sent back."""
    shown = config.model_dump(mode="json", exclude={"smtp": {"password"}, "sendgrid": {"api_key"}})
    for path in SECRET_PATHS:
        section, name = path.split(".")
        shown[section][name] = {"keep": True} if get(config, path) is not None else None
    return shown
