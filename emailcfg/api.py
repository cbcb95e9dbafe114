"""The part of the HTTP API that reads, saves and activates configurations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Protocol, cast

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from emailcfg import (
    activation,
    confirm_link,
    confirmation,
    diff,
    documents,
    history,
    obstacles,
    preflight,
    revisions,
    secrets,
)
from emailcfg.activation import Activated
from emailcfg.activation_errors import ActivationError, GenerationConflict, NeedsReason, NotActivatable
from emailcfg.actor import Actor
from emailcfg.api_schemas import (
    ActivatedOut,
    ActivateIn,
    ActiveOut,
    ConfirmIn,
    DiffOut,
    RevisionDetailOut,
    RevisionPageOut,
    RollbackIn,
    SavedOut,
    SaveIn,
)
from emailcfg.destinations import SecretUnavailable
from emailcfg.documents import DocumentRefused
from emailcfg.history import Listed
from emailcfg.models import ActiveConfig, AuditEvent, ConfigRevision
from emailcfg.problems import Problem, answers, require_scope
from emailcfg.revisions import RevisionError, RevisionGone, RevisionUnreadable
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema

router = Router(tags=["configuration"])

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
_FIND = answers(404, 410)
_ACT = answers(404, 409, 410)


class _Token(Protocol):
    name: str
    scopes: list[str]
    created_by: str


def _authorised(request: HttpRequest, scope: str) -> Actor:
    """Who acts, when the token of the request has this scope; else a 403 problem."""
    token = cast(_Token, request.auth)  # type: ignore[attr-defined]
    require_scope(token, scope)
    return Actor(name=f"token {token.name}", address=str(request.META.get("REMOTE_ADDR", "")))


@contextmanager
def _as_problems() -> Iterator[None]:
    """Turns what the verbs refuse into problem documents."""
    try:
        yield
    except DocumentRefused as error:
        errors = {f"config.{path}".rstrip("."): sentence for path, sentence in error.errors.items()}
        raise Problem(400, error.code, "The configuration is not valid. Nothing was saved.", errors=errors) from None
    except revisions.DescriptionRefused as error:
        raise Problem(400, error.code, str(error), errors={"description": str(error)}) from None
    except RevisionGone as error:
        raise Problem(404, error.code, str(error)) from None
    except GenerationConflict as error:
        now = error.current
        raise Problem(409, error.code, str(error), generation=now.generation, revision=now.revision_id) from None
    except NotActivatable as error:
        raise Problem(409, error.code, str(error), problems=error.problems) from None
    except NeedsReason as error:
        raise Problem(400, error.code, str(error), errors={"reason": str(error)}) from None
    except (ActivationError, RevisionError) as error:
        raise Problem(409, error.code, str(error)) from None
    except SecretUnavailable as error:
        raise Problem(503, "keys_unusable", str(error)) from None


def _found(number: int) -> ConfigRevision:
    """The revision; a 404 problem for a number that never was, 410 for a deleted draft."""
    try:
        return revisions.get(number)
    except RevisionGone as error:
        deleted = AuditEvent.objects.filter(action="revision.deleted", subject=f"r{number}").exists()
        raise Problem(410 if deleted else 404, error.code, str(error)) from None


def _document(revision: ConfigRevision | None) -> tuple[dict[str, Any] | None, str]:
    """The configuration for programs, or the sentence that says why it can't be read."""
    if revision is None:
        return None, ""
    try:
        return secrets.public(revisions.read(revision).config), ""
    except (RevisionUnreadable, NewerSchema) as error:
        return None, str(error)


def _row(listed: Listed) -> dict[str, Any]:
    revision, badge = listed.revision, listed.tested
    return {
        "number": revision.number,
        "description": revision.description,
        "author": revision.author_name,
        "created_at": revision.created_at,
        "parent": revision.parent,
        "schema_version": revision.schema_version,
        "content_hash": revision.content_hash,
        "state": listed.state,
        "test": {"state": badge.test.state, "at": badge.at, "by": badge.test.actor_name} if badge is not None else None,
    }


def _active(active: ActiveConfig) -> dict[str, Any]:
    config, problem = _document(active.revision)
    left = confirmation.seconds_left(active)
    pending = {"deadline": active.confirm_deadline, "seconds_left": left, "fallback": active.fallback_id}
    return {
        "generation": active.generation,
        "revision": active.revision_id,
        "config": config,
        "problem": problem or confirmation.sending_paused(active),
        "activated_at": active.activated_at,
        "activated_by": active.activated_by,
        "fallback": active.fallback_id,
        "confirm": pending if left is not None else None,
    }


@router.get("/config/active", response={200: ActiveOut, **answers()}, summary="What runs now")
def read_active(request: HttpRequest) -> dict[str, Any]:
    """Before the first activation `revision` and `config` are null and the generation is 0."""
    _authorised(request, "config:read")
    return _active(activation.current())


class PageIn(Schema):
    model_config = ConfigDict(extra="forbid")

    cursor: int | None = Field(None, ge=1, le=2**63 - 1)
    limit: int = Field(50, ge=1, le=500)


@router.get("/config/revisions", response={200: RevisionPageOut, **answers()}, summary="The history, newest first")
def list_revisions(request: HttpRequest, page: Query[PageIn]) -> dict[str, Any]:
    _authorised(request, "config:read")
    found = history.page(activation.current(), before=page.cursor, size=page.limit)
    return {
        "revisions": [_row(listed) for listed in found.revisions],
        "next_cursor": str(found.older) if found.older else None,
    }


@router.get("/config/revisions/{number}", response={200: RevisionDetailOut, **_FIND}, summary="One revision")
def read_revision(request: HttpRequest, number: Number) -> dict[str, Any]:
    """With its configuration, readable, secrets as {"keep": true}; `problems` says why it could not be activated."""
    _authorised(request, "config:read")
    revision = _found(number)
    (listed,) = history.listed([revision], activation.current())
    config, _ = _document(revision)
    return {**_row(listed), "config": config, "problems": obstacles.problems(revision)}


@router.get("/config/revisions/{a}/diff/{b}", response={200: DiffOut, **_ACT}, summary="Compare two")
def read_diff(request: HttpRequest, a: Number, b: Number) -> dict[str, Any]:
    """An empty list of changes means that nothing differs. Of a secret only that it changed."""
    _authorised(request, "config:read")
    before, after = _found(a), _found(b)
    try:
        changes = diff.compare(revisions.read(before).config, revisions.read(after).config)
    except (RevisionUnreadable, NewerSchema) as error:
        raise Problem(409, error.code, str(error)) from None
    return {"a": a, "b": b, "changes": changes}


_SAVED = {201: SavedOut, **answers(404, 409)}


@router.post("/config/revisions", response=_SAVED, summary="Save a revision")
def save(request: HttpRequest, body: SaveIn) -> Status[dict[str, Any]]:
    """Saving never activates. Without `base_revision` the base is what is active. The same `request_id` with the
    same content answers with the same revision."""
    actor = _authorised(request, "config:write")
    with _as_problems():
        base = revisions.get(body.base_revision) if body.base_revision is not None else activation.current().revision
        config, migrated = documents.understood(body.config, base=_readable(base))
        saved = revisions.save(
            config=config, base=base, description=body.description, actor=actor, request_id=body.request_id
        )
    answer = {"number": saved.number, "content_hash": saved.content_hash, "migrated": list(migrated)}
    return Status(201, answer)


def _readable(base: ConfigRevision | None) -> EmailConfig | None:
    if base is None:
        return None
    try:
        return revisions.read(base).config
    except NewerSchema as error:
        raise Problem(409, error.code, str(error)) from None


@router.post("/config/revisions/{number}/activate", response={200: ActivatedOut, **_ACT}, summary="Activate")
def activate(request: HttpRequest, number: Number, body: ActivateIn) -> dict[str, Any]:
    """409 `generation_conflict` when somebody activated in the meantime. Warnings don't stop a program: they are
    recorded with the activation and answered. A configuration that stops all mail needs `accept_stop` or a `reason`.
    With `confirm_within_s` the address that made the token gets the mail with the confirmation link, through this
    revision; POST /config/confirm keeps it as well."""
    actor = _authorised(request, "config:activate")
    looked = preflight.preflight(_found(number), activation.current())
    with _as_problems():
        done = activation.activate(
            number,
            expected_generation=body.expected_generation,
            actor=actor,
            request_id=body.request_id,
            reason=body.reason,
            accept_stop=body.accept_stop,
            warnings=looked.warning_codes,
            confirm_within_s=body.confirm_within_s,
        )
    confirm_link.mail(done, recipient=cast(_Token, request.auth).created_by)  # type: ignore[attr-defined]
    return _done(done, looked)


@router.post("/config/rollback", response={200: ActivatedOut, **_ACT}, summary="Go back")
def rollback(request: HttpRequest, body: RollbackIn) -> dict[str, Any]:
    """Activates `revision` again, by default what ran before. Ends a pending confirmation."""
    actor = _authorised(request, "config:activate")
    active = activation.current()
    target = body.revision if body.revision is not None else active.fallback_id
    looked = preflight.preflight(_found(target), active) if target is not None else None
    with _as_problems():
        done = activation.rollback(
            body.revision,
            expected_generation=body.expected_generation,
            actor=actor,
            request_id=body.request_id,
            reason=body.reason,
            warnings=looked.warning_codes if looked else (),
        )
    return _done(done, looked)


@router.post("/config/confirm", response={200: ActivatedOut, **_ACT}, summary="Keep what is active for a while")
def confirm(request: HttpRequest, body: ConfirmIn) -> dict[str, Any]:
    """409 `confirmation_over` when it returned already, or nothing waits."""
    actor = _authorised(request, "config:activate")
    with _as_problems():
        done = confirmation.confirm(
            actor=actor, expected_generation=body.expected_generation, request_id=body.request_id
        )
    return _done(done, None)


def _done(done: Activated, looked: preflight.Preflight | None) -> dict[str, Any]:
    shown = _active(done.active)
    warnings = [{"code": one.code, "sentence": one.sentence} for one in looked.warnings] if looked else []
    names = ("generation", "revision", "activated_at", "fallback", "confirm")
    return {name: shown[name] for name in names} | {"changed": done.changed, "warnings": warnings}


@router.delete("/config/revisions/{number}", response={204: None, **_ACT}, summary="Delete a draft")
def delete(request: HttpRequest, number: Number) -> Status[None]:
    """Only a revision that was never active; its number is not used again."""
    actor = _authorised(request, "config:write")
    _found(number)
    with _as_problems():
        revisions.delete(number, actor=actor)
    return Status(204, None)
