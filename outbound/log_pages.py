"""One page of the log, by key: page 1,000 costs what page 1 does, whatever the filter and the size of the log.

Each condition has an index that gives ids in the order of the page. Where two conditions meet, the index of the rarer
one is walked, and the planner is kept from the other by COALESCE. A search first asks the indexes of its beginning,
and walks the log only when so many messages begin so that the walk is short.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from outbound.kinds import KINDS
from outbound.models import Attempt, Message, State
from outbound.walk import STATES, Span, Statement, by_state_and_kind

_FEW = 200_000  # matches of a search that are fetched and sorted; more, and the log is walked instead
_SIFTED = (500, 5_000)  # of these, looked at together: at first, and then
_LAST = "\U0010ffff"  # no character sorts after it


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. `search` is an address, the beginning of an address or subject, a Message-ID or an id; `cause`
    the stable word; `doubted`: only those of which a copy too many may exist; `diverted`: only those that went to
    the address to which all mail was diverted."""

    state: str = ""
    kind: str = ""
    search: str = ""
    cause: str = ""
    doubted: bool = False
    diverted: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, newest first. `next_cursor` is the `before` of the next page, None at the end; `newest`: there are
    no newer ones."""

    messages: list[Message]
    next_cursor: int | None
    newest: bool = True


def page(wanted: Filter, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
    """One page: three queries, and one or two more for a search. `after` asks for the next newer messages; where they
    don't fill a page, it is the newest one."""
    if after is not None:
        found = _ids(wanted, Span(above=after, upward=True), limit)
        if len(found) == limit:
            return Page(_messages(found), found[0], newest=False)
    found = _ids(wanted, Span(below=before), limit + 1)
    more = found[limit - 1] if len(found) > limit else None
    return Page(_messages(found[:limit]), more, newest=before is None)


def _messages(ids: Sequence[int]) -> list[Message]:
    messages = list(Message.objects.filter(pk__in=ids).order_by("-pk"))
    mark_diverted(messages)
    return messages


def mark_diverted(messages: Iterable[Message]) -> None:
    """Fills in `Message.diverted` of those that were sent: what their attempts noted. One query."""
    sent = {message.pk: message for message in messages if message.state == State.SENT}
    if sent:
        noted = Attempt.objects.filter(message__in=sent, note__gt="", reason="").order_by("pk")
        for pk, note in noted.values_list("message", "note"):
            sent[pk].diverted = note


def _ids(wanted: Filter, span: Span, limit: int) -> list[int]:
    """The first `limit` ids of the span."""
    search = wanted.search.strip()
    if not search:
        return _fetched(_walk(wanted, span, limit))
    few = _candidates(search, span)
    if few is None:
        where, params = _begins(search.casefold())
        return _fetched(_walk(wanted, span, limit, where, params))
    return _sifted(sorted(few, reverse=not span.upward), wanted, span, limit)


def _fetched(statement: Statement) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.params)
        return [row[0] for row in cursor.fetchall()]


# Walking


def _walk(wanted: Filter, span: Span, limit: int, where: Sequence[str] = (), params: Sequence[Any] = ()) -> Statement:
    """Walks the index of the rarest condition; the others are looked up row by row."""
    if wanted.cause:
        where, params = (*where, "m.cause = %s"), (*params, wanted.cause)
    if wanted.diverted:
        return _rare(_DIVERTED, "a.message_id", wanted, span, limit, where, params)
    if wanted.doubted:
        return _rare(_DOUBTED, "m.id", wanted, span, limit, where, params)
    if wanted.state or wanted.kind:
        states = (wanted.state,) if wanted.state else STATES
        kinds = (wanted.kind,) if wanted.kind else tuple(KINDS)
        return by_state_and_kind(states=states, kinds=kinds, span=span, limit=limit, where=where, params=params)
    return _rare(_ALL, "m.id", wanted, span, limit, where, params)


_Source = tuple[str, tuple[str, ...]]  # tables, and the conditions that choose the index
_ALL: _Source = ("outbound_message m", ())
_DOUBTED: _Source = ("outbound_message m", ("m.doubts > 0",))
_DIVERTED: _Source = (  # CROSS: SQLite keeps to this order of the tables
    "outbound_attempt a CROSS JOIN outbound_message m",
    ("m.id = a.message_id", "a.note > ''", "a.reason = ''"),
)


def _rare(
    source: _Source,
    key: str,
    wanted: Filter,
    span: Span,
    limit: int,
    where: Sequence[str],
    params: Sequence[Any],
) -> Statement:
    table, given = source
    hidden, values = _hidden(wanted)
    conditions = " AND ".join((*given, *span.conditions(key), *where, *hidden))
    narrowed = f" WHERE {conditions}" if conditions else ""
    sql = f"SELECT {key} FROM {table}{narrowed} {span.order(key)} LIMIT {int(limit)}"  # noqa: S608
    return Statement(sql, (*params, *values))


def _hidden(wanted: Filter) -> tuple[list[str], list[str]]:
    """State and kind as conditions that no index serves: another is to be walked."""
    pairs = [(name, value) for name, value in (("state", wanted.state), ("kind", wanted.kind)) if value]
    return [f"COALESCE(m.{name}, '') = %s" for name, _ in pairs], [value for _, value in pairs]


# Searching


def _candidates(search: str, span: Span) -> set[int] | None:
    """The ids that the search may mean; None when they are too many."""
    if search.isascii() and search.isdigit() and 15 <= len(search) <= 19:
        return {int(search)} if int(search) in span else set()
    bounds = "".join(f" AND {one}" for one in span.conditions("id"))
    by_message_id = f"SELECT id FROM outbound_message WHERE message_id = %s{bounds} LIMIT 1"  # noqa: S608
    if search.startswith("<"):
        return set(_fetched(Statement(by_message_id, (search,))))
    begin = _beginnings(search.casefold(), span)
    if sum(_counted(one) for one in begin) > _FEW:
        return None
    found = {pk for one in begin for pk in _fetched(one)}
    return found | set(_fetched(Statement(by_message_id, (f"<{search}>",)))) if "@" in search else found


def _beginnings(key: str, span: Span) -> list[Statement]:
    """What begins so, from the index of recipients and, where it may be one, of subjects."""
    found = [_beginning("message_id", "outbound_recipient", "address_key", key, span)]
    if _may_be_subject(key):
        found.append(_beginning("id", "outbound_message", "subject_key", key[:60], span))
    return found


def _may_be_subject(search: str) -> bool:
    return "@" not in search or " " in search


def _beginning(column: str, table: str, field: str, key: str, span: Span) -> Statement:
    begins, params = _prefix(field, key)
    conditions = " AND ".join((begins, *span.conditions(column)))
    return Statement(f"SELECT {column} FROM {table} WHERE {conditions} LIMIT {_FEW + 1}", params)  # noqa: S608


def _counted(statement: Statement) -> int:
    return _fetched(Statement(f"SELECT COUNT(*) FROM ({statement.sql}) AS found", statement.params))[0]  # noqa: S608


def _prefix(field: str, key: str) -> tuple[str, tuple[str, str]]:
    """Values of `field` that begin with `key`, in the form that the index of this database serves: PostgreSQL's
    varchar_pattern_ops compares character by character, as SQLite always does."""
    low, high = ("~>=~", "~<~") if connection.vendor == "postgresql" else (">=", "<")
    return f"{field} {low} %s AND {field} {high} %s", (key, key + _LAST)


def _begins(key: str) -> tuple[tuple[str], tuple[str, ...]]:
    """A recipient or the subject begins so, as a condition on `m`."""
    recipient, params = _prefix("r.address_key", key)
    found = f"EXISTS (SELECT 1 FROM outbound_recipient r WHERE r.message_id = m.id AND {recipient})"  # noqa: S608
    if not _may_be_subject(key):
        return (found,), params
    subject, more = _prefix("m.subject_key", key[:60])
    return (f"({found} OR ({subject}))",), (*params, *more)


def _sifted(ids: list[int], wanted: Filter, span: Span, limit: int) -> list[int]:
    """The first of these that also fit the rest of the filter, in the same order."""
    conditions, params = _hidden(wanted)
    if wanted.cause:
        conditions, params = [*conditions, "m.cause = %s"], [*params, wanted.cause]
    if wanted.doubted:
        conditions.append("m.doubts > 0")
    if wanted.diverted:
        conditions.append(
            "EXISTS (SELECT 1 FROM outbound_attempt a WHERE a.message_id = m.id AND a.note > '' AND a.reason = '')"
        )
    found: list[int] = []
    few, many = _SIFTED
    for start, end in ((0, few), *((n, n + many) for n in range(few, len(ids), many))):
        some = ",".join(map(str, ids[start:end])) or "NULL"
        where = " AND ".join((f"m.id IN ({some})", *conditions))
        sql = f"SELECT m.id FROM outbound_message m WHERE {where} {span.order('m.id')} LIMIT {int(limit)}"  # noqa: S608
        found += _fetched(Statement(sql, tuple(params)))
        if len(found) >= limit:
            break
    return found[:limit]
