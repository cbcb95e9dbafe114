"""Which revision runs: activating and rolling back by compare-and-set on the generation."""

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from emailcfg import audit, revisions, secrets
from emailcfg.actor import Actor
from emailcfg.encryption import SecretUnavailable
from emailcfg.models import Activation, ActiveConfig, ConfigRevision
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema


class ActivationError(Exception):
    """An activation was refused; nothing changed. The message is a sentence; `code` is stable."""

    code = "activation_error"


class GenerationConflict(ActivationError):
    """Somebody else activated in the meantime."""

    code = "generation_conflict"

    def __init__(self, current: ActiveConfig) -> None:
        name = f"r{current.revision_id}" if current.revision_id else "no revision"
        super().__init__(f"{name} is now active. Look at what changed, then decide again.")
        self.current = current


class NotActivatable(ActivationError):
    """The revision can't run as it is; `problems` holds a sentence for each reason."""

    code = "not_activatable"

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class NeedsReason(ActivationError):
    """The consequences need to be accepted with a reason."""

    code = "reason_required"


@dataclass(frozen=True, slots=True)
class Activated:
    """The outcome: `changed` is False when the revision was active already, or the request was a repeat."""

    active: ActiveConfig
    changed: bool


def current() -> ActiveConfig:
    """The one row of the active configuration, with its revision; made on first use (generation 0, nothing active)."""
    active = ActiveConfig.objects.select_related("revision", "fallback").filter(singleton=1).first()
    return active or ActiveConfig.objects.get_or_create(singleton=1)[0]


def problems(revision: ConfigRevision) -> list[str]:
    """Why a revision can't be activated: unreadable, of a newer schema, or with secrets that don't open."""
    try:
        config = revisions.read(revision).config
        return list(secrets.check(config, secrets.key_ring()).values())
    except (revisions.RevisionUnreadable, NewerSchema, SecretUnavailable) as error:
        return [str(error)]


def stops_all_mail(config: EmailConfig) -> bool:
    """Whether mail stops under this configuration, so that whoever activates it must say that it is meant."""
    return config.provider is None


def activate(
    number: int,
    *,
    expected_generation: int,
    actor: Actor,
    request_id: str | None = None,
    reason: str = "",
    accept_stop: bool = False,
    kind: Activation.Kind = Activation.Kind.ACTIVATE,
) -> Activated:
    """Makes a revision the active one, if the generation is still the expected one.

    Activating what is active already, or repeating a request id, is a success without effect. Raises
    GenerationConflict, NotActivatable, NeedsReason, revisions.RevisionGone."""
    try:
        with transaction.atomic():
            return _activate(number, expected_generation, actor, request_id, reason, accept_stop, kind)
    except IntegrityError:  # the same request id won in another process
        if request_id and Activation.objects.filter(request_id=request_id).exists():
            return Activated(current(), changed=False)
        raise


def _activate(
    number: int,
    expected_generation: int,
    actor: Actor,
    request_id: str | None,
    reason: str,
    accept_stop: bool,
    kind: Activation.Kind,
) -> Activated:
    current()
    active = ActiveConfig.objects.select_for_update().get(singleton=1)
    if request_id and Activation.objects.filter(request_id=request_id).exists():
        return Activated(active, changed=False)
    revision = revisions.get(number)
    if active.revision_id == revision.number:
        return Activated(active, changed=False)
    if active.generation != expected_generation:
        raise GenerationConflict(active)
    found = problems(revision)
    if found:
        raise NotActivatable(found)
    if stops_all_mail(revisions.read(revision).config) and not (accept_stop or reason.strip()):
        raise NeedsReason(f"r{number} has no delivery service: this stops all mail. Confirm that it is meant.")
    previous = active.revision
    active = _move(active, revision, actor)
    Activation.objects.create(
        generation=active.generation,
        kind=kind,
        revision=revision,
        previous=previous,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
        reason=reason.strip()[:500],
        request_id=request_id or None,
    )
    before = f"r{previous.number}" if previous is not None else "none"
    audit.record(f"revision.{kind}", actor=actor, subject=f"r{number}", before=before, reason=reason.strip()[:500])
    return Activated(active, changed=True)


def _move(active: ActiveConfig, revision: ConfigRevision, actor: Actor) -> ActiveConfig:
    """The compare-and-set itself: one UPDATE that succeeds only from the generation that was read."""
    moved = ActiveConfig.objects.filter(singleton=1, generation=active.generation).update(
        generation=active.generation + 1,
        revision=revision,
        fallback_id=active.revision_id,
        activated_at=timezone.now(),
        activated_by=actor.name,
    )
    if not moved:
        raise GenerationConflict(current())
    return current()
