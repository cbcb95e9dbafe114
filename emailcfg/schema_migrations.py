"""Brings the payload of an older revision to today's schema: one step a version, each run once, in order."""

from collections.abc import Callable, Mapping
from typing import Any

from emailcfg.schema import SCHEMA_VERSION

Payload = dict[str, Any]
Step = Callable[[Payload], tuple[Payload, str]]

# From version -> the step to the next one: takes a payload, returns the new payload and a sentence on what changed.
STEPS: Mapping[int, Step] = {}


class NewerSchema(Exception):
    """The payload was written by a newer program than this one."""

    code = "newer_schema"

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"This configuration has schema {found}, and this program understands up to {known}. "
            "Update the program, or use an older revision."
        )
        self.found = found
        self.known = known


class UnknownSchema(Exception):
    """The payload names no schema version that this program has ever had."""


def upgraded(
    payload: Payload, *, steps: Mapping[int, Step] = STEPS, target: int = SCHEMA_VERSION
) -> tuple[Payload, tuple[str, ...]]:
    """The payload in the target schema and a sentence for each step taken; the input stays untouched.

    Raises NewerSchema or UnknownSchema."""
    version = payload.get("schema_version", 1)
    if not isinstance(version, int) or (version < target and any(step not in steps for step in range(version, target))):
        raise UnknownSchema("The payload names no schema version that this program knows.")
    if version > target:
        raise NewerSchema(version, target)
    changes = []
    while version < target:
        payload, sentence = steps[version](payload)
        version += 1
        payload = {**payload, "schema_version": version}
        changes.append(sentence)
    return payload, tuple(changes)
