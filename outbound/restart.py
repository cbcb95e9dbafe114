"""Restarting all processes gracefully, one after the other: each finishes what it has in flight and exits, whoever
started it starts it anew, and the next one follows only when the new one runs.

There is no coordinator that could die half-way: who is asked is a flag on each row, and every process finds out by
itself whether it is its turn.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from emailcfg import audit
from emailcfg.actor import Actor
from emailcfg.models import ActiveConfig, ServiceInstance
from outbound import instances

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: a service manager that restarts on failure starts it anew
SENTENCE = "This process was asked to restart. It finished what it had in flight; start it again."

_LATE_AFTER = timedelta(seconds=30)  # a supervisor starts a process in less than a second, a service manager in a few
_NEWS_FOR = timedelta(minutes=10)
_State = ServiceInstance.State


class RestartRefused(Exception):
    """Nothing was asked for. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Restart:
    """How far the last one has come. `stopping` is the process whose turn it is; `awaited` one that ended and whose
    successor does not run yet; `refused` a successor that can't run the configuration, which stops the restart, so
    that the others go on with the last good one. `at` is when something last happened."""

    total: int
    done: int
    stopping: ServiceInstance | None
    awaited: ServiceInstance | None
    refused: ServiceInstance | None
    at: datetime

    @property
    def running(self) -> bool:
        """Whether it moves on by itself."""
        return self.done < self.total and self.refused is None and not self.late

    @property
    def late(self) -> bool:
        return self.awaited is not None and timezone.now() - self.at > _LATE_AFTER

    @property
    def sentence(self) -> str:
        """What to tell the person who waits for it."""
        so_far = f"{self.done} of {self.total} processes restarted"
        if self.refused is not None:
            return f"The restart stopped: {self.refused} refused the configuration. The others go on as before."
        if self.awaited is not None and self.late:
            return (
                f"The restart stopped: {self.awaited} ended and did not come back. Start it again; the others go on "
                "as before."
            )
        if self.awaited is not None:
            return f"{so_far}. {self.awaited} ended; its successor starts."
        if self.stopping is not None:
            return f"{so_far}. {self.stopping} finishes what it has in flight."
        return f"All {self.total} processes restarted." if self.total > 1 else "The process restarted."


def ask(*, actor: Actor) -> int:
    """Asks every running process; returns how many. Raises RestartRefused when none runs or a restart is under way."""
    with transaction.atomic():
        ActiveConfig.objects.locked()  # two who ask at once
        under_way = look()
        if under_way is not None and under_way.running:
            raise RestartRefused("A restart is under way already.")
        ServiceInstance.objects.filter(restart_requested=True).update(restart_requested=False)
        asked = (
            ServiceInstance.objects.exclude(state=_State.STOPPED)
            .filter(last_seen__gt=timezone.now() - instances.LOST_AFTER)
            .update(restart_requested=True)
        )
        if not asked:
            raise RestartRefused("No process is running that could be restarted.")
        audit.record("services.restart", actor=actor, subject=f"{asked} process{'' if asked == 1 else 'es'}")
    return asked


def my_turn(instance: ServiceInstance) -> bool:
    """Whether this process is asked to restart, and now. One look at its own row when it is not."""
    if not ServiceInstance.objects.filter(pk=instance.pk, restart_requested=True).exists():
        return False
    seen = look()
    return seen is not None and seen.refused is None and seen.stopping is not None and seen.stopping.pk == instance.pk


def look() -> Restart | None:
    """The restart that is under way or ended a short while ago, else None."""
    asked = list(ServiceInstance.objects.filter(restart_requested=True).order_by("pk"))
    if not asked:
        return None
    ended = [one for one in asked if one.state == _State.STOPPED]
    # A process that was killed meanwhile is not waited for: it is news of its own.
    living = [one for one in asked if one.state != _State.STOPPED and instances.state_of(one) != instances.LOST]
    last = max(ended, key=lambda one: one.last_seen, default=None)
    successor = _successor(last) if last is not None else None
    refused = successor if successor is not None and successor.state == _State.REJECTED else None
    awaited = last if successor is None or successor.state == _State.STARTING else None
    at = max(one.last_seen for one in ended or asked)
    if not living and awaited is None and timezone.now() - at > _NEWS_FOR:
        return None
    return Restart(
        total=len(ended) + len(living),
        done=len(ended) - (awaited is not None or refused is not None),
        stopping=living[0] if living and awaited is None and refused is None else None,
        awaited=awaited,
        refused=refused,
        at=at,
    )


def _successor(ended: ServiceInstance) -> ServiceInstance | None:
    """The process that was started in the place of this one, by the clock of the machine on which both run."""
    later = ServiceInstance.objects.filter(
        role=ended.role, host=ended.host, restart_requested=False, started_at__gte=ended.last_seen
    ).exclude(state=_State.STOPPED)
    return later.order_by("-pk").first()
