"""The pools of lanes: that of the transport which runs, and those of earlier ones that end what they have in flight."""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from emailcfg.providers.base import Session
from outbound.engine.hub import Hub
from outbound.engine.lanes import Lane
from outbound.engine.settle import Policy
from outbound.engine.transport import Transport
from outbound.engine.work import Broken, Event, Stamp, Tripped, Work
from outbound.journal import Journal

IDLE_CLOSE_S = 10.0  # a kept-open session nobody used for so long is closed
_LOADED = 300  # messages that wait for a lane with their content: more than are sent while the database commits
LOADED_BYTES = 4_000_000
STOP_WITHIN_S = 27.0  # `serve` kills after 30, and what was finished by then is still to be recorded


class Pool:
    """The claimed messages of one transport under one lease, its lanes, and what they report.

    Until a session stood (`proven`), and again after one broke, a single lane tries: five refused logins at once would
    lock an account. `halted`: a failure that concerns all mail was met; nothing more is begun until the messages of a
    new claim are given."""

    def __init__(
        self,
        *,
        hub: Hub,
        make_session: Callable[[], Session],
        connections: int,
        stamp: Stamp,
        divert_to: str,
        lease: int,
        journal: Journal,
        policy: Policy,
        wake: threading.Event,
    ) -> None:
        self.hub = hub
        self.make_session = make_session
        self.stamp = stamp
        self.divert_to = divert_to
        self.lease = lease
        self.journal = journal
        self.policy = policy
        self.wake = wake
        self.pending: deque[Work] = deque()
        self.done: deque[Event] = deque()
        self.halted = False
        self.retired = False
        self._proven = False
        self._opening = False
        self._guard = threading.Lock()
        self._wanted = connections
        self._lanes: list[Lane] = []
        self._mark = 0  # with so many left, it is time for more

    def wants_more(self) -> bool:
        """Whether there is room for more content."""
        return len(self.pending) < _LOADED and sum([work.size for work in list(self.pending)]) < LOADED_BYTES

    def give(self, works: Iterable[Work], *, anew: bool) -> bool:
        """Hands out claimed messages; lanes start as they are needed, up to the number of connections. `anew`: of a
        new claim, which ends a halt that the loop has heard of. False when a halt stands: nothing was taken."""
        with self._guard:
            if self.halted and not (anew and not any(isinstance(event, Broken) for event in list(self.done))):
                return False
            self.pending.extend(works)
            self._mark = len(self.pending) // 2
            self.halted = False
            while len(self._lanes) < min(self._wanted, len(self.pending)):
                lane = Lane(self)
                self._lanes.append(lane)
                self.hub.start(lane.run)
        self.hub.wake()
        return True

    def take(self) -> Work | None:
        """The next message for a lane that has a session; None when it should stop for now."""
        if self.halted or self.retired:
            return None
        try:
            work = self.pending.popleft()
        except IndexError:
            return None
        if len(self.pending) == self._mark:
            self.wake.set()
        return work

    def wait(self, *, has_session: bool) -> bool:
        """Waits for something to do; False when the lane should close its session (or, retired, end)."""
        until = time.monotonic() + IDLE_CLOSE_S if has_session else math.inf
        while not self.retired:
            if self._may_begin(has_session):
                self._opening = self._opening or not (has_session or self._proven)
                return True
            if not self.hub.park(until):
                return False
        return False

    def _may_begin(self, has_session: bool) -> bool:
        return bool(self.pending) and not self.halted and (has_session or self._proven or not self._opening)

    def opened(self, *, proven: bool) -> None:
        """Tells that an attempt to open a session ended."""
        with self._guard:
            self._opening = False
            self._proven = proven
        self.hub.wake()

    def broke(self, event: Broken, *, wide: bool) -> None:
        """Reports a failure. A `wide` one lets no lane begin anything more, and takes along what was not begun."""
        with self._guard:
            if wide:
                self.halted = True
                event = replace(event, rest=(*event.rest, *self._drained()))
            self.done.append(event)

    def refused(self, event: Tripped) -> None:
        """Reports that mail of one sender is refused, and takes along what was not begun of it."""
        with self._guard:
            left = self._drained()
            self.pending.extend(work for work in left if work.mail_from != event.sender)
            rest = tuple(work for work in left if work.mail_from == event.sender)
            self.done.append(replace(event, rest=rest))
        self.hub.wake()  # who found nothing in this moment

    def not_begun(self) -> list[Work]:
        """Takes back what was not begun; what comes later is delivered."""
        with self._guard:
            return self._drained()

    def _drained(self) -> list[Work]:
        """One by one, as lanes take them: some do it in threads of their own, and each message is to be in one pair of
        hands."""
        left: list[Work] = []
        with contextlib.suppress(IndexError):
            while True:
                left.append(self.pending.popleft())
        return left

    def unproven(self) -> None:
        """A session broke: the next is opened alone."""
        with self._guard:
            self._proven = False

    def retire(self) -> list[Work]:
        """Ends the lanes after what they have in flight; returns what was not begun."""
        with self._guard:
            self.retired = True
            left = self._drained()
        self.hub.wake()
        return left

    @property
    def ended(self) -> bool:
        """Whether all lanes of a retired pool are gone and everything they said was taken."""
        return self.retired and all(lane.ended for lane in self._lanes) and not self.done


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
