"""What dead processes left behind is settled here, before anything is claimed.

On this machine their journals say what happened on the wire. A process whose journal can't be read (another machine) is
dead when its lease lapsed; what it had claimed is then in doubt."""

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.db import connection, transaction
from django.db.models import F

from emailcfg.providers.base import ErrorClass
from outbound import journal
from outbound.engine import outcomes, store
from outbound.engine.settle import Policy
from outbound.engine.work import Outcome, RecipientOutcome, Stamp
from outbound.journal import Found
from outbound.models import Lease, Message, Priority, Recipient, State
from outbound.retry import decide

log = logging.getLogger(__name__)

SUSPECT_AFTER = 2  # crashes in company; from then on a message goes alone
HELD_AFTER = 5  # crashes; then it waits for a person
_LOST = "process_lost"


def replay(folder: Path, policy: Policy, now: datetime) -> int:
    """Settles what processes on this machine left that died. Returns how many messages that were."""
    settled = 0
    with journal.abandoned(folder) as left:
        for path, found in left:
            with transaction.atomic():
                count = sum(_settle_lease(lease, found, policy, now) for lease in sorted(found.leases))
            path.unlink(missing_ok=True)
            settled += count
            log.warning("A process ended without finishing; %d messages were settled from its journal.", count)
    return settled


def _settle_lease(lease: int, found: Found, policy: Policy, now: datetime) -> int:
    rows = {message.pk: message for message in Message.objects.filter(state=State.SENDING, lease=lease)}
    known = [_outcome(found.outcomes[lease, pk]) for pk in rows if (lease, pk) in found.outcomes]
    recorded = [one for one in known if one is not None]
    late = _answered_after_all(lease, found)
    outcomes.record(lease, recorded + late, now)
    rest = rows.keys() - {one.id for one in recorded}
    doubted = {
        pk for pk in rest if not found.same_boot or (lease, pk) in found.entered or (lease, pk) in found.outcomes
    }
    _doubt(lease, [rows[pk] for pk in sorted(doubted)], policy, now)
    free([rows[pk] for pk in sorted(rest - doubted)], now)
    _count_crash([rows[pk] for pk in sorted(rest)])
    Lease.objects.filter(pk=lease).delete()
    return len(rows) + len(late)


def _answered_after_all(lease: int, found: Found) -> list[Outcome]:
    """What another process put in doubt meanwhile, because the lease lapsed, and nobody tried again since. The database
    may have been away for longer than a lease, while the answers stood in the journal."""
    doubted = Message.objects.select_for_update().filter(state=State.IN_DOUBT, cause=_LOST, lease=lease)
    known = [_outcome(found.outcomes[lease, one.pk]) for one in doubted if (lease, one.pk) in found.outcomes]
    answered = [one for one in known if one is not None]
    Message.objects.filter(pk__in=[one.id for one in answered]).update(doubts=F("doubts") - 1)
    return answered


def _outcome(line: str) -> Outcome | None:
    try:
        return Outcome.from_line(line)
    except (ValueError, TypeError):
        return None  # damaged: the message counts as in doubt


def sweep(policy: Policy, now: datetime) -> int:
    """Puts in doubt what was claimed under leases that lapsed or are gone. Returns how many messages."""
    if not Message.objects.filter(state=State.SENDING).exclude(lease__in=_alive(now)).exists():
        Lease.objects.filter(until__lte=now).delete()
        return 0
    with transaction.atomic():
        Lease.objects.filter(until__lte=now).delete()
        lost = list(
            Message.objects.select_for_update().filter(state=State.SENDING).exclude(lease__in=_alive(now))[:1000]
        )
        for lease in sorted({message.lease or 0 for message in lost}):
            _doubt(lease, [message for message in lost if (message.lease or 0) == lease], policy, now)
        _count_crash(lost)
    log.error("%d messages are in doubt: the process that had claimed them is gone.", len(lost))
    return len(lost)


def _alive(now: datetime) -> list[int]:
    return list(Lease.objects.filter(until__gt=now).values_list("pk", flat=True))


def _doubt(lease: int, messages: Iterable[Message], policy: Policy, now: datetime) -> None:
    doubted = []
    for message in messages:
        doubts = message.doubts + 1
        decision = decide(
            ErrorClass.IN_DOUBT,
            attempt=message.attempts,
            now=now,
            expires_at=message.expires_at,
            doubts=doubts,
            hold_doubtful=policy.hold_doubtful,
            first_s=policy.first_s,
        )
        open_recipients = Recipient.objects.filter(message=message).exclude(state__in=(State.SENT, State.FAILED))
        text = "The service ended before the answer was read."
        entries = tuple(
            RecipientOutcome(position, "in_doubt", 0, text)
            for position in open_recipients.values_list("position", flat=True)
        )
        doubted.append(
            Outcome(
                message.pk,
                "in_doubt",
                now.timestamp(),
                Stamp(None, None),
                cause=_LOST,
                due_at=decision.due_at,
                doubts=doubts,
                recipients=entries,
                reply=text,
                stage="accepted",
                error_class="in_doubt",
                reason=_LOST,
            )
        )
    outcomes.record(lease, doubted, now)


def free(messages: Iterable[Message], now: datetime) -> None:
    """Puts messages back into the queue of which not one byte was in DATA."""
    for fresh, state in ((True, State.QUEUED), (False, State.DEFERRED)):
        ids = [message.pk for message in messages if (message.attempts <= 1) is fresh]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE outbound_message SET state = %s, due_at = %s, attempts = attempts - 1 "  # noqa: S608
                f"WHERE {store.among('id')}",
                [str(state), store.stamp(now), store.numbers(ids)],
            )


def _count_crash(messages: Iterable[Message]) -> None:
    """A message that stood in a crash may be its cause: after two it goes alone, after five it is held."""
    by_count: dict[int, list[int]] = {}
    for message in messages:
        by_count.setdefault(message.crashes + 1, []).append(message.pk)
    for crashes, ids in by_count.items():
        rows = Message.objects.filter(pk__in=ids)
        rows.update(crashes=crashes)
        if crashes >= HELD_AFTER:
            rows.update(state=State.HELD, cause="crashes_service", due_at=None)
            log.error("Messages are held, because the service died %d times with them: %s", crashes, ids)
        elif crashes >= SUSPECT_AFTER:
            rows.update(priority=Priority.SUSPECT)
