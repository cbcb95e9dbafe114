"""How long the log is kept: contents for days, records for months. Deletes in slices, so that mail goes on leaving."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from outbound import instances
from outbound.engine import store
from outbound.ids import first_id_at
from outbound.models import OutcomeCount, QueueState

_SLICE = 2_000
_EVERY = timedelta(days=1)
# What waits or is held keeps its content, however old it is.
_ENDED = "state IN ('sent', 'partial', 'failed', 'cancelled', 'suppressed')"


def daily(now: datetime) -> bool:
    """Runs `prune` when a day has passed since any process last did. Returns whether it ran."""
    if QueueState.objects.filter(singleton=1, pruned_at__gt=now - _EVERY).exists():
        return False
    with transaction.atomic():
        state, _ = QueueState.objects.select_for_update().get_or_create(singleton=1)
        if state.pruned_at is not None and state.pruned_at > now - _EVERY:
            return False
        QueueState.objects.filter(singleton=1).update(pruned_at=now)
    prune(now)
    return True


def prune(now: datetime) -> tuple[int, int]:
    """Deletes contents and records past their time (RETAIN_BODIES_DAYS, RETAIN_RECORDS_DAYS), of messages that ended.
    Returns how many of each."""
    bodies = _each_slice(now - timedelta(days=settings.RETAIN_BODIES_DAYS), ("outbound_messagebody",))
    records = _each_slice(
        now - timedelta(days=settings.RETAIN_RECORDS_DAYS),
        (
            "outbound_idempotencykey",
            "outbound_messagebody",
            "outbound_attempt",
            "outbound_recipient",
            "outbound_message",
        ),
    )
    OutcomeCount.objects.filter(slot__lt=now - timedelta(days=settings.RETAIN_RECORDS_DAYS)).delete()
    instances.prune()
    return bodies, records


def _each_slice(before: datetime, tables: tuple[str, ...]) -> int:
    """Deletes the rows of ended messages that were accepted before this moment, by walking their ids."""
    done, last, end = 0, 0, first_id_at(before)
    first_table = tables[0] if len(tables) == 1 else "outbound_message"
    column = "id" if first_table == "outbound_message" else "message_id"
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {column} FROM {first_table} WHERE {column} > %s AND {column} < %s "  # noqa: S608 - names from above
                f"ORDER BY {column} LIMIT %s",
                [last, end, _SLICE],
            )
            ids = [row[0] for row in cursor.fetchall()]
            if not ids:
                return done
            last = ids[-1]
            cursor.execute(
                f"SELECT id FROM outbound_message WHERE id IN ({store.numbers(ids)}) AND {_ENDED}"  # noqa: S608
            )
            ended = [row[0] for row in cursor.fetchall()]
            for table in tables if ended else ():
                name = "id" if table == "outbound_message" else "message_id"
                cursor.execute(f"DELETE FROM {table} WHERE {name} IN ({store.numbers(ended)})")  # noqa: S608
            done += len(ended)
