"""What a delivering process sees to beside its queue: once a second, every ten, and once a day."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from emailcfg import activation, confirmation, restored
from outbound import daily_check, database_file, retention, silent_tests
from outbound.engine import recover, reports
from outbound.engine.settle import Policy

log = logging.getLogger(__name__)

_WATCH_S = 1.0
_SWEEP_S = 10.0
_CLOCK_JUMP_S = 2.0  # less is the time that the look itself takes


class Upkeep:
    """`folder` holds the journals; `policy` decides over what dead processes left."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        database_clock: Callable[[], datetime] = activation.database_time,
    ) -> None:
        self._monotonic = monotonic
        self._database_clock = database_clock
        self._offset: float | None = None
        self._swept_at: float | None = None
        self._folder = folder
        self._policy = policy
        self._inode = database_file.inode()
        self._memory = restored.Memory(folder.parent)
        self._watch_at = self._sweep_at = 0.0

    def before_the_first_claim(self) -> None:
        """Settles what happened while nothing ran: an older backup may have been restored, and an activation that
        nobody confirmed returns now. Raises DatabaseError."""
        self._memory.check()
        confirmation.tick()

    def replaced(self, *, at_once: bool = False) -> bool:
        """Whether the database is another one than at the last look, once a second or `at_once`: its file was replaced
        under us, or an older backup was loaded into it. Raises DatabaseError."""
        if self._monotonic() < self._watch_at and not at_once:
            return False
        database_file.close_if_replaced()
        before, self._inode = self._inode, database_file.inode()
        swapped = self._inode != before
        return self._memory.check() or swapped

    def tick(self) -> None:
        """Does what is due; after `replaced`. Raises DatabaseError."""
        at = self._monotonic()
        if at >= self._watch_at:
            self._watch_at = at + _WATCH_S
            confirmation.tick()
            reports.tell_of_what_waits(timezone.now())
        if at >= self._sweep_at:
            self._sweep_at = at + _SWEEP_S
            now = timezone.now()
            recover.replay(self._folder, self._policy, now)
            self._sweep_leases()
            retention.daily(now)
            daily_check.start(now)
            silent_tests.settle_all()

    def _sweep_leases(self) -> None:
        """Leases are kept by the database's clock. When that jumped (it was set, the machine slept), or the database
        was away, all of them may seem lapsed: every living process renews its own before the next sweep."""
        now, at = self._database_clock(), self._monotonic()
        offset = now.timestamp() - at
        jumped = self._offset is not None and abs(offset - self._offset) > _CLOCK_JUMP_S
        away = self._swept_at is not None and at - self._swept_at > 2 * _SWEEP_S
        self._offset, self._swept_at = offset, at
        if jumped or away:
            log.warning("The clock jumped, or the database was away. Leases are looked at in %d seconds.", _SWEEP_S)
        else:
            recover.sweep(self._policy, now)
