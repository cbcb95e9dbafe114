"""What a delivering process sees to beside its queue: once a second, every ten, and once a day."""

import time
from pathlib import Path

from django.utils import timezone

from emailcfg import confirmation
from outbound import database_file, healthcheck, retention
from outbound.engine import recover
from outbound.engine.settle import Policy

_WATCH_S = 1.0
_SWEEP_S = 10.0


class Upkeep:
    """`folder` holds the journals; `policy` decides over what dead processes left."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        self._folder = folder
        self._policy = policy
        self._watch_at = self._sweep_at = 0.0

    def tick(self) -> None:
        """Does what is due. Raises DatabaseError."""
        at = time.monotonic()
        if at >= self._watch_at:
            self._watch_at = at + _WATCH_S
            database_file.close_if_replaced()
            confirmation.tick()
        if at >= self._sweep_at:
            self._sweep_at = at + _SWEEP_S
            now = timezone.now()
            recover.replay(self._folder, self._policy, now)
            recover.sweep(self._policy, now)
            retention.daily(now)
            healthcheck.daily(now)
