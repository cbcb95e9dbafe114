"""The statements that move the queue. Raw SQL, in bulk: each message costs a few microseconds, whatever the backlog.

All of them work alike on SQLite and PostgreSQL. Callers hold the transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from emailcfg.models import ActiveConfig
from outbound.engine import rows
from outbound.engine.work import Work
from outbound.models import Priority

BATCH = 500
BATCH_BYTES = 32_000_000  # of mail in one claim: other processes get the rest
_OPEN = frozenset(("queued", "deferred", "in_doubt", "sending"))
_SLOT = timedelta(minutes=10)


def stamp(moment: datetime) -> Any:
    """A moment as this database's driver takes it."""
    return connection.ops.adapt_datetimefield_value(moment)


def among(column: str) -> str:
    """SQL for: `column` is one of the `numbers` in its parameter. The text is the same for all numbers, so the driver
    keeps one prepared statement; with the numbers in the text it kept a hundred large ones, each used once."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def numbers(ids: Iterable[int]) -> Any:
    """Numbers as the parameter of `among`."""
    return list(ids) if connection.vendor == "postgresql" else json.dumps([*ids])


# Looking


@dataclass(frozen=True, slots=True)
class Pulse:
    """What may have changed since the last round, in one look: the active generation and what holds the queue.
    `uneasy`: a breaker of this generation is open or has failures to forget."""

    generation: int = 0
    epoch: str = ""
    confirm_state: str = ""
    paused: bool = False
    uneasy: bool = False

    @property
    def awaits_confirmation(self) -> bool:
        return self.confirm_state == ActiveConfig.Confirm.PENDING


def pulse() -> Pulse:
    """Reads the pulse. Raw SQL, because every process asks four times a second and in every claim."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.generation, a.epoch, a.confirm_state, "
            "EXISTS (SELECT 1 FROM outbound_queuestate q WHERE q.paused), "
            "EXISTS (SELECT 1 FROM outbound_breaker b WHERE b.generation = a.generation AND b.failures > 0) "
            "FROM emailcfg_activeconfig a WHERE a.singleton = 1"
        )
        row = cursor.fetchone()
    return Pulse(row[0], row[1], row[2], bool(row[3]), bool(row[4])) if row is not None else Pulse()


def data_version() -> int:
    """A number that changes when another connection commits; costs next to nothing (SQLite: PRAGMA data_version).
    Always 0 where the database does not offer it."""
    if connection.vendor != "sqlite":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchone()[0])


# Claiming


def something_due(now: datetime) -> bool:
    """Whether a claim would find anything. One look into the index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM outbound_message WHERE priority IN (0, 1, 2, 9) AND due_at <= %s LIMIT 1", [stamp(now)]
        )
        return cursor.fetchone() is not None


def any_due(ids: Sequence[int], now: datetime) -> bool:
    """Whether one of these messages waits to be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM outbound_message WHERE {among('id')} AND due_at <= %s LIMIT 1",  # noqa: S608
            [numbers(ids), stamp(now)],
        )
        return cursor.fetchone() is not None


def claim(lease: int, *, limit: int, now: datetime, suspects: bool) -> list[Work]:
    """Takes up to `limit` due messages for this lease, high priority first. A message that stood in several crashes is
    taken only when `suspects` is True, and then alone. Their content is still to be loaded."""
    works: list[Work] = []
    room = BATCH_BYTES
    with connection.cursor() as cursor:
        for priority in (Priority.HIGH, Priority.NORMAL, Priority.BULK):
            if len(works) < limit and room > 0:
                room = _select(cursor, works, priority, limit - len(works), room, now)
        if suspects and not works:
            _select(cursor, works, Priority.SUSPECT, 1, room, now)
        if works:
            cursor.execute(
                "UPDATE outbound_message SET state = 'sending', due_at = NULL, lease = %s, attempts = attempts + 1, "  # noqa: S608
                f"changed_at = %s WHERE {among('id')}",
                [lease, stamp(now), numbers(work.id for work in works)],
            )
    return works


_LOCK = {"postgresql": " FOR UPDATE SKIP LOCKED"}  # SQLite's write transaction locks all
_QUEUE_COLUMNS = "id, state, attempts, doubts, expires_at, size, recipient_count, first_recipient"


def _select(cursor: Any, works: list[Work], priority: int, limit: int, room: int, now: datetime) -> int:
    found = rows.of(
        cursor,
        _QUEUE_COLUMNS,
        f"SELECT {_QUEUE_COLUMNS} FROM outbound_message WHERE priority = %s AND due_at <= %s "  # noqa: S608
        f"ORDER BY due_at LIMIT %s{_LOCK.get(connection.vendor, '')}",
        [int(priority), stamp(now), limit],
    )
    for pk, state, attempts, doubts, expires_at, size, count, first in found:
        if room <= 0:
            break
        room -= size
        work = Work(pk, state, attempts + 1, doubts, expires_at, size, count, suspect=priority == Priority.SUSPECT)
        if count == 1:  # nearly all: then what is still to be loaded is the content alone
            work.open.append((0, first))
        works.append(work)
    return room


def load(works: Sequence[Work]) -> list[Work]:
    """Fills in content and recipients; returns those whose content is gone (nothing can be sent)."""
    by_id = {work.id: work for work in works}
    many = [work for work in works if work.recipient_count != 1]
    with connection.cursor() as cursor:
        if many:
            _load_recipients(cursor, many, by_id)
        columns = "message_id, mail_from, shape"
        source = f"outbound_messagebody WHERE {among('message_id')}"
        wanted = [numbers(work.id for work in works)]
        for pk, mail_from, form, content in rows.with_bytes(cursor, columns, "content", source, wanted):
            work = by_id[pk]
            work.mail_from, work.content, work.shape = mail_from, content, form
    return [work for work in works if not work.content or not work.open]


def _load_recipients(cursor: Any, works: Sequence[Work], by_id: dict[int, Work]) -> None:
    for work in works:  # a load that failed half-way is repeated
        work.open, work.closed = [], []
    cursor.execute(
        "SELECT message_id, position, address, state FROM outbound_recipient "  # noqa: S608
        f"WHERE {among('message_id')} ORDER BY message_id, position",
        [numbers(work.id for work in works)],
    )
    for pk, position, address, state in cursor.fetchall():
        if state in _OPEN:
            by_id[pk].open.append((position, address))
        else:
            by_id[pk].closed.append(state)


# Putting back and counting


def release(lease: int, works: Sequence[Work], now: datetime) -> None:
    """Puts messages back that were claimed and not tried."""
    by_state: dict[str, list[int]] = {}
    for work in works:
        by_state.setdefault(work.was, []).append(work.id)
    with connection.cursor() as cursor:
        for state, ids in by_state.items():
            cursor.execute(
                "UPDATE outbound_message SET state = %s, due_at = %s, attempts = attempts - 1 "  # noqa: S608
                f"WHERE {among('id')} AND lease = %s AND state = 'sending'",
                [state, stamp(now), numbers(ids), lease],
            )


def tally(generation: int, *, attempts: int, configuration_failures: int) -> tuple[int, int]:
    """Adds to the attempts under a generation; returns all of them and how many failed for its configuration."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outbound_generationtally (generation, attempts, configuration_failures) VALUES (%s, %s, %s) "
            "ON CONFLICT (generation) DO UPDATE SET attempts = outbound_generationtally.attempts + excluded.attempts, "
            "configuration_failures = outbound_generationtally.configuration_failures + "
            "excluded.configuration_failures RETURNING attempts, configuration_failures",
            [generation, attempts, configuration_failures],
        )
        total, failed = cursor.fetchone()
    return int(total), int(failed)
