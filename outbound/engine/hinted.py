"""The engine past one machine: the same engine, which claims when a hint arrives and looks by itself once a second."""

import threading
import time
from datetime import UTC, datetime

from outbound.engine.loop import Engine
from outbound.engine.store import Pulse
from outbound.engine.work import Event

LOOK_S = 1.0  # how late a message is found whose hint was lost, and a retry, for which there is none


class HintedEngine(Engine):
    """An Engine that others tell when something is due. Without any hint it is its own sweeper.

    `deliver` may be called from any thread; everything else is the engine's own."""

    def __init__(self) -> None:
        super().__init__()
        self._idle = threading.Condition()
        self._asked = 0
        self._served = 0
        self._look_at = 0.0

    def deliver(self, *, within_s: float) -> bool:
        """Has everything delivered that is due, and waits for the outcomes to be in the database. False when there
        was more to do than fits into that many seconds; the engine goes on with it."""
        with self._idle:
            self._asked += 1
            mine = self._asked
            self.wake.set()
            return self._idle.wait_for(lambda: self._served >= mine, within_s)

    def _may_claim(self, pulse: Pulse, now: datetime) -> bool:
        asked = self._asked  # read before looking: who asks meanwhile has another look coming
        if asked == self._served and time.monotonic() < self._look_at:
            return False
        # What was asked for may be younger than this round, and so not due yet by the round's own `now`.
        may = super()._may_claim(pulse, datetime.now(UTC))
        self._look_at = time.monotonic() + (0.0 if may else LOOK_S)
        if not may and not self._held.works and not self._events:
            with self._idle:
                self._served = asked
                self._idle.notify_all()
        return may

    def _settled(self, events: list[Event]) -> None:
        super()._settled(events)
        if events and not self._held.works:
            self.wake.set()  # the round after the last outcome answers who waits in `deliver`
