"""Writes what became of claimed messages: raw SQL, in bulk, only for messages that the lease still holds.

Callers hold the transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from outbound import bulk
from outbound.engine import store
from outbound.engine.work import Outcome

_MESSAGE = (
    "UPDATE outbound_message SET state = %s, cause = %s, due_at = %s, doubts = %s, attempts = attempts - %s, "
    "changed_at = %s WHERE id = %s AND lease = %s"
)
_RECIPIENT = (
    "UPDATE outbound_recipient SET state = %s, code = %s, text = %s WHERE message_id = %s AND position = %s "
    "AND EXISTS (SELECT 1 FROM outbound_message WHERE id = %s AND lease = %s)"
)
_ATTEMPT = (
    "outbound_attempt (message_id, at, revision, generation, server, tls, code, enhanced, reply, "
    "provider_id, stage, error_class, reason, note, ms)"
)
_ATTEMPT_ROW = f"({', '.join(['%s'] * 15)})"


def record(lease: int, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Writes outcomes of messages that this lease still holds. The attempts are written in any case: they happened."""
    at = store.stamp(now)
    plain: dict[int, list[int]] = {}
    messages, recipients, attempts = [], [], []
    times: dict[int, Any] = {}
    for one in outcomes:
        if one.state == "sent" and not one.recipients:
            plain.setdefault(one.code, []).append(one.id)
        else:
            due = store.stamp(one.due_at) if one.due_at is not None else None
            uncounted = 0 if one.counted else 1
            messages.append((one.state, one.cause, due, one.doubts, uncounted, at, one.id, lease))
            if one.recipients:
                recipients += [(r.state, r.code, r.text, one.id, r.position, one.id, lease) for r in one.recipients]
            elif one.counted:
                _all_recipients(lease, one)
        tick = int(one.at * 100)  # a hundredth of a second is exact enough, and many share it
        when = times.get(tick)
        if when is None:
            when = times[tick] = store.stamp(datetime.fromtimestamp(tick / 100, UTC))
        under = one.stamp
        attempts.append(
            (
                *(one.id, when, under.revision, under.generation, under.server, under.tls, one.code, one.enhanced),
                *(one.reply, one.provider_id, one.stage, one.error_class, one.reason, one.note, one.ms),
            )
        )
    with connection.cursor() as cursor:
        for code, ids in plain.items():
            _record_sent(cursor, lease, code, ids, at)
        if messages:
            cursor.executemany(_MESSAGE, messages)
        if recipients:
            cursor.executemany(_RECIPIENT, recipients)
        bulk.insert(cursor, _ATTEMPT, _ATTEMPT_ROW, attempts)
    _count(outcomes, now)


def _record_sent(cursor: Any, lease: int, code: int, ids: list[int], at: Any) -> None:
    held, these = f"{store.among('id')} AND lease = %s", store.numbers(ids)
    cursor.execute(
        "UPDATE outbound_recipient SET state = 'sent', code = %s, text = '' WHERE state NOT IN ('sent', 'failed') "  # noqa: S608
        f"AND message_id IN (SELECT id FROM outbound_message WHERE {held})",
        [code, these, lease],
    )
    cursor.execute(
        "UPDATE outbound_message SET state = 'sent', cause = '', due_at = NULL, changed_at = %s "  # noqa: S608
        f"WHERE {held}",
        [at, these, lease],
    )


def _all_recipients(lease: int, one: Outcome) -> None:
    """One state for all recipients that are still open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbound_recipient SET state = %s, code = %s, text = %s WHERE message_id = %s "
            "AND state NOT IN ('sent', 'failed') "
            "AND EXISTS (SELECT 1 FROM outbound_message WHERE id = %s AND lease = %s)",
            [
                one.state if one.state != "partial" else "sent",
                one.code,
                "" if one.state in ("sent", "partial") else one.reply,
                one.id,
                one.id,
                lease,
            ],
        )


def _count(outcomes: Sequence[Outcome], now: datetime) -> None:
    slot = now.replace(minute=now.minute - now.minute % 10, second=0, microsecond=0)
    found: dict[str, int] = {}
    for one in outcomes:
        if one.counted:
            name = "failed" if one.state == "partial" else one.state
            found[name] = found.get(name, 0) + 1
    with connection.cursor() as cursor:
        for name in sorted(found):  # always in one order, so that two processes can't wait for each other
            cursor.execute(
                "INSERT INTO outbound_outcomecount (slot, outcome, count) VALUES (%s, %s, %s) "
                "ON CONFLICT (slot, outcome) DO UPDATE SET count = outbound_outcomecount.count + excluded.count",
                [store.stamp(slot), name, found[name]],
            )
