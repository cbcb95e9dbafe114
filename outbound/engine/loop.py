"""The engine: one loop that owns the database, and lanes that own the network.

Each round is one transaction: it records what the lanes finished and claims what they do next. In between the loop
sleeps until a lane wants something, at most POLL_S, which is also how soon an activation is taken up."""

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from emailcfg import activation, confirmation
from emailcfg.models import ActiveConfig, ServiceInstance
from emailcfg.providers.base import ErrorClass
from outbound import breaker, healthcheck, instances, retention
from outbound.engine import rate, recover, store
from outbound.engine.lanes import LOW_WATER, Pool
from outbound.engine.settle import Policy, failed_attempt
from outbound.engine.transport import NOTHING, Transport, TransportRefused, load
from outbound.engine.work import QUEUE_WIDE, Broken, Outcome, Stamp, Tripped, Work
from outbound.journal import Journal
from outbound.models import Breaker, Lease, Message

log = logging.getLogger(__name__)

POLL_S = 0.25
GATHER_S = 0.02  # how long outcomes wait for company while the lanes are busy
STOP_WITHIN_S = 30.0
MAX_HELD = 3 * store.BATCH  # claimed and not yet recorded
_WATCH_S = 1.0
_SWEEP_S = 10.0
_RELOAD_S = 5.0  # until a refused generation is tried again: its keys may have been restored
State = ServiceInstance.State


@dataclass(slots=True)
class _Due:
    """When the rounds that are not every round are next due, on the monotonic clock."""

    beat: float = 0.0
    watch: float = 0.0
    sweep: float = 0.0
    reload: float = 0.0


class LeaseLost(Exception):
    """This process stalled for so long that others took its messages for lost."""


class Engine:
    """Empties the queue until it is stopped. One per process; `run` blocks."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.folder = Path(settings.DATA_DIR) / "outbound"
        self.policy = Policy(settings.RETRY_FIRST_S, settings.IN_DOUBT == "hold")
        self.transport: Transport = NOTHING
        # Generation, epoch, and whether a return failed: what this process runs, and what it could not load.
        self._loaded: tuple[int, str, bool] | None = None
        self._refused: tuple[int, str, bool] | None = None
        self.error = ""
        self._stopping = False
        self._due = _Due()
        self._held: dict[int, Work] = {}
        self._events: list[Outcome | Broken | Tripped] = []
        self._retired: list[Pool] = []
        self._uneasy = False
        self._probing = False
        self._committed_at = 0.0
        self._claimed: list[Work] = []  # and not yet given to the lanes
        self._uncertain = False  # whether the last transaction took place
        self._inode = _inode()

    def stop(self) -> None:
        """Ends `run` after what is in flight, within STOP_WITHIN_S. Safe in a signal handler."""
        self._stopping = True
        self.wake.set()

    def run(self) -> None:
        """Runs until `stop`."""
        self.instance = instances.register("outbound")
        try:
            recover.replay(self.folder, self.policy, timezone.now())
            self._lease = self._new_lease()
            self.journal = Journal(self.folder, self.instance.instance)
            self.journal.leased(self._lease)
            self.pool = self._pool(NOTHING)
            confirmation.tick()  # an activation nobody confirmed while nothing ran returns before the first claim
            while not self._stopping:
                self._round()
            self._finish()
        finally:
            with contextlib.suppress(DatabaseError):
                instances.beat(self.instance, state=State.STOPPED, generation=self.transport.generation)
            connection.close()

    def _round(self) -> None:
        try:
            self._maintain()
            busy = self._turn()
        except DatabaseError as error:  # locked, full, gone: what happened is in the journal; try again
            log.error("The database can't be used right now: %s", error)
            self.journal.sync()
            connection.close()
            self._uncertain = True
            busy = False
        if not busy:
            self.wake.wait(POLL_S)
            self.wake.clear()

    # Rounds

    def _turn(self) -> bool:
        """Takes up a new generation, records and claims. Returns whether there is more to do at once."""
        now = datetime.now(UTC)
        pulse = store.pulse()
        self._take_up(pulse)
        self._after_trouble(now)
        self._collect()
        room = MAX_HELD - len(self._held)
        wants = len(self.pool.pending) <= LOW_WATER and room > 0 and self._may_claim(pulse, now)
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
                alone = self._held.keys() <= set(_ids(events))
                claimed = self._claim(min(store.BATCH, room), pulse, now, alone=alone)
        self._committed_at = time.monotonic()
        self._settled(events)
        self._held.update({work.id: work for work in claimed})
        self._claimed = claimed
        self._hand_out(now)
        return bool(claimed)

    def _after_trouble(self, now: datetime) -> None:
        """The database failed in the last round. Messages that its last commit may have claimed without this process
        learning of it go back; those it knows of and could not load are loaded now."""
        if self._uncertain:
            with transaction.atomic():
                mine = Message.objects.filter(state="sending", lease=self._lease)
                recover.free([row for row in mine if row.pk not in self._held], now)
            self._uncertain = False
        self._hand_out(now)

    def _worth_a_commit(self, wants: bool) -> bool:
        """Whether to write now, or to let the lanes finish more first: each commit waits for the disk."""
        if wants and len(self.pool.pending) < LOW_WATER // 4:
            return True
        finished = len(self._events)
        if finished >= LOW_WATER or finished >= len(self._held):
            return True
        return time.monotonic() - self._committed_at > GATHER_S

    def _may_claim(self, pulse: store.Pulse, now: datetime) -> bool:
        """A first look outside of any transaction, so that an idle service writes nothing."""
        if self.transport.hold or pulse.paused or not store.something_due(now):
            return False
        if not pulse.uneasy:
            return True
        gate = breaker.gate(self.transport.generation, now)
        return not gate.shut or gate.probe is not None

    def _claim(self, limit: int, pulse: store.Pulse, now: datetime, *, alone: bool) -> list[Work]:
        """Within the transaction, where the pulse was read again. `alone`: nothing else is in flight, as a probe and
        a suspect need it."""
        transport = self.transport
        if pulse.paused or (pulse.generation, pulse.epoch) != (transport.generation, transport.epoch):
            return []
        self._probing = False
        if pulse.uneasy or self._uneasy:
            gate = breaker.gate(transport.generation, now)
            self._uneasy = gate.uneasy
            if gate.shut:
                if gate.probe is None or not alone or not self._begin_probe(gate.probe, now):
                    return []
                limit = 1
        per_minute = transport.per_minute
        if per_minute is not None and not transport.suppresses:
            limit = rate.take(transport.config.provider or "", per_minute=per_minute, wanted=limit, now=now)
        found = store.claim(self._lease, limit=limit, now=now, suspects=alone) if limit else []
        if per_minute is not None and not transport.suppresses:
            rate.give_back(transport.config.provider or "", limit - len(found))
        return found

    def _begin_probe(self, row: Breaker, now: datetime) -> bool:
        self._probing = breaker.begin_probe(row, now, self.policy.first_s)
        return self._probing

    def _hand_out(self, now: datetime) -> None:
        """Loads the content outside of the write transaction and gives it to the lanes."""
        if not self._claimed:
            return
        empty = {work.id for work in store.load(self._claimed)}
        claimed, self._claimed = self._claimed, []
        stamp = self.pool.stamp
        for pk in empty:
            self._events.append(
                Outcome(pk, "held", time.time(), stamp, cause="content_missing", reason="content_missing")
            )
        ready = [work for work in claimed if work.id not in empty]
        if self.transport.suppresses:
            note = "All mail is suppressed by the configuration."
            self._events += [
                Outcome(
                    *(work.id, "suppressed", time.time(), stamp),
                    cause="suppress_all",
                    doubts=work.doubts,
                    reason="suppress_all",
                    note=note,
                )
                for work in ready
            ]
            return
        if self._uneasy:
            ready = self._without_held_senders(ready, now)
        if ready:
            self.pool.give(ready)

    def _without_held_senders(self, works: list[Work], now: datetime) -> list[Work]:
        """Mail of a sender that the provider refuses waits; one of them may probe when it is time."""
        rows = Breaker.objects.filter(generation=self.transport.generation, is_open=True).exclude(sender="")
        for row in rows:
            mine = [work for work in works if work.mail_from == row.sender]
            if mine and (row.next_probe_at is None or row.next_probe_at <= now) and self._begin_probe(row, now):
                mine = mine[1:]
            if mine:
                until = max(row.next_probe_at or now, now + timedelta(seconds=1))
                with transaction.atomic():
                    store.release(self._lease, mine, until)
                self._forget(mine)
                works = [work for work in works if work not in mine]
        return works

    # What the lanes report

    def _collect(self) -> None:
        for pool in (self.pool, *self._retired):
            done = pool.done
            while done:
                self._events.append(done.popleft())
        self._retired = [pool for pool in self._retired if not pool.ended]

    def _record(self, events: list[Outcome | Broken | Tripped], pulse: store.Pulse, now: datetime) -> None:
        outcomes = [event for event in events if isinstance(event, Outcome)]
        freed: list[Work] = []
        tripped: list[Tripped] = [event for event in events if isinstance(event, Tripped)]
        for event in events:
            if isinstance(event, Broken):
                freed += event.rest
                wide = event.failure.error_class in QUEUE_WIDE
                if event.first is not None:
                    outcomes.append(
                        failed_attempt(event.first, event.failure, event.stamp, self.policy, counted=not wide)
                    )
                if not event.stale and not (event.told and wide):
                    sender = event.first.mail_from if event.first is not None else ""
                    tripped.append(Tripped(event.failure, event.stamp, sender))
        store.record(self._lease, outcomes, now)
        if freed:
            store.release(self._lease, freed, now)
        self._judge(outcomes, tripped, pulse, now)
        if pulse.confirm_state == ActiveConfig.Confirm.PENDING:
            self._report_attempts(outcomes, tripped, len(freed))

    def _judge(self, outcomes: list[Outcome], tripped: list[Tripped], pulse: store.Pulse, now: datetime) -> None:
        """Opens and closes breakers by what was just recorded."""
        generation = self.transport.generation
        uneasy = self._uneasy or pulse.uneasy
        good = uneasy and [
            one for one in outcomes if one.counted and one.stamp.generation == generation and _answered(one)
        ]
        if good:
            senders = frozenset(self._held[one.id].mail_from for one in good if one.id in self._held)
            breaker.worked(generation, senders=senders, now=now)
        seen: set[tuple[str, str]] = set()
        for one in tripped:
            failure = one.failure
            key = (failure.error_class, one.sender if failure.error_class is ErrorClass.SENDER else "")
            if one.stamp.generation != generation or (failure.error_class in QUEUE_WIDE and key in seen):
                continue
            seen.add(key)
            self._uneasy = True
            breaker.failed(
                generation,
                provider=self.transport.config.provider or "",
                sender=one.sender,
                failure=failure,
                server=one.stamp.server,
                now=now,
                first_s=self.policy.first_s,
                probing=self._probing,
            )

    def _report_attempts(self, outcomes: list[Outcome], tripped: list[Tripped], freed: int) -> None:
        """An activation that awaits confirmation is judged by its attempts. A refused login is the failure of every
        message that was claimed by then."""
        bad = {ErrorClass.CONFIGURATION, ErrorClass.SENDER}
        failed = sum(one.error_class in bad for one in outcomes)
        if any(one.failure.error_class in bad for one in tripped):
            failed += freed
        attempts = sum(one.counted for one in outcomes) + failed
        if attempts:
            total, all_failed = store.tally(self.transport.generation, attempts=attempts, configuration_failures=failed)
            if failed:
                confirmation.report_attempts(
                    self.transport.generation, attempts=total, configuration_failures=all_failed
                )

    def _settled(self, events: list[Outcome | Broken | Tripped]) -> None:
        """After the commit: forget what is in the database."""
        ids = _ids(events)
        self._events = []
        for pk in ids:
            self._held.pop(pk, None)
        self.journal.committed(ids)

    def _forget(self, works: list[Work]) -> None:
        for work in works:
            self._held.pop(work.id, None)
        self.journal.committed(work.id for work in works)

    # Generations

    def _take_up(self, pulse: store.Pulse) -> None:
        """Swaps the transport when another generation is active. On any error the last good one goes on."""
        found = (pulse.generation, pulse.epoch, pulse.confirm_state == ActiveConfig.Confirm.FAILED)
        if found == self._loaded or (found == self._refused and time.monotonic() < self._due.reload):
            return
        active = activation.current()
        try:
            transport = load(active)
        except TransportRefused as error:
            self._refused, self.error = found, str(error)
            self._due.reload = time.monotonic() + _RELOAD_S
            log.error("Generation %d is refused by this process: %s", active.generation, error)
            self._beat()
            return
        failed = active.confirm_state == ActiveConfig.Confirm.FAILED
        self._loaded, self._refused, self.error = (active.generation, active.epoch, failed), None, ""
        self._swap(transport)
        self._beat()

    def _swap(self, transport: Transport) -> None:
        old, self.transport = self.pool, transport
        left = old.retire()
        self._retired.append(old)
        self.pool = self._pool(transport)
        if left:  # claimed and not begun: back to the queue, the new generation decides
            with transaction.atomic():
                store.release(self._lease, left, timezone.now())
            self._forget(left)

    def _pool(self, transport: Transport) -> Pool:
        return Pool(
            make_session=transport.session,
            connections=transport.connections,
            stamp=Stamp(transport.revision, transport.generation),
            divert_to=transport.config.general.divert_to,
            lease=self._lease,
            journal=self.journal,
            policy=self.policy,
            wake=self.wake,
        )

    # Upkeep

    def _maintain(self) -> None:
        at = time.monotonic()
        if at >= self._due.watch:
            self._due.watch = at + _WATCH_S
            if _inode() != self._inode:  # the database file was replaced under us (a restored backup)
                connection.close()
                self._inode = _inode()
            confirmation.tick()
        if at >= self._due.beat:
            self._beat()
        if at >= self._due.sweep:
            self._due.sweep = at + _SWEEP_S
            now = timezone.now()
            recover.replay(self.folder, self.policy, now)
            recover.sweep(self.policy, now)
            retention.daily(now)
            healthcheck.daily(now)

    def _beat(self) -> None:
        self._due.beat = time.monotonic() + instances.BEAT_S
        state = State.REJECTED if self._refused else State.STOPPING if self._stopping else State.RUNNING
        generation = self.transport.generation if self.transport is not NOTHING else None
        instances.beat(self.instance, state=state, generation=generation, error=self.error or self.transport.hold)
        until = timezone.now() + timedelta(seconds=settings.LEASE_S)
        if not Lease.objects.filter(pk=self._lease).update(until=until):
            raise LeaseLost("This process stalled for longer than its lease; it has to start anew.")

    def _new_lease(self) -> int:
        until = timezone.now() + timedelta(seconds=settings.LEASE_S)
        return Lease.objects.create(instance=self.instance.instance, until=until).pk

    def _finish(self) -> None:
        """Ends what is in flight, records it and leaves no claim behind."""
        deadline = time.monotonic() + STOP_WITHIN_S
        left = self.pool.retire() + self._claimed
        self._retired.append(self.pool)
        instances.beat(self.instance, state=State.STOPPING, generation=self.transport.generation)
        while self._retired and time.monotonic() < deadline:
            self._retired[0].join(0.1)
            self._collect()
        with transaction.atomic():
            now = timezone.now()
            self._record(self._events, store.pulse(), now)
            store.release(self._lease, left, now)
        self._settled(self._events)
        self._forget(left)
        if not self._held:
            Lease.objects.filter(pk=self._lease).delete()
            self.journal.released(self._lease)
        self.journal.close()


def _ids(events: list[Outcome | Broken | Tripped]) -> list[int]:
    """The messages that are out of this process's hands once these events are recorded."""
    ids: list[int] = []
    for event in events:
        if isinstance(event, Outcome):
            ids.append(event.id)
        elif isinstance(event, Broken):
            ids += [work.id for work in event.rest]
            ids += [event.first.id] if event.first is not None else []
    return ids


def _answered(outcome: Outcome) -> bool:
    """Whether the server judged this message: it is reachable and takes mail from us."""
    return outcome.error_class not in (ErrorClass.HOST, ErrorClass.IN_DOUBT) and outcome.state not in (
        "suppressed",
        "held",
    )


def _inode() -> int:
    """Of the SQLite file; 0 for another database."""
    if connection.vendor != "sqlite":
        return 0
    try:
        return os.stat(connection.settings_dict["NAME"]).st_ino
    except OSError:
        return 0
