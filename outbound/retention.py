"""How long the log is kept: contents for days, records for months. Deletes in slices, so that mail goes on leaving."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from outbound import instances
from outbound.engine import store
from outbound.ids import first_id_at
from outbound.models import OutcomeCount, QueueState

_SLICE = 250  # messages in one transaction: some ten milliseconds
_AT_A_TIME = 4  # slices of the daily run between two rounds of delivery
_EVERY = timedelta(days=1)
# What waits or is held keeps its content, however old it is.
_ENDED = "state IN ('sent', 'partial', 'failed', 'cancelled', 'suppressed')"
_BODIES = ("outbound_messagebody",)
_RECORDS = ("outbound_idempotencykey", *_BODIES, "outbound_attempt", "outbound_recipient", "outbound_message")


def daily(now: datetime) -> bool:
    """Does a part of what `prune` does, when a day has passed since it was last done: so little that the delivering
    process which asks every few seconds is not kept from its queue. Returns whether there was something to do."""
    if QueueState.objects.filter(singleton=1, pruned_at__gt=now - _EVERY).exists():
        return False
    for number, _ in enumerate(_slices(now), start=1):
        if number == _AT_A_TIME:
            return True
    _finish(now)
    return True


def prune(now: datetime) -> tuple[int, int]:
    """Deletes contents and records past their time (RETAIN_BODIES_DAYS, RETAIN_RECORDS_DAYS), of messages that ended.
    Returns how many of each. Rests as long as it works: SQLite has one writer at a time, and no queue of those who
    wait."""
    bodies = records = 0
    begun = time.monotonic()
    for tables, number in _slices(now):
        bodies, records = (bodies + number, records) if tables == _BODIES else (bodies, records + number)
        time.sleep(min(time.monotonic() - begun, 1.0))
        begun = time.monotonic()
    _finish(now)
    return bodies, records


def _finish(now: datetime) -> None:
    OutcomeCount.objects.filter(slot__lt=now - timedelta(days=settings.RETAIN_RECORDS_DAYS)).delete()
    instances.prune()
    QueueState.objects.filter(singleton=1).update(pruned_at=now)


def _slices(now: datetime) -> Iterator[tuple[tuple[str, ...], int]]:
    """Deletes slice by slice; says after each which tables it was of, and how many messages."""
    QueueState.objects.get_or_create(singleton=1)
    for days, tables in ((settings.RETAIN_BODIES_DAYS, _BODIES), (settings.RETAIN_RECORDS_DAYS, _RECORDS)):
        last, end = 0, first_id_at(now - timedelta(days=days))
        while True:
            with transaction.atomic():
                # One process at a time; on PostgreSQL two could wait for each other's rows.
                QueueState.objects.select_for_update().get(singleton=1)
                ids = _next(tables, last, end)
                number = _delete_ended(tables, ids) if ids else 0
            if not ids:
                break
            last = ids[-1]
            yield tables, number


def _next(tables: tuple[str, ...], last: int, end: int) -> list[int]:
    table, column = (tables[0], "message_id") if tables == _BODIES else ("outbound_message", "id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column} FROM {table} WHERE {column} > %s AND {column} < %s ORDER BY {column} LIMIT %s",  # noqa: S608
            [last, end, _SLICE],
        )
        return [row[0] for row in cursor.fetchall()]


def _delete_ended(tables: tuple[str, ...], ids: list[int]) -> int:
    with connection.cursor() as cursor:
        these = store.among("id")
        cursor.execute(f"SELECT id FROM outbound_message WHERE {these} AND {_ENDED}", [store.numbers(ids)])  # noqa: S608
        ended = [row[0] for row in cursor.fetchall()]
        for table in tables if ended else ():
            column = "id" if table == "outbound_message" else "message_id"
            cursor.execute(f"DELETE FROM {table} WHERE {store.among(column)}", [store.numbers(ended)])  # noqa: S608
    return len(ended)
