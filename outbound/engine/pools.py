"""The pools of lanes: that of the transport which runs, and those of earlier ones that end what they have in flight."""

import threading
import time

from outbound.engine.hub import Hub
from outbound.engine.lanes import Pool
from outbound.engine.settle import Policy
from outbound.engine.transport import Transport
from outbound.engine.work import Event, Stamp, Work
from outbound.journal import Journal

STOP_WITHIN_S = 27.0  # `serve` kills after 30, and what was finished by then is still to be recorded


class Pools:
    """`current` is there from the first `begin` on."""

    current: Pool

    def __init__(self, hub: Hub, policy: Policy, wake: threading.Event) -> None:
        self.retired: list[Pool] = []
        self._hub = hub
        self._policy = policy
        self._wake = wake

    def begin(self, transport: Transport, lease: int, journal: Journal) -> None:
        """From now on `current` delivers by this transport, what is claimed under this lease."""
        self.current = Pool(
            hub=self._hub,
            make_session=transport.session,
            connections=transport.connections,
            stamp=Stamp(transport.revision, transport.generation),
            divert_to=transport.config.general.divert_to,
            lease=lease,
            journal=journal,
            policy=self._policy,
            wake=self._wake,
        )

    def retire(self) -> list[Work]:
        """Has `current` end what it has in flight, and nothing more; returns what was not begun."""
        self.retired.append(self.current)
        return self.current.retire()

    def collect(self, events: list[Event]) -> None:
        """Takes over what the lanes of all pools reported."""
        for pool in (self.current, *self.retired):
            done = pool.done
            while done:
                events.append(done.popleft())
        self.retired = [pool for pool in self.retired if not pool.ended]

    def join(self, events: list[Event]) -> None:
        """Waits for the lanes that were told to end, and takes over what they report."""
        deadline = time.monotonic() + STOP_WITHIN_S
        while self.retired and time.monotonic() < deadline and self._hub.failed is None:
            self._wake.wait(0.1)
            self._wake.clear()
            self.collect(events)
