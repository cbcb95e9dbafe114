"""This process as the others see it: its row on the Status page, and the lease under which it claims."""

import contextlib
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError

from emailcfg import activation
from emailcfg.models import ServiceInstance
from outbound import instances
from outbound.models import Lease

State = ServiceInstance.State


class LeaseLost(Exception):
    """This process stalled for so long that others took its messages for lost."""


class Presence:
    """Made before this process claims anything; `take_lease` after what dead processes left is settled."""

    def __init__(self) -> None:
        self.row = instances.register("outbound")

    @property
    def name(self) -> str:
        return self.row.instance

    def take_lease(self) -> int:
        self.lease = Lease.objects.create(instance=self.name, until=_until()).pk
        return self.lease

    def beat(self, state: str, *, generation: int | None, error: str = "", stand_in: int | None = None) -> None:
        """Says that this process lives and renews its lease. Raises LeaseLost."""
        instances.beat(self.row, state=state, generation=generation, error=error, stand_in=stand_in)
        if not Lease.objects.filter(pk=self.lease).update(until=_until()):
            raise LeaseLost("This process stalled for longer than its lease; it has to start anew.")

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
