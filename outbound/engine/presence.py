"""This process as the others see it: its row on the Status page, and the lease under which it claims."""

import contextlib
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError

from emailcfg import activation
from emailcfg.models import ServiceInstance
from outbound import instances, restart
from outbound.engine.transport import NOTHING, Transport
from outbound.models import Lease

State = ServiceInstance.State
_RESTART_S = 1.0


class LeaseLost(Exception):
    """This process stalled for so long that others took its messages for lost."""


class Presence:
    """Made before this process claims anything; `take_lease` after what dead processes left is settled."""

    def __init__(self) -> None:
        self.row = instances.register("outbound")
        self._beat_at = self._restart_at = 0.0

    @property
    def name(self) -> str:
        return self.row.instance

    def take_lease(self) -> int:
        self.lease = Lease.objects.create(instance=self.name, until=_until()).pk
        return self.lease

    @property
    def due(self) -> bool:
        """Whether it is time for the next sign of life."""
        return time.monotonic() >= self._beat_at

    def beat(self, transport: Transport, refused: str, *, stopping: bool) -> None:
        """Says that this process lives and what it runs, and renews its lease. `refused` is why it does not run what is
        active, else "". Raises LeaseLost."""
        self._beat_at = time.monotonic() + instances.BEAT_S
        state = State.REJECTED if refused else State.STOPPING if stopping else State.RUNNING
        stand_in = transport.revision if refused and not transport.hold else None
        instances.beat(
            self.row,
            state=state,
            generation=transport.generation if transport is not NOTHING else None,
            error=f"{refused} It goes on with r{stand_in}." if stand_in else refused or transport.hold,
            stand_in=stand_in,
        )
        if not Lease.objects.filter(pk=self.lease).update(until=_until()):
            raise LeaseLost("This process stalled for longer than its lease; it has to start anew.")

    def asked_to_restart(self) -> bool:
        """Looks once a second; idle and busy alike it is one look at this process's own row."""
        if time.monotonic() < self._restart_at:
            return False
        self._restart_at = time.monotonic() + _RESTART_S
        return restart.my_turn(self.row)

    def release(self) -> None:
        """Ends the lease: nothing is claimed under it any more."""
        Lease.objects.filter(pk=self.lease).delete()

    def leave(self) -> None:
        """Says that this row is no process any more, in a database in which its key may be another's."""
        ServiceInstance.objects.filter(instance=self.name).update(state=State.STOPPED)
        Lease.objects.filter(instance=self.name).delete()

    def end(self, *, generation: int | None) -> None:
        """Says that this process ended, if the database can be told."""
        with contextlib.suppress(DatabaseError):
            instances.beat(self.row, state=State.STOPPED, generation=generation)


def _until() -> datetime:
    """By the database's clock, like the sweep: the clocks of several machines differ."""
    return activation.database_time() + timedelta(seconds=settings.LEASE_S)
