"""The shapes of requests and answers of the configuration API, with the examples of its OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field

CONFIG_EXAMPLE: dict[str, Any] = {
    "schema_version": 1,
    "general": {"sender_email": "no-reply@acme.com", "sender_name": "Acme"},
    "delivery": {"selected": "smtp"},
    "smtp": {
        "host": "smtp.acme.com",
        "port": 587,
        "security": "starttls",
        "username": "mailer@acme.com",
        "password": {"set": "the password"},
    },
    "sendgrid": {},
}

RequestId = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$", description="Repeats with this id have one effect.")
]
Generation = Annotated[
    int, Field(ge=0, le=2**63 - 1, description="The generation that this decision was made on, from GET /config/active")
]


class _Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class SaveIn(_Strict):
    """`config` is an EmailConfig; secrets as {"set": "..."} or {"keep": true}."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "config": CONFIG_EXAMPLE,
                "description": "New relay for the Berlin office",
                "base_revision": 14,
                "request_id": "5f1c0d9e",
            }
        },
    )

    config: dict[str, Any]
    description: str = Field(max_length=10_000, description="5 to 200 characters")
    base_revision: int | None = Field(None, ge=1, le=2**63 - 1)
    request_id: RequestId | None = None


class ActivateIn(_Strict):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"expected_generation": 7, "request_id": "a81b", "reason": "Tested in staging"},
        },
    )

    expected_generation: Generation
    request_id: RequestId | None = None
    reason: str = Field("", max_length=500)
    confirm_within_s: int | None = Field(None, ge=10, le=86_400, description="Returns by itself unless confirmed")
    accept_stop: bool = Field(False, description="That all mail stops is meant")


class RollbackIn(_Strict):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"expected_generation": 8, "request_id": "b2c9", "reason": "Relay too slow"}},
    )

    revision: int | None = Field(None, ge=1, le=2**63 - 1)
    expected_generation: Generation
    request_id: RequestId | None = None
    reason: str = Field("", max_length=500)


class ConfirmIn(_Strict):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"expected_generation": 8}})

    expected_generation: Generation
    request_id: RequestId | None = None


class PendingOut(Schema):
    """An activation that returns to `fallback` at `deadline` unless it is confirmed."""

    deadline: datetime
    seconds_left: int
    fallback: int | None


class ActiveOut(Schema):
    """What runs. `problem` is a sentence when it can't be read or sending is paused, else ""."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "generation": 7,
                "revision": 14,
                "config": {**CONFIG_EXAMPLE, "smtp": {"host": "smtp.acme.com", "password": {"keep": True}}},
                "problem": "",
                "activated_at": "2026-11-23T06:10:00Z",
                "activated_by": "ana@acme.com",
                "fallback": 13,
                "confirm": None,
            }
        }
    )

    generation: int
    revision: int | None
    config: dict[str, Any] | None
    problem: str
    activated_at: datetime | None
    activated_by: str
    fallback: int | None
    confirm: PendingOut | None


class LastTestOut(Schema):
    """The last finished real test of exactly this content; `at` is when it ended, or when its mail was received."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    state: str
    at: datetime | None
    by: str


class RevisionOut(Schema):
    """A revision. `state` is active, was_active or draft."""

    number: int
    description: str
    author: str
    created_at: datetime
    parent: int | None
    schema_version: int
    content_hash: str
    state: str
    test: LastTestOut | None


class RevisionDetailOut(RevisionOut):
    config: dict[str, Any] | None
    problems: list[str]


class RevisionPageOut(Schema):
    """One page, newest first. Give `next_cursor` as `cursor` for the next; null at the end."""

    revisions: list[RevisionOut]
    next_cursor: str | None


class ChangeOut(Schema):
    """A field that differs. Of a `secret` the texts are words about it, never its value."""

    path: str
    title: str
    before: str
    after: str
    secret: bool


class DiffOut(Schema):
    a: int
    b: int
    changes: list[ChangeOut]


class SavedOut(Schema):
    """`migrated` says what was changed to bring the document to the schema of today."""

    number: int
    content_hash: str
    migrated: list[str]


class WarningOut(Schema):
    code: str
    sentence: str


class ActivatedOut(Schema):
    """`changed` is false when it was active already, or the request was a repeat."""

    generation: int
    revision: int | None
    activated_at: datetime | None
    fallback: int | None
    confirm: PendingOut | None
    changed: bool
    warnings: list[WarningOut]
