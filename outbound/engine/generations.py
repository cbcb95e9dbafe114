"""Which generation of the configuration this process runs, and which it could not load."""

import logging
import time

from emailcfg import activation
from emailcfg.models import ActiveConfig
from outbound.engine.store import Pulse
from outbound.engine.transport import Transport, TransportRefused, load

log = logging.getLogger(__name__)

_AGAIN_S = 5.0  # until a refused generation is tried again: its keys may have been restored
_Mark = tuple[int, str, bool]  # generation, epoch, and whether a return to the fallback failed


class Generations:
    """Compares what is active with what runs. `error` says why the active one is refused, "" when it runs."""

    def __init__(self) -> None:
        self.error = ""
        self._loaded: _Mark | None = None
        self._refused: _Mark | None = None
        self._again_at = 0.0

    @property
    def refused(self) -> bool:
        """Whether the active generation can't be run by this process."""
        return self._refused is not None

    def changed(self, pulse: Pulse) -> bool:
        """Whether it is time to load what is active."""
        found = _mark(pulse)
        return found != self._loaded and (found != self._refused or time.monotonic() >= self._again_at)

    def decided(self, pulse: Pulse) -> bool:
        """Whether this process knows what is active: it runs it, or refused it and goes on with the last good one."""
        return _mark(pulse) in (self._loaded, self._refused)

    def load(self) -> Transport | None:
        """The transport of what is active; None when it is refused, and the last good one goes on."""
        active = activation.current()
        mark = _mark(active)
        try:
            transport = load(active)
        except TransportRefused as error:
            self._refused, self.error = mark, str(error)
            self._again_at = time.monotonic() + _AGAIN_S
            log.error("Generation %d is refused by this process: %s", active.generation, error)
            return None
        self._loaded, self._refused, self.error = mark, None, ""
        return transport


def _mark(found: Pulse | ActiveConfig) -> _Mark:
    return found.generation, found.epoch, found.confirm_state == ActiveConfig.Confirm.FAILED
