"""Activation for a while: it is kept when somebody confirms in time, and returns by itself otherwise.

Exactly one of confirming and returning wins: both are a conditional UPDATE of the one ActiveConfig row. The
deadline is the database's time; a jump of its clock moves the deadline along with it (`Watch`).
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from emailcfg import activation, audit, convergence, obstacles
from emailcfg.activation import database_time, token_hash
from emailcfg.activation_errors import ActivationError, GenerationConflict, RequestIdReused
from emailcfg.actor import SYSTEM, Actor
from emailcfg.models import Activation, ActiveConfig

CLOCK_JUMP = timedelta(seconds=60)  # less is drift and slow ticks, more is a changed clock or a resumed machine
MIN_ATTEMPTS = 10
MAX_FAILED_SHARE = 0.2


class ConfirmationOver(ActivationError):
    """There is nothing to confirm any more: it was confirmed, returned, or replaced."""

    code = "confirmation_over"


class TokenRefused(ActivationError):
    """The confirmation link is not the one of this activation."""

    code = "token_refused"


def confirm(
    *, actor: Actor, expected_generation: int | None = None, request_id: str | None = None, token: str | None = None
) -> activation.Activated:
    """Keeps the active revision for good. A repeated request is a success without effect.

    Raises ConfirmationOver, TokenRefused, GenerationConflict."""
    with transaction.atomic():
        active = ActiveConfig.objects.locked()
        if _confirmed_before(active, expected_generation, request_id):
            return activation.Activated(active, changed=False)
        if token is None and expected_generation is not None and active.generation != expected_generation:
            raise GenerationConflict(active)
        if active.confirm_state != ActiveConfig.Confirm.PENDING:
            raise ConfirmationOver(_over(active))
        if token is not None and not hmac.compare_digest(active.confirm_token_hash, token_hash(token)):
            raise TokenRefused(f"This link does not belong to the running configuration. {_over(active)}")
        kept = ActiveConfig.objects.filter(
            singleton=1,
            generation=active.generation,
            confirm_state=ActiveConfig.Confirm.PENDING,
            confirm_deadline__gt=Now(),
        ).update(confirm_state=ActiveConfig.Confirm.NONE, confirm_deadline=None, confirm_token_hash="")
        if not kept:
            raise ConfirmationOver(
                f"The time for confirming r{active.revision_id} is over; it returns to the one before."
            )
        _log_confirmation(active, actor, request_id)
        return activation.Activated(activation.current(), changed=True)


def _confirmed_before(active: ActiveConfig, expected_generation: int | None, request_id: str | None) -> bool:
    confirmed = Activation.objects.filter(kind=Activation.Kind.CONFIRM)
    if request_id and (earlier := Activation.objects.filter(request_id=request_id).first()):
        if earlier.kind != Activation.Kind.CONFIRM:
            raise RequestIdReused("This request id was used for another activation. Use a new one.")
        return True
    return expected_generation == active.generation and confirmed.filter(generation=active.generation).exists()


def _log_confirmation(active: ActiveConfig, actor: Actor, request_id: str | None) -> None:
    if active.revision is None:
        raise IntegrityError("a pending confirmation has a revision")
    Activation.objects.create(
        generation=active.generation,
        kind=Activation.Kind.CONFIRM,
        revision=active.revision,
        previous=active.fallback,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
        request_id=request_id or None,
    )
    audit.record("revision.confirm", actor=actor, subject=f"r{active.revision_id}")


def _over(active: ActiveConfig) -> str:
    last = Activation.objects.select_related("previous").first()
    if last is not None and last.kind == Activation.Kind.RETURN:
        return f"r{last.previous_id} already returned to r{last.revision_id}."
    if last is not None and last.kind == Activation.Kind.CONFIRM:
        return f"r{last.revision_id} is confirmed already."
    name = f"r{active.revision_id} is active" if active.revision_id else "nothing is active"
    return f"Nothing waits for confirmation: {name}."


def return_to_fallback(generation: int, *, reason: str, only_when_expired: bool = False) -> bool:
    """Ends a pending activation: the fallback becomes active again. Returns whether this call did it.

    When the fallback can't run any more, nothing is swapped: sending is paused until somebody decides."""
    with transaction.atomic():
        active = ActiveConfig.objects.locked()
        if active.generation != generation or active.confirm_state != ActiveConfig.Confirm.PENDING:
            return False
        if only_when_expired and (active.confirm_deadline is None or active.confirm_deadline > database_time()):
            return False
        fallback = active.fallback
        found = obstacles.problems(fallback) if fallback is not None else ["There is no fallback."]
        if fallback is None or found:
            ActiveConfig.objects.filter(singleton=1, generation=generation).update(
                confirm_state=ActiveConfig.Confirm.FAILED, confirm_deadline=None, confirm_token_hash=""
            )
            audit.record(
                "revision.rollback_failed",
                actor=SYSTEM,
                subject=f"r{active.revision_id}",
                reason=reason,
                problems=found,
            )
            return False
        fallback, _ = activation.in_todays_schema(fallback, SYSTEM, Activation.Kind.RETURN)
        activation.move(active, fallback, kind=Activation.Kind.RETURN, actor=SYSTEM, reason=reason)
        return True


def report_attempts(
    generation: int, *, attempts: int, configuration_failures: int, held: int = 0, words: str = ""
) -> bool:
    """Tells how sending fares under a generation; returns it when more than a fifth of at least ten attempts failed
    for reasons of configuration while it waits for confirmation. `held` messages wait behind such a failure and could
    only fail like it: they count as attempts. `words` are the server's. Returns whether this call returned it."""
    total, failed = attempts + held, configuration_failures + held
    if total < MIN_ATTEMPTS or failed <= total * MAX_FAILED_SHARE:
        return False
    reason = f"{configuration_failures} of {attempts} attempts failed because of the configuration"
    reason += f", and {held} {'messages wait' if held > 1 else 'message waits'} behind it" if held else ""
    reason += f". The server said: {words}" if words else "."
    return return_to_fallback(generation, reason=reason)


def seconds_left(active: ActiveConfig) -> int | None:
    """Whole seconds until the active revision returns by itself; None when it is not waiting."""
    if active.confirm_state != ActiveConfig.Confirm.PENDING or active.confirm_deadline is None:
        return None
    return max(0, int((active.confirm_deadline - database_time()).total_seconds()))


def returned_by_itself(active: ActiveConfig) -> str:
    """That the active revision is one that was returned to, and why, as a sentence; "" when a person chose it."""
    if active.activated_by != SYSTEM.name:
        return ""
    last = Activation.objects.filter(generation=active.generation, kind=Activation.Kind.RETURN).first()
    if last is None:
        return ""
    return f"r{last.previous_id} was returned to r{last.revision_id} by itself. {last.reason}"


def sending_paused(active: ActiveConfig) -> str:
    """Why no mail may leave although a revision is active, as a sentence; "" when it may."""
    if active.confirm_state != ActiveConfig.Confirm.FAILED:
        return ""
    fallback = f"r{active.fallback_id}" if active.fallback_id else "the one before"
    return (
        f"r{active.revision_id} was not confirmed, and {fallback} can't run any more. Sending is paused and nothing is "
        "lost. Activate a revision that works."
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    generation: int
    deadline: datetime | None
    database: datetime
    monotonic: float


class Watch:
    """Looks after a pending confirmation; one per process, `tick` called before the first claim and each second."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, clock: Callable[[], datetime] = database_time):
        self._monotonic = monotonic
        self._clock = clock
        self._seen: _Seen | None = None

    def tick(self) -> bool:
        """Returns the activation to its fallback when it is due; says whether it did."""
        active = activation.current()
        if active.confirm_state != ActiveConfig.Confirm.PENDING or active.confirm_deadline is None:
            self._seen = None
            return False
        now, monotonic = self._clock(), self._monotonic()
        deadline = self._anchored(active, now, monotonic)
        self._seen = _Seen(active.generation, deadline, now, monotonic)
        if deadline <= now:
            return return_to_fallback(active.generation, reason="Nobody confirmed in time.", only_when_expired=True)
        refusal = convergence.refused_by_all(active, now)
        if refusal:
            return return_to_fallback(active.generation, reason=f"All processes refused it: {refusal}")
        return False

    def _anchored(self, active: ActiveConfig, now: datetime, monotonic: float) -> datetime:
        """The deadline, moved along when the clock jumped since the last tick. Of several processes that notice,
        one moves it: the others no longer find the deadline that they remember."""
        deadline = active.confirm_deadline or now
        seen = self._seen
        if seen is None or seen.generation != active.generation or seen.deadline != deadline:
            return deadline
        jump = (now - seen.database) - timedelta(seconds=monotonic - seen.monotonic)
        if abs(jump) <= CLOCK_JUMP:
            return deadline
        with transaction.atomic():
            moved = ActiveConfig.objects.filter(
                singleton=1,
                generation=active.generation,
                confirm_state=ActiveConfig.Confirm.PENDING,
                confirm_deadline=seen.deadline,
            ).update(confirm_deadline=deadline + jump)
            if moved:
                audit.record(
                    "clock.jumped", actor=SYSTEM, subject=f"r{active.revision_id}", seconds=jump.total_seconds()
                )
        return activation.current().confirm_deadline or deadline + jump


_watch = Watch()


def tick() -> bool:
    """`Watch.tick` of this process."""
    return _watch.tick()
