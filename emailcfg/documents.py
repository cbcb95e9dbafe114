"""A configuration as a JSON document for programs, in and out (API, command line, import).

A secret is written as {"set": "the text"}, {"keep": true} for the stored one of the base, or null for none.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from emailcfg import secrets
from emailcfg.schema import SECRET_PATHS, EmailConfig, SecretValue, StoredSecret, field_errors
from emailcfg.schema_migrations import NewerSchema, UnknownSchema, upgraded

_HOW = 'Give a secret as {"set": "..."}, or keep the stored one with {"keep": true}.'


class DocumentRefused(Exception):
    """The document is no configuration. `errors` holds a sentence for each field at fault, by dotted path."""

    def __init__(self, errors: Mapping[str, str], code: str = "invalid_config") -> None:
        super().__init__(" ".join(f"{path}: {sentence}" if path else sentence for path, sentence in errors.items()))
        self.errors = dict(errors)
        self.code = code


def understood(
    document: Any, *, base: EmailConfig | None, given: Mapping[str, SecretStr] | None = None
) -> tuple[EmailConfig, tuple[str, ...]]:
    """The configuration that a document means, and what bringing it to today's schema changed.

    Kept secrets are those of `base`; `given` supplies secrets from elsewhere, by path, in place of kept ones.
    Raises DocumentRefused; with code "secret_needed" when the only thing that is missing are secrets."""
    if not isinstance(document, dict):
        raise DocumentRefused({"": "A configuration is a JSON object."})
    try:
        data, migrated = upgraded(document)
    except (NewerSchema, UnknownSchema) as error:
        raise DocumentRefused({"schema_version": str(error)}, getattr(error, "code", "invalid_config")) from None
    values, kept = _secrets(data, base, dict(given or {}))
    data = _with(data, values)
    try:
        config = EmailConfig.model_validate(data)
        return (secrets.keep(config, base=base, paths=kept) if kept else config), migrated
    except ValidationError as error:
        raise DocumentRefused({path: found[0] for path, found in field_errors(error).items()}) from None
    except secrets.SecretNeeded as error:
        raise DocumentRefused({error.path: str(error)}, "secret_needed") from None


def _secrets(
    data: Mapping[str, Any], base: EmailConfig | None, given: Mapping[str, SecretStr]
) -> tuple[dict[str, SecretValue], list[str]]:
    values: dict[str, SecretValue] = {}
    kept: list[str] = []
    refused: dict[str, str] = {}
    needed: dict[str, str] = {}
    for path in SECRET_PATHS:
        section, name = path.split(".")
        part = data.get(section)
        written = part.get(name) if isinstance(part, dict) else None
        match written:
            case None:
                values[path] = None
            case {"set": str(text)} if len(written) == 1:
                values[path] = SecretStr(text) if text else None
            case {"keep": True} if len(written) == 1 and path in given:
                values[path] = given[path]
            case {"keep": True} if len(written) == 1:
                stored = secrets.get(base, path) if base is not None else None
                if isinstance(stored, StoredSecret):
                    values[path] = stored
                    kept.append(path)
                else:
                    needed[path] = "There is no stored secret to keep. Enter it."
            case _:
                refused[path] = _HOW
    if refused:
        raise DocumentRefused(refused)
    if needed:
        raise DocumentRefused(needed, "secret_needed")
    return values, kept


def _with(data: Mapping[str, Any], values: Mapping[str, SecretValue]) -> dict[str, Any]:
    """The document with its secrets in the form of the schema; sections that are no objects are left to it."""
    result = dict(data)
    for path, value in values.items():
        section, name = path.split(".")
        part = result.get(section, {})
        if isinstance(part, dict) and (value is not None or name in part):
            stored = value.model_dump() if isinstance(value, StoredSecret) else value
            result[section] = {**part, name: stored}
    return result
