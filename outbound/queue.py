"""The queue as a whole: pausing it, letting it go on, and trying again what holds it."""

from django.db import transaction
from django.utils import timezone

from emailcfg import audit
from emailcfg.actor import Actor
from emailcfg.providers.base import ErrorClass
from outbound import breaker
from outbound.models import Breaker, QueueState


def pause(*, actor: Actor, reason: str = "") -> bool:
    """Stops claiming; what is in flight ends. Stays through restarts, activations and rollbacks. Returns False, and
    changes nothing, when it is paused already."""
    return _set(paused=True, actor=actor, reason=reason.strip()[:200])


def resume(*, actor: Actor) -> bool:
    """Lets mail leave again. Returns False when it was not paused."""
    return _set(paused=False, actor=actor, reason="")


@transaction.atomic
def _set(*, paused: bool, actor: Actor, reason: str) -> bool:
    state, _ = QueueState.objects.select_for_update().get_or_create(singleton=1)
    if state.paused == paused:
        return False
    state.paused, state.pause_reason = paused, reason
    state.paused_at, state.paused_by = (timezone.now(), actor.name) if paused else (None, "")
    state.save()
    audit.record("queue.paused" if paused else "queue.resumed", actor=actor, reason=reason)
    return True


@transaction.atomic
def try_now(generation: int, *, actor: Actor) -> bool:
    """Lets one message probe at once what holds the queue. Returns False when nothing holds it."""
    if not Breaker.objects.filter(generation=generation, is_open=True).exists():
        return False
    breaker.probe_now(generation, now=timezone.now())
    audit.record("queue.tried", actor=actor, subject=f"generation {generation}")
    return True


def try_after_a_proof(generation: int, *, actor: Actor) -> bool:
    """Like `try_now`, after a test mail was taken under this generation: the obstacle is gone. A limit of the account
    is left to its own time."""
    held = set(Breaker.objects.filter(generation=generation, is_open=True).values_list("error_class", flat=True))
    return ErrorClass.RATE not in held and try_now(generation, actor=actor)
