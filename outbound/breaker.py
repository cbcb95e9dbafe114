"""What holds the queue: a failure that concerns more than one message opens a breaker for the generation it met.

While it is open nothing is claimed but one message at a time as a probe, with growing pauses; no message fails. The
first answer that shows the obstacle gone closes it. A new generation starts without any.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from emailcfg import audit
from emailcfg.actor import SYSTEM
from emailcfg.providers.base import ErrorClass, Failure
from outbound.models import Breaker, Message, Priority, State
from outbound.retry import GIVE_UP_AFTER

log = logging.getLogger(__name__)

HOST_LIMIT = 3  # failures of the host in a row, over all connections and processes
_PAUSES_S = {
    ErrorClass.HOST: (15, 30, 60, 120, 300),
    ErrorClass.CONFIGURATION: (60, 300, 900, 3600),  # slow: each probe may be a refused login, and those lock accounts
    ErrorClass.SENDER: (60, 300, 900, 3600),
    ErrorClass.DEFECT: (900, 3600),
    ErrorClass.RATE: (900, 1800, 3600, 4 * 3600, 24 * 3600),
}
_LONGEST_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Gate:
    """What may be claimed now. `probe` is the breaker that one message may try; `senders` are held senders."""

    shut: bool = False
    probe: Breaker | None = None
    senders: frozenset[str] = frozenset()
    uneasy: bool = False  # a breaker stands open or has failures to forget


def pause_s(error_class: ErrorClass, failures: int, retry_after_s: float | None, first_s: float = 60.0) -> float:
    """Seconds to the next probe after so many failures in a row; what the server asked for comes first."""
    if error_class is ErrorClass.RATE and retry_after_s is not None:
        return min(max(retry_after_s, 1.0), _LONGEST_S)
    steps = _PAUSES_S[error_class]
    return steps[min(max(failures, 1), len(steps)) - 1] * (first_s / 60.0)


def gate(generation: int, now: datetime) -> Gate:
    """Reads the breakers of a generation. Within the claim's transaction; claims no probe yet."""
    rows = list(Breaker.objects.filter(generation=generation, failures__gt=0))
    if not rows:
        return Gate()
    senders = frozenset(row.sender for row in rows if row.is_open and row.sender)
    whole = next((row for row in rows if row.is_open and not row.sender), None)
    if whole is None:
        due = next((r for r in rows if r.is_open and r.sender and _is_due(r, now)), None)
        return Gate(probe=due, senders=senders, uneasy=True)
    return Gate(shut=True, probe=whole if _is_due(whole, now) else None, senders=senders, uneasy=True)


def _is_due(row: Breaker, now: datetime) -> bool:
    return row.next_probe_at is None or row.next_probe_at <= now


def begin_probe(row: Breaker, now: datetime, first_s: float) -> bool:
    """Takes the right to probe; one process gets it. The next probe moves on in case this process dies."""
    pause = timedelta(seconds=pause_s(ErrorClass(row.error_class), row.failures, None, first_s))
    mine = Breaker.objects.filter(pk=row.pk, is_open=True, next_probe_at=row.next_probe_at)
    return mine.update(next_probe_at=now + pause) == 1


def failed(
    generation: int,
    *,
    provider: str,
    sender: str,
    failure: Failure,
    server: str,
    now: datetime,
    first_s: float,
    probing: bool = False,
) -> bool:
    """Counts a failure that concerns more than its message and opens the breaker when it is time. Returns whether
    mail is held now. Alarms once, when it opens. While it is open only a probe makes the pauses longer."""
    error_class = failure.error_class
    row, _ = Breaker.objects.select_for_update().get_or_create(
        generation=generation,
        sender=sender if error_class is ErrorClass.SENDER else "",
        defaults={"provider": provider},
    )
    was_open = row.is_open
    if was_open and not probing:
        return True
    row.failures += 1
    row.is_open = was_open or error_class is not ErrorClass.HOST or row.failures >= HOST_LIMIT
    row.error_class, row.stage, row.reason = error_class, failure.stage, failure.reason[:48]
    row.sentence, row.server, row.provider = failure.words, server, provider
    if row.is_open:
        step = row.failures - HOST_LIMIT + 1 if error_class is ErrorClass.HOST else row.failures
        row.next_probe_at = now + timedelta(seconds=pause_s(error_class, step, failure.retry_after_s, first_s))
        row.since = row.since if was_open else now
    row.save()
    if row.is_open and not was_open:
        log.error("Mail is held: %s at %s: %s", failure.reason, server, failure.words)
        audit.record(
            "queue.held",
            actor=SYSTEM,
            subject=f"generation {generation}",
            reason=failure.reason,
            words=failure.words,
            sender=row.sender,
        )
    return row.is_open


def worked(generation: int, *, senders: frozenset[str], now: datetime) -> None:
    """The server took or judged a message: what held the queue is gone. `senders` were accepted."""
    for row in Breaker.objects.select_for_update().filter(generation=generation, failures__gt=0):
        if row.sender and row.sender not in senders:
            continue
        _let_go(row, now)
        was_open, row.is_open, row.failures = row.is_open, False, 0
        row.next_probe_at, row.closed_at = None, now if was_open else row.closed_at
        row.save()
        if was_open:
            log.warning("Mail leaves again: %s", row.reason)
            audit.record("queue.freed", actor=SYSTEM, subject=f"generation {generation}", reason=row.reason)


def probe_now(generation: int, *, now: datetime) -> None:
    """Lets the next claim probe at once (the administrator's "try now")."""
    held = Breaker.objects.filter(generation=generation, is_open=True)
    for row in held:
        _let_go(row, now)
    held.update(next_probe_at=now)


def let_go_of_others(generation: int, *, now: datetime) -> None:
    """Of what was held under other generations than this one, nothing is to wait."""
    for row in Breaker.objects.filter(is_open=True, next_probe_at__gt=now).exclude(generation=generation):
        _let_go(row, now)


def _let_go(row: Breaker, now: datetime) -> None:
    """Mail of a refused sender was put off until its next probe, so that other mail passes it: it is due now. What was
    given a later time by the product expires later than what was accepted by now."""
    if row.is_open and row.sender and row.next_probe_at is not None:
        Message.objects.filter(
            priority__in=Priority.values,
            due_at__gt=now,
            due_at__lte=row.next_probe_at,
            state__in=(State.QUEUED, State.DEFERRED),
            expires_at__lte=now + GIVE_UP_AFTER,
            body__mail_from=row.sender,
        ).update(due_at=now)
