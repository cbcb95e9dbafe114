"""A configuration as a file: written without secrets or with them under a passphrase, read with suspicion."""

import base64
import hashlib
import json
import math
import os
from collections.abc import Hashable
from dataclasses import asdict
from typing import Any, Literal

import yaml
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from emailcfg import documents, secrets
from emailcfg.destinations import Destination
from emailcfg.documents import DocumentRefused
from emailcfg.encryption import KeyRing
from emailcfg.schema import SECRET_PATHS, EmailConfig

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
FORMAT = "email configuration"
VERSION = 1
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}  # 32 MB and about 0.1 s for one guess (OWASP's lower bound is 2**15 with p=3)
_SCRYPT_MEMORY = 64 * 1024 * 1024


class FileRefused(Exception):
    """The file can't be read as a configuration. The message is a sentence."""


class PassphraseRefused(FileRefused):
    """The passphrase does not open the secrets of the file."""


def written(
    config: EmailConfig, *, style: Literal["yaml", "json"] = "yaml", passphrase: str = "", ring: KeyRing | None = None
) -> str:
    """The text of a file. Secrets only with a passphrase, encrypted under it; else they read {"keep": true} where one
    is set. Raises SecretUndecryptable or SecretMisdirected when a secret that should go along does not open."""
    document: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": secrets.public(config)}
    if passphrase and ring is not None:
        document["secrets"] = _sealed(secrets.open_all(config, ring), passphrase)
    if style == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text


def _sealed(opened: EmailConfig, passphrase: str) -> dict[str, Any]:
    bound = {}
    for path in SECRET_PATHS:
        value = secrets.get(opened, path)
        if isinstance(value, SecretStr):
            bound[path] = {"for": asdict(Destination.of(opened, path)), "secret": value.get_secret_value()}
    salt = os.urandom(16)
    token = _fernet(passphrase, salt).encrypt(json.dumps(bound).encode())
    return {"kdf": "scrypt", **_SCRYPT, "salt": base64.b64encode(salt).decode(), "token": token.decode()}


def _fernet(passphrase: str, salt: bytes) -> Fernet:
    key = hashlib.scrypt(passphrase.encode(), salt=salt, maxmem=_SCRYPT_MEMORY, dklen=32, **_SCRYPT)
    return Fernet(base64.urlsafe_b64encode(key))


def parsed(data: bytes) -> dict[str, Any]:
    """The document in a file, YAML or JSON: {"config": ..., "secrets": ...}. A bare configuration is taken too,
    and an answer of the API or of `emailcfg show --json`, of which "config" counts.

    Raises FileRefused for what is no such file, and for anything that a reader could trip over: more than 256 KB,
    more than 20 levels, a key given twice, not-a-number, YAML's aliases, anchors and tags."""
    if len(data) > MAX_BYTES:
        raise FileRefused(f"The file is larger than {MAX_BYTES // 1024} KB, so it is no configuration.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused("The file is not text in UTF-8.") from None
    document = _json(text) if text.lstrip().startswith(("{", "[")) else _yaml(text)
    if not isinstance(document, dict):
        raise FileRefused("The file holds no configuration: at its top there must be names with values.")
    _check(document, 1)
    if "format" not in document:
        return {"config": document.get("config", document)}
    if document["format"] != FORMAT or document.get("version") != VERSION:
        raise FileRefused(f"The file is not “{FORMAT}” version {VERSION}, which is what this program reads.")
    if unknown := set(document) - {"format", "version", "config", "secrets"}:
        raise FileRefused(f"The file has an unknown part: {sorted(map(str, unknown))[0]}.")
    return document


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise FileRefused(f"The file is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise FileRefused(f"The file is not valid JSON: {error}.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FileRefused(f"The name “{key}” is given twice.")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise FileRefused(f"{name} is not a value of a configuration.")


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if not isinstance(key, str):
                raise FileRefused("Names in the file must be text.")
            if key in keys[:number]:
                raise FileRefused(f"The name “{key}” is given twice.")
        return super().construct_mapping(node, deep=deep)


def _yaml(text: str) -> Any:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise FileRefused("The file uses YAML aliases, which a configuration has no need of.")
            if getattr(event, "tag", None):
                raise FileRefused("The file uses YAML tags, which a configuration has no need of.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise FileRefused(f"The file is nested deeper than {MAX_DEPTH} levels.")
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses more
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f" in line {where.line + 1}" if where is not None else ""
        raise FileRefused(f"The file is not valid YAML{place}.") from None


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FileRefused(f"The file is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, float) and not math.isfinite(value):
        raise FileRefused("The file holds a number that is none.")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check(item, depth + 1)


def understood(
    document: dict[str, Any],
    *,
    base: EmailConfig | None,
    passphrase: str = "",
    entered: dict[str, SecretStr] | None = None,
) -> tuple[EmailConfig, tuple[str, ...]]:
    """The configuration of a parsed file. Its own secrets need the passphrase and go only to the destination they
    were exported for; `entered` are secrets typed now; others are kept from the base where it has the same
    destination. Raises FileRefused, DocumentRefused (code "secret_needed": enter what it names)."""
    given = _unsealed(document.get("secrets"), passphrase, document["config"]) if document.get("secrets") else {}
    given |= entered or {}
    return documents.understood(document.get("config"), base=base, given=given)


def _unsealed(sealed: Any, passphrase: str, config: Any) -> dict[str, SecretStr]:
    if not passphrase:
        raise PassphraseRefused("The secrets of this file are encrypted. Give the passphrase, or enter them anew.")
    if not isinstance(sealed, dict) or {name: sealed.get(name) for name in _SCRYPT} != _SCRYPT:
        raise FileRefused("The secrets of this file are in a form that this program does not read.")
    try:
        salt = base64.b64decode(str(sealed.get("salt")), validate=True)
        bound = json.loads(_fernet(passphrase, salt).decrypt(str(sealed.get("token")).encode()))
        items = {path: (Destination(**item["for"]), str(item["secret"])) for path, item in bound.items()}
    except InvalidToken:
        raise PassphraseRefused("This passphrase does not open the secrets of the file.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise FileRefused("The secrets of this file are in a form that this program does not read.") from None
    return {
        path: SecretStr(text)
        for path, (destination, text) in items.items()
        if path in SECRET_PATHS and _destination(config, path) == destination
    }


def _destination(config: Any, path: str) -> Destination | None:
    """Where the file's own configuration would send a secret; None when it is no configuration."""
    try:
        plain, _ = documents.understood(_without_secrets(config), base=None)
    except DocumentRefused:
        return None
    return Destination.of(plain, path)


def _without_secrets(config: Any) -> Any:
    """The document with nothing to keep and nothing on, so that only its destinations are looked at."""
    if not isinstance(config, dict):
        return config
    stripped = {name: dict(part) if isinstance(part, dict) else part for name, part in config.items()}
    for path in SECRET_PATHS:
        section, name = path.split(".")
        if isinstance(stripped.get(section), dict):
            stripped[section] |= {name: None, "enabled": False}
    return stripped
