"""The engine: one loop that owns the database, and lanes that own the network.

Each round is one transaction: it records what the lanes finished and claims what they do next. In between the loop
sleeps until a lane wants something or, on SQLite, another process changed the database; at most POLL_S, which is also
how soon an activation is taken up."""

import contextlib
import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from outbound import breaker, instances
from outbound.engine import claiming, recover, reports, store
from outbound.engine.generations import Generations
from outbound.engine.held import LOW_WATER, Held
from outbound.engine.holds import Holds
from outbound.engine.hub import Hub
from outbound.engine.pools import Pools
from outbound.engine.presence import LeaseLost, Presence, State
from outbound.engine.settle import Policy, kept
from outbound.engine.transport import NOTHING, Transport
from outbound.engine.upkeep import Upkeep
from outbound.engine.work import Event, Work
from outbound.journal import Journal
from outbound.models import Message

log = logging.getLogger(__name__)

POLL_S = 0.25
LOOK_S = 0.1  # how soon a change of the database is noticed where it costs nothing to look
GATHER_S = 0.02  # how long outcomes wait for company while the lanes are busy


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
        self._upkeep = Upkeep(self.folder, self.policy)
        self._events: list[Event] = []  # reported by the lanes, and not yet recorded
        self._more = False  # whether the last claim left more to claim
        self._committed_at = 0.0
        self._uncertain = False  # whether the last transaction took place
        self._version = 0  # of the database, when it was looked at last

    def stop(self) -> None:
        """Ends `run` after what is in flight, within STOP_WITHIN_S of the pools. Safe in a signal handler: it wakes
        nobody, for `run` may stand within `wake`, whose lock the handler would wait for in vain. `run` looks every
        POLL_S."""
        self._stopping = True

    def run(self) -> None:
        """Runs until `stop`. Raises LeaseLost, HubFailed after what could still be recorded, and DatabaseError when the
        database is away at the start."""
        self.presence = Presence()
        self._hub = Hub()
        self._pools = Pools(self._hub, self.policy, self.wake)
        try:
            self._begin()
            self._upkeep.before_the_first_claim()
            while not self._stopping and self._hub.failed is None:
                self._round()
            if self._joined:  # else all was given up, and the lease's number may be another's
                self._finish()
            self._hub.check()
        finally:
            self._hub.end()
            self.presence.end(generation=self.transport.generation)
            connection.close()

    def _begin(self) -> None:
        """Joins those who deliver from this database, with nothing claimed yet."""
        recover.replay(self.folder, self.policy, timezone.now())
        self._lease = self.presence.take_lease()
        self.journal = Journal(self.folder, self.presence.name)
        self.journal.leased(self._lease)
        self._held = Held(self.journal)
        self._generations, self.transport = Generations(), NOTHING
        self._pools.begin(NOTHING, self._lease, self.journal)
        self._joined = True

    def _let_go(self) -> None:
        """The database is another one (a restored backup): it knows nothing of this process's claims, and outcomes
        of the old one's messages have no place in it."""
        log.warning("The database was replaced; this process ends what is in flight and begins anew with it.")
        self._joined = False
        self._pools.retire()
        self._pools.join(self._events)
        self._settled(self._events)
        self._held.forget([*self._held.works])
        self.journal.released(self._lease)
        self.journal.close()

    def _round(self) -> None:
        try:
            if self._upkeep.replaced():
                self._let_go()
            if not self._joined:
                self.presence.leave()
                self.presence = Presence()
                self._begin()
            if self.presence.due:
                self._beat()  # first, for the sweep takes what a lease held that lapsed while the database was away
            self._upkeep.tick()
            if self.presence.asked_to_restart():
                self.restarting = True
                self.stop()
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
            self._sleep()

    def _sleep(self) -> None:
        end = time.monotonic() + POLL_S
        with contextlib.suppress(DatabaseError):  # the next round meets it, too
            while not self._changed() and time.monotonic() < end:
                if self.wake.wait(LOOK_S):
                    break
        self.wake.clear()

    def _changed(self) -> bool:
        """Whether another process changed the database since this was asked last."""
        before, self._version = self._version, 0 if self._uncertain else store.data_version()
        return before != self._version

    # Rounds

    def _turn(self) -> bool:
        """Takes up a new generation, records and claims. Returns whether there is more to do at once."""
        now = datetime.now(UTC)
        pulse = self._pulse()
        if self._generations.changed(pulse):
            self._take_up()
        self._after_trouble(now)
        if pulse.paused and self._not_begun():
            self._put_back(self._pools.current.not_begun() + self._held.fresh, now)
        self._hand_out(now, anew=False)
        self._pools.collect(self._events)
        may_want = self._not_begun() <= LOW_WATER and (not self._held.suspect or self._alone())
        room = self._held.room() if may_want else 0
        wants = room > 0 and self._may_claim(pulse, now)
        if not self._events and not wants:
            return False
        if not self._worth_a_commit(wants):
            self.wake.wait(GATHER_S)
            self.wake.clear()
            return True
        events, claimed = self._events, []
        with transaction.atomic():
            pulse = self._pulse()
            self._record(events, pulse, now)
            if wants and self._generations.decided(pulse) and not pulse.paused:
                limit, alone = min(store.BATCH, room), self._alone()
                claimed = claiming.claim(self._lease, self.transport, self._holds, limit, pulse, now, alone=alone)
                self._more = len(claimed) == limit
        self._committed_at = time.monotonic()
        self._settled(events)
        self._held.add(claimed)
        self._hand_out(now, anew=bool(claimed))
        return bool(claimed)

    def _pulse(self) -> store.Pulse:
        """With the last good configuration in the place of a refused one, what is told of the breakers of the active
        one says nothing: every claim has to look."""
        pulse = store.pulse()
        return replace(pulse, uneasy=True) if self._generations.refused else pulse

    def _take_up(self) -> None:
        """Swaps the transport for the active one. When that is refused the last good one goes on."""
        transport = self._generations.load()
        if transport is not None:
            self.transport = transport
            left = self._pools.retire() + self._held.fresh
            self._pools.begin(transport, self._lease, self.journal)
            now = timezone.now()
            if left:  # claimed and not begun: the new generation decides
                self._put_back(left, now)
            breaker.let_go_of_others(transport.generation, now=now)
        self._beat()

    def _after_trouble(self, now: datetime) -> None:
        """The database failed in the last round. Messages that its last commit may have claimed without this process
        learning of it go back, and what it may have recorded is not recorded again; those claimed that this process
        knows of and could not load are still to be handed out."""
        if self._uncertain:
            with transaction.atomic():
                mine = {row.pk: row for row in Message.objects.filter(state="sending", lease=self._lease)}
                recover.free([row for pk, row in mine.items() if pk not in self._held.works], now)
            self._events = [event for event in self._events if mine.keys() >= set(reports.ids([event]))]
            self._held.forget(self._held.works.keys() - mine.keys())
            self._uncertain = False

    def _alone(self) -> bool:
        """Whether nothing is in flight any more once what was reported is recorded."""
        return self._held.works.keys() <= set(reports.ids(self._events))

    def _not_begun(self) -> int:
        return len(self._pools.current.pending) + len(self._held.fresh)

    def _worth_a_commit(self, wants: bool) -> bool:
        """Whether to write now, or to let the lanes finish more first: each commit waits for the disk."""
        if wants and (self._more or self._not_begun() < LOW_WATER // 4):
            return True
        finished = len(self._events)
        if finished >= LOW_WATER or finished >= len(self._held.works):
            return True
        return time.monotonic() - self._committed_at > GATHER_S

    # Claiming

    def _may_claim(self, pulse: store.Pulse, now: datetime) -> bool:
        """A first look outside of any transaction, so that an idle service writes nothing."""
        if self.transport.hold or pulse.paused or not store.something_due(now):
            return False
        return self._holds.may_claim(self.transport.generation, pulse, now)

    def _hand_out(self, now: datetime, *, anew: bool) -> None:
        """Gives the lanes what they have room for. `anew`: some was claimed just now; else, when the lanes met what
        concerns all mail, it goes back and the next claim decides."""
        pool = self._pools.current
        while self._held.fresh and pool.wants_more():
            ready = self._loaded(now)
            if not ready:
                continue
            if not pool.give(ready, anew=anew):
                self._put_back(ready + self._held.fresh, now)
            anew = False

    def _loaded(self, now: datetime) -> list[Work]:
        """The next portion, with its content and without what is not to be sent. Reads outside of the write
        transaction."""
        portion = self._held.portion()
        empty = {work.id for work in store.load(portion)}
        if self._holds.uneasy and not self.transport.suppresses:
            whole = [work for work in portion if work.id not in empty]
            for row, mine in self._holds.of_senders(whole, self.transport.generation, now):
                self._put_back(mine, max(row.next_probe_at or now, now + timedelta(seconds=1)))
        stamp, ready = self._pools.current.stamp, []
        for work in portion:
            if work.id not in self._held.works:  # put back
                continue
            if work.id in empty:
                self._events.append(kept(work, "held", "content_missing", stamp))
            elif self.transport.suppresses:
                note = "All mail is suppressed by the configuration."
                self._events.append(kept(work, "suppressed", "suppress_all", stamp, note))
            else:
                ready.append(work)
        self._held.handed_out(portion)
        return ready

    def _put_back(self, works: list[Work], due_at: datetime) -> None:
        """Claimed and not begun: back into the queue. Forgotten first, so that `_after_trouble` frees them should
        the database fail here."""
        self._held.forget([work.id for work in works])
        with transaction.atomic():
            store.release(self._lease, works, due_at)

    # What the lanes report

    def _record(self, events: list[Event], pulse: store.Pulse, now: datetime) -> None:
        report = reports.sort(events, self.policy)
        reports.write(self._lease, report, now)
        self._holds.judge(report, self.transport, self._held.works, pulse, now)
        if pulse.awaits_confirmation and pulse.generation == self.transport.generation:
            reports.tell_confirmation(self.transport.generation, report)

    def _settled(self, events: list[Event]) -> None:
        """After the commit: forget what is in the database."""
        self._events = []
        self._held.forget(reports.ids(events))

    # Upkeep

    def _beat(self) -> None:
        self.presence.beat(self.transport, self._generations.error, stopping=self._stopping)

    def _finish(self) -> None:
        """Ends what is in flight, records it and leaves no claim behind."""
        left = self._pools.retire() + self._held.fresh
        with contextlib.suppress(DatabaseError):  # what is in flight is waited for in any case
            instances.beat(self.presence.row, state=State.STOPPING, generation=self.transport.generation)
        self._pools.join(self._events)
        now = timezone.now()
        self._after_trouble(now)
        with transaction.atomic():
            self._record(self._events, self._pulse(), now)
            store.release(self._lease, left, now)
        self._settled(self._events)
        self._held.forget([work.id for work in left])
        if not self._held.works:
            self.presence.release()
            self.journal.released(self._lease)
        self.journal.close()
