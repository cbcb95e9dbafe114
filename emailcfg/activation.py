"""Which revision runs: activating and rolling back by compare-and-set on the generation."""

import hashlib
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from emailcfg import audit, revisions
from emailcfg.activation_errors import (
    ActivationError,
    ConfirmationPending,
    GenerationConflict,
    NeedsReason,
    NoFallback,
    NotActivatable,
    RequestIdReused,
)
from emailcfg.actor import Actor
from emailcfg.models import Activation, ActiveConfig, ConfigRevision
from emailcfg.obstacles import problems, stops_all_mail
from emailcfg.schema import SCHEMA_VERSION

CONFIRM_BOUNDS_S = (10, 24 * 3600)  # an activation may wait for its confirmation from ten seconds to a day


@dataclass(frozen=True, slots=True)
class Activated:
    """The outcome: `changed` is False when the revision was active already, or the request was a repeat.
    `confirm_token` is the single-use token of a pending confirmation; only its hash is stored."""

    active: ActiveConfig
    changed: bool
    confirm_token: str = ""


def current() -> ActiveConfig:
    """The one row of the active configuration, with its revision; made on first use (generation 0, nothing active)."""
    active = ActiveConfig.objects.select_related("revision", "fallback").filter(singleton=1).first()
    return active or ActiveConfig.objects.get_or_create(singleton=1)[0]


def database_time() -> datetime:
    """The database's clock: the one that deadlines are set and judged by, whichever process asks."""
    current()
    now: datetime = ActiveConfig.objects.values_list(Now(), flat=True).get(singleton=1)
    return now


def activate(
    number: int,
    *,
    expected_generation: int,
    actor: Actor,
    request_id: str | None = None,
    reason: str = "",
    accept_stop: bool = False,
    kind: Activation.Kind = Activation.Kind.ACTIVATE,
    warnings: Sequence[str] = (),
    confirm_within_s: int | None = None,
) -> Activated:
    """Makes a revision the active one, if the generation is still the expected one.

    Activating what is active already, or repeating a request id, is a success without effect. A revision of
    an older schema is brought to today's as a new revision, which becomes active. `warnings` are the codes of
    what was shown and accepted. With `confirm_within_s` the activation ends by itself unless it is confirmed.

    Raises GenerationConflict, ConfirmationPending, NotActivatable, NeedsReason, NoFallback, RequestIdReused,
    revisions.RevisionGone."""
    try:
        with transaction.atomic():
            active = ActiveConfig.objects.locked()
            repeated = _repeated(active, number, request_id)
            if repeated is not None:
                return repeated
            revision = revisions.get(number)
            if _is_active(active, revision):
                return Activated(active, changed=False)
            _check(active, revision, expected_generation, kind, reason, accept_stop)
            token = _checked_confirmation(active, confirm_within_s)
            revision, kind = in_todays_schema(revision, actor, kind)
            active = move(
                active, revision, kind=kind, actor=actor, reason=reason, request_id=request_id, warnings=warnings
            )
            if token:
                active = _await_confirmation(active, token, confirm_within_s or 0)
            return Activated(active, changed=True, confirm_token=token)
    except IntegrityError:  # the same request id won in another process
        repeated = _repeated(current(), number, request_id)
        if repeated is None:
            raise
        return repeated


def rollback(
    number: int | None = None,
    *,
    expected_generation: int,
    actor: Actor,
    request_id: str | None = None,
    reason: str = "",
    warnings: Sequence[str] = (),
) -> Activated:
    """Activates an older revision again, by default the one that ran before; a pending confirmation ends with it.

    Raises what `activate` raises, and NoFallback when nothing ran before."""
    if number is None:
        active = current()
        if request_id and (earlier := Activation.objects.filter(request_id=request_id).first()):
            number = earlier.revision_id
        elif active.fallback_id is None:
            raise NoFallback("There is no earlier configuration to return to. Name the revision to activate.")
        elif active.generation != expected_generation:
            raise GenerationConflict(active)
        else:
            number = active.fallback_id
    return activate(
        number,
        expected_generation=expected_generation,
        actor=actor,
        request_id=request_id,
        reason=reason,
        accept_stop=True,  # it ran like this before
        kind=Activation.Kind.ROLLBACK,
        warnings=warnings,
    )


def _repeated(active: ActiveConfig, number: int, request_id: str | None) -> Activated | None:
    if not request_id:
        return None
    earlier = Activation.objects.select_related("revision").filter(request_id=request_id).first()
    if earlier is None:
        return None
    if number not in (earlier.revision_id, earlier.revision.parent) or earlier.kind == Activation.Kind.CONFIRM:
        raise RequestIdReused("This request id was used for another activation. Use a new one.")
    return Activated(active, changed=False)


def _is_active(active: ActiveConfig, revision: ConfigRevision) -> bool:
    """Whether this revision runs: itself, or what was derived from it in today's schema."""
    if active.revision_id == revision.number:
        return True
    if active.revision is None or revision.schema_version == SCHEMA_VERSION:
        return False
    return active.revision.parent == revision.number and active.revision.request_id == _derived_id(revision)


def _check(
    active: ActiveConfig,
    revision: ConfigRevision,
    expected_generation: int,
    kind: Activation.Kind,
    reason: str,
    accept_stop: bool,
) -> None:
    if active.generation != expected_generation:
        raise GenerationConflict(active)
    if active.confirm_state == ActiveConfig.Confirm.PENDING and kind != Activation.Kind.ROLLBACK:
        raise ConfirmationPending(active)
    found = problems(revision)
    if found:
        raise NotActivatable(found)
    if stops_all_mail(revisions.for_use(revision)) and not (accept_stop or reason.strip()):
        raise NeedsReason(
            f"r{revision.number} has no delivery service: this stops all mail. Confirm that it is meant, with a reason."
        )


def _checked_confirmation(active: ActiveConfig, confirm_within_s: int | None) -> str:
    """A new single-use token, or "" when no confirmation is asked for."""
    if confirm_within_s is None:
        return ""
    low, high = CONFIRM_BOUNDS_S
    if not low <= confirm_within_s <= high:
        raise ActivationError(f"The time for confirming must be between {low} and {high} seconds.")
    if active.revision is None:
        raise NoFallback("Nothing ran before, so there is nothing to return to. Activate for good.")
    found = problems(active.revision)
    if found:
        raise NoFallback(
            f"r{active.revision_id}, to which it would return, can't run any more: {found[0]} Activate for good."
        )
    return random.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a confirmation token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _await_confirmation(active: ActiveConfig, token: str, within_s: int) -> ActiveConfig:
    ActiveConfig.objects.filter(singleton=1).update(
        confirm_state=ActiveConfig.Confirm.PENDING,
        confirm_deadline=database_time() + timedelta(seconds=within_s),
        confirm_token_hash=token_hash(token),
        fallback_id=active.fallback_id,
    )
    return current()


def _derived_id(revision: ConfigRevision) -> str:
    return f"schema-{SCHEMA_VERSION}-of-r{revision.number}"


def in_todays_schema(
    revision: ConfigRevision, actor: Actor, kind: Activation.Kind
) -> tuple[ConfigRevision, Activation.Kind]:
    """The revision itself, or one derived from it in today's schema (made once, then found again)."""
    if revision.schema_version == SCHEMA_VERSION:
        return revision, kind
    derived = revisions.derive(revision, request_id=_derived_id(revision), actor=actor)
    return derived, Activation.Kind.MIGRATE


def move(
    active: ActiveConfig,
    revision: ConfigRevision,
    *,
    kind: Activation.Kind,
    actor: Actor,
    reason: str,
    request_id: str | None = None,
    warnings: Sequence[str] = (),
) -> ActiveConfig:
    """The compare-and-set itself, with its log row: one UPDATE that succeeds only from the generation that was
    read. To be called inside a transaction that holds `ActiveConfig.objects.locked()`. Raises GenerationConflict.

    The fallback is the revision that ran before; but never one that was still waiting to be confirmed."""
    previous = active.revision
    confirmed = active.confirm_state == ActiveConfig.Confirm.NONE
    fallback_id = active.revision_id if confirmed else active.fallback_id
    moved = ActiveConfig.objects.filter(singleton=1, generation=active.generation).update(
        generation=active.generation + 1,
        revision=revision,
        fallback_id=fallback_id if fallback_id != revision.number else None,
        activated_at=Now(),
        activated_by=actor.name,
        confirm_state=ActiveConfig.Confirm.NONE,
        confirm_deadline=None,
        confirm_token_hash="",
    )
    if not moved:
        raise GenerationConflict(current())
    reason = "".join(character if character.isprintable() else " " for character in reason).strip()[:500]
    Activation.objects.create(
        generation=active.generation + 1,
        kind=kind,
        revision=revision,
        previous=previous,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
        reason=reason,
        warnings=list(warnings),
        request_id=request_id or None,
    )
    before = f"r{previous.number}" if previous is not None else "none"
    audit.record(
        f"revision.{kind}",
        actor=actor,
        subject=f"r{revision.number}",
        before=before,
        reason=reason,
        warnings=list(warnings),
    )
    return current()
