"""The engine: one loop that owns the database, and lanes that own the network.

Each round is one transaction: it records what the lanes finished and claims what they do next. In between the loop
sleeps until a lane wants something, at most POLL_S, which is also how soon an activation is taken up."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from outbound import instances, restart
from outbound.engine import claiming, recover, reports, store
from outbound.engine.generations import Generations
from outbound.engine.holds import Holds
from outbound.engine.hub import Hub
from outbound.engine.lanes import LOW_WATER, Pool
from outbound.engine.presence import LeaseLost, Presence, State
from outbound.engine.settle import Policy, kept
from outbound.engine.transport import NOTHING, Transport
from outbound.engine.upkeep import Upkeep
from outbound.engine.work import Event, Stamp, Work
from outbound.journal import Journal
from outbound.models import Message

log = logging.getLogger(__name__)

POLL_S = 0.25
GATHER_S = 0.02  # how long outcomes wait for company while the lanes are busy
STOP_WITHIN_S = 27.0  # `serve` kills after 30, and what was finished by then is still to be recorded
_RESTART_S = 1.0
MAX_HELD = 3 * store.BATCH  # claimed and not yet recorded
MAX_HELD_BYTES = store.BATCH_BYTES  # of their content; what is held above it is one claim


class Engine:
    """Empties the queue until it is stopped. One per process; `run` blocks."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.folder = Path(settings.DATA_DIR) / "outbound"
        self.policy = Policy(settings.RETRY_FIRST_S, settings.IN_DOUBT == "hold")
        self.transport: Transport = NOTHING
        self._generations = Generations()
        self._holds = Holds(self.policy.first_s)
        self._stopping = False
        self._joined = False  # whether presence, lease and journal are those of this database
        self.restarting = False  # whether it ends because it was asked to be started anew
        self._restart_at = 0.0
        self._upkeep = Upkeep(self.folder, self.policy)
        self._beat_at = 0.0
        self._held: dict[int, Work] = {}  # claimed, and not yet recorded
        self._claimed: list[Work] = []  # of these, not yet given to the lanes
        self._events: list[Event] = []
        self._retired: list[Pool] = []
        self._more = False  # whether the last claim left more to claim
        self._committed_at = 0.0
        self._uncertain = False  # whether the last transaction took place

    def stop(self) -> None:
        """Ends `run` after what is in flight, within STOP_WITHIN_S. Safe in a signal handler: it wakes nobody, for
        `run` may stand within `wake`, whose lock the handler would wait for in vain. `run` looks every POLL_S."""
        self._stopping = True

    def run(self) -> None:
        """Runs until `stop`. Raises LeaseLost, and HubFailed after what could still be recorded."""
        self._hub = Hub()
        try:
            self._begin()
            self._upkeep.before_the_first_claim()
            while not self._stopping and self._hub.failed is None:
                self._round()
            self._finish()
            self._hub.check()
        finally:
            self._hub.end()
            self.presence.end(generation=self.transport.generation)
            connection.close()

    def _begin(self) -> None:
        """Joins those who deliver from this database, with nothing claimed yet."""
        self.presence = Presence()
        recover.replay(self.folder, self.policy, timezone.now())
        self._lease = self.presence.take_lease()
        self.journal = Journal(self.folder, self.presence.name)
        self.journal.leased(self._lease)
        self._generations, self.transport = Generations(), NOTHING
        self.pool = self._pool(NOTHING)
        self._joined = True

    def _let_go(self) -> None:
        """The database is another one (a restored backup): it knows nothing of this process's claims, and outcomes
        of the old one's messages have no place in it."""
        log.warning("The database was replaced; this process ends what is in flight and begins anew with it.")
        self._joined = False
        self._retired.append(self.pool)
        left = self.pool.retire() + self._claimed
        self._join()
        self._settled(self._events)
        self._forget([*left, *self._held.values()])
        self.journal.released(self._lease)
        self.journal.close()

    def _round(self) -> None:
        try:
            if self._upkeep.replaced():
                self._let_go()
            if not self._joined:
                self.presence.leave()
                self._begin()
            self._upkeep.tick()
            if time.monotonic() >= self._beat_at:
                self._beat()
            self._look_for_restart()
            busy = self._turn()
        except DatabaseError as error:  # locked, full, gone: what happened is in the journal; try again
            log.error("The database can't be used right now: %s", error)
            if self._joined:
                self.journal.sync()
            connection.close()
            self._uncertain = True
            busy = False
        except LeaseLost:
            if not self._upkeep.replaced(at_once=True):
                raise
            self._let_go()
            busy = True
        if not busy:
            self.wake.wait(POLL_S)
            self.wake.clear()

    # Rounds

    def _turn(self) -> bool:
        """Takes up a new generation, records and claims. Returns whether there is more to do at once."""
        now = datetime.now(UTC)
        pulse = store.pulse()
        if self._generations.changed(pulse):
            self._take_up()
        self._after_trouble(now)
        self._collect()
        room = MAX_HELD - len(self._held)
        wants = len(self.pool.pending) <= LOW_WATER and room > 0 and self._has_memory() and self._may_claim(pulse, now)
        if not self._events and not wants:
            return False
        if not self._worth_a_commit(wants):
            self.wake.wait(GATHER_S)
            self.wake.clear()
            return True
        events, claimed = self._events, []
        with transaction.atomic():
            pulse = store.pulse()
            self._record(events, pulse, now)
            if wants:
                alone = self._held.keys() <= set(reports.ids(events))
                limit = min(store.BATCH, room)
                claimed = claiming.claim(self._lease, self.transport, self._holds, limit, pulse, now, alone=alone)
                self._more = len(claimed) == limit
        self._committed_at = time.monotonic()
        self._settled(events)
        self._held.update({work.id: work for work in claimed})
        self._claimed = claimed
        self._hand_out(now)
        return bool(claimed)

    def _take_up(self) -> None:
        """Swaps the transport for the active one. When that is refused the last good one goes on."""
        transport = self._generations.load()
        if transport is not None:
            old, self.transport = self.pool, transport
            left = old.retire()
            self._retired.append(old)
            self.pool = self._pool(transport)
            if left:  # claimed and not begun: the new generation decides
                self._put_back(left, timezone.now())
        self._beat()

    def _after_trouble(self, now: datetime) -> None:
        """The database failed in the last round. Messages that its last commit may have claimed without this process
        learning of it go back; those it knows of and could not load are loaded now."""
        if self._uncertain:
            with transaction.atomic():
                mine = Message.objects.filter(state="sending", lease=self._lease)
                recover.free([row for row in mine if row.pk not in self._held], now)
            self._uncertain = False
        self._hand_out(now)

    def _has_memory(self) -> bool:
        return sum([work.size for work in self._held.values()]) < MAX_HELD_BYTES

    def _worth_a_commit(self, wants: bool) -> bool:
        """Whether to write now, or to let the lanes finish more first: each commit waits for the disk."""
        if wants and (self._more or len(self.pool.pending) < LOW_WATER // 4):
            return True
        finished = len(self._events)
        if finished >= LOW_WATER or finished >= len(self._held):
            return True
        return time.monotonic() - self._committed_at > GATHER_S

    # Claiming

    def _may_claim(self, pulse: store.Pulse, now: datetime) -> bool:
        """A first look outside of any transaction, so that an idle service writes nothing."""
        if self.transport.hold or pulse.paused or not store.something_due(now):
            return False
        return self._holds.may_claim(self.transport.generation, pulse, now)

    def _hand_out(self, now: datetime) -> None:
        """Loads the content outside of the write transaction and gives it to the lanes."""
        if not self._claimed:
            return
        empty = {work.id for work in store.load(self._claimed)}
        if self._holds.uneasy and not self.transport.suppresses:
            whole = [work for work in self._claimed if work.id not in empty]
            for row, mine in self._holds.of_senders(whole, self.transport.generation, now):
                self._put_back(mine, max(row.next_probe_at or now, now + timedelta(seconds=1)))
        claimed, self._claimed = self._claimed, []
        stamp, ready = self.pool.stamp, []
        for work in claimed:
            if work.id in empty:
                self._events.append(kept(work, "held", "content_missing", stamp))
            elif self.transport.suppresses:
                note = "All mail is suppressed by the configuration."
                self._events.append(kept(work, "suppressed", "suppress_all", stamp, note))
            else:
                ready.append(work)
        if ready:
            self.pool.give(ready)

    def _put_back(self, works: list[Work], due_at: datetime) -> None:
        """Claimed and not begun: back into the queue. Forgotten first, so that `_after_trouble` frees them should
        the database fail here."""
        self._forget(works)
        with transaction.atomic():
            store.release(self._lease, works, due_at)

    # What the lanes report

    def _collect(self) -> None:
        for pool in (self.pool, *self._retired):
            done = pool.done
            while done:
                self._events.append(done.popleft())
        self._retired = [pool for pool in self._retired if not pool.ended]

    def _record(self, events: list[Event], pulse: store.Pulse, now: datetime) -> None:
        report = reports.sort(events, self.policy)
        reports.write(self._lease, report, now)
        self._holds.judge(report, self.transport, self._held, pulse, now)
        if pulse.awaits_confirmation:
            reports.tell_confirmation(self.transport.generation, report)

    def _settled(self, events: list[Event]) -> None:
        """After the commit: forget what is in the database."""
        ids = reports.ids(events)
        self._events = []
        for pk in ids:
            self._held.pop(pk, None)
        self.journal.committed(ids)

    def _forget(self, works: list[Work]) -> None:
        for work in works:
            self._held.pop(work.id, None)
        self._claimed = [work for work in self._claimed if work.id in self._held]
        self.journal.committed(work.id for work in works)

    # Upkeep

    def _pool(self, transport: Transport) -> Pool:
        return Pool(
            hub=self._hub,
            make_session=transport.session,
            connections=transport.connections,
            stamp=Stamp(transport.revision, transport.generation),
            divert_to=transport.config.general.divert_to,
            lease=self._lease,
            journal=self.journal,
            policy=self.policy,
            wake=self.wake,
        )

    def _beat(self) -> None:
        self._beat_at = time.monotonic() + instances.BEAT_S
        state = State.REJECTED if self._generations.refused else State.STOPPING if self._stopping else State.RUNNING
        generation = self.transport.generation if self.transport is not NOTHING else None
        self.presence.beat(state, generation=generation, error=self._generations.error or self.transport.hold)

    def _look_for_restart(self) -> None:
        """Once a second; idle and busy alike it is one look at this process's own row."""
        if time.monotonic() >= self._restart_at:
            self._restart_at = time.monotonic() + _RESTART_S
            if restart.my_turn(self.presence.row):
                self.restarting = True
                self.stop()

    def _finish(self) -> None:
        """Ends what is in flight, records it and leaves no claim behind."""
        left = self.pool.retire() + self._claimed
        self._retired.append(self.pool)
        instances.beat(self.presence.row, state=State.STOPPING, generation=self.transport.generation)
        self._join()
        with transaction.atomic():
            now = timezone.now()
            self._record(self._events, store.pulse(), now)
            store.release(self._lease, left, now)
        self._settled(self._events)
        self._forget(left)
        if not self._held:
            self.presence.release()
            self.journal.released(self._lease)
        self.journal.close()

    def _join(self) -> None:
        """Waits for the lanes that were told to end, and collects what they report."""
        deadline = time.monotonic() + STOP_WITHIN_S
        while self._retired and time.monotonic() < deadline and self._hub.failed is None:
            self.wake.wait(0.1)
            self.wake.clear()
            self._collect()
