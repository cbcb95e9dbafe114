"""The running processes: their heartbeat, the generation each has taken up, and which are lost."""

import os
import secrets
import socket
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from emailcfg.models import ServiceInstance
from emailcfg.schema import SCHEMA_VERSION

BEAT_S = 5.0
LOST_AFTER = timedelta(seconds=3 * BEAT_S)
_SHOWN_FOR = timedelta(days=1)

LOST = "lost"
_ENDED = (ServiceInstance.State.STOPPED,)


def register(role: str) -> ServiceInstance:
    """Adds this process. Its name is random: a later process with the same pid is another row."""
    return ServiceInstance.objects.create(
        instance=secrets.token_hex(16),
        role=role,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=settings.VERSION,
        schema_version=SCHEMA_VERSION,
        last_seen=timezone.now(),
    )


def beat(
    instance: ServiceInstance, *, state: str, generation: int | None, error: str = "", stand_in: int | None = None
) -> None:
    """Says that this process lives, what it runs, what it refused, and the revision it goes on with in the place of
    that. Comes back after its row was pruned."""
    said = {
        "state": state,
        "generation": generation,
        "error": error[:500],
        "stand_in": stand_in,
        "last_seen": timezone.now(),
    }
    for name, value in said.items():
        setattr(instance, name, value)
    # By its name: in a restored database the key may be another's.
    if not ServiceInstance.objects.filter(instance=instance.instance).update(**said):
        instance.pk = None
        instance.save(force_insert=True)


def state_of(instance: ServiceInstance) -> str:
    """The state as people should see it: `lost` when the process was killed or hangs."""
    if instance.state not in _ENDED and timezone.now() - instance.last_seen > LOST_AFTER:
        return LOST
    return instance.state


def recent() -> list[ServiceInstance]:
    """The processes of the last day, the youngest first."""
    return list(ServiceInstance.objects.filter(last_seen__gt=timezone.now() - _SHOWN_FOR).order_by("-started_at"))


def delivering() -> list[ServiceInstance]:
    """The living processes that deliver."""
    return [one for one in recent() if one.role != "web" and state_of(one) not in (*_ENDED, LOST)]


def stand_ins(services: list[ServiceInstance]) -> str:
    """What these processes deliver through in the place of the active revision ("r1"); "" for nothing."""
    numbers = {one.stand_in for one in services if one.stand_in is not None}
    return " and ".join(f"r{number}" for number in sorted(numbers))


def generations_in_use(active: int, services: list[ServiceInstance]) -> set[int]:
    """The generations by which these processes deliver: the active one, unless all of them refused it and some go on
    with an earlier one."""
    if any(one.state != ServiceInstance.State.REJECTED for one in services):
        return {active}
    return {one.generation for one in services if one.generation is not None and one.stand_in} or {active}


def prune() -> None:
    """Forgets processes that ended or were lost more than a day ago."""
    ServiceInstance.objects.filter(last_seen__lt=timezone.now() - _SHOWN_FOR).delete()
