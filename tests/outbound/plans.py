"""How this database carries out what a call asks of the log: which tables it walks, which indexes it uses, what it
sorts. Told from the database's own plans, on SQLite and on PostgreSQL alike."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

# The tables that grow with every message.
GROWING = ("message", "messagebody", "recipient", "attempt", "idempotencykey")
# Indexes that hold only what is asked for.
PARTIAL = ("message_due", "message_doubted", "attempt_diverted")
_ALIASES = {"m": "message", "r": "recipient", "a": "attempt"}
_READS = ("SELECT", "WITH", "DELETE")


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement's plan. `walked`: tables read as a whole to find what fits (a page of a table in its own order,
    where every row fits, is none); `sorted_rows`: how many rows were sorted (SQLite does not tell: -1); `left_out`:
    rows that were read and did not fit (SQLite does not tell: 0)."""

    sql: str
    indexes: frozenset[str]
    walked: tuple[str, ...]
    sorted_rows: tuple[int, ...]
    left_out: int
    steps: tuple[str, ...]


def plans_of(call: Callable[[], object]) -> list[Plan]:
    """The plans of all statements on growing tables that the call makes."""
    seen: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip("( ").startswith(_READS) and any(f"outbound_{table}" in sql for table in GROWING):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        call()
    explain = _by_postgresql if connection.vendor == "postgresql" else _by_sqlite
    return [explain(sql, params) for sql, params in seen]


def _by_sqlite(sql: str, params: Any) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + sql, params)
        rows = cursor.fetchall()
    walked, indexes, read_by = [], set(), set()
    for _, parent, _, step in rows:
        found = re.match(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?(?:INDEX (\w+)|(INTEGER PRIMARY KEY)))?", step)
        if found is None or _table(found[2]) not in GROWING:
            continue
        indexes.add("pk" if found[4] else found[3] or "")
        read_by.add(parent)
        if found[1] == "SCAN" and found[3] not in PARTIAL and " WHERE " in sql:
            walked.append(_table(found[2]))
    # What a part with a LIMIT of its own gives may be sorted; rows that come from a table may not.
    sorts = [-1 for _, parent, _, step in rows if "TEMP B-TREE FOR ORDER" in step and parent in read_by]
    steps = tuple(row[3] for row in rows)
    return Plan(sql, frozenset(indexes - {""}), tuple(walked), tuple(sorts), 0, steps)


def _table(name: str) -> str:
    return _ALIASES.get(name, name.removeprefix("outbound_"))


def _by_postgresql(sql: str, params: Any) -> Plan:
    options = "FORMAT JSON" if sql.startswith("DELETE") else "ANALYZE, FORMAT JSON"
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({options}) {sql}", params)
        found = cursor.fetchone()[0]
    nodes = list(_nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))
    indexes = {str(node["Index Name"]).replace("outbound_", "") for node in nodes if "Index Name" in node}
    walked = [_table(node["Relation Name"]) for node in nodes if "Seq Scan" in node["Node Type"]]
    sorts = [node["Plans"][0].get("Actual Rows", 0) for node in nodes if node["Node Type"].endswith("Sort")]
    left_out = sum(node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1) for node in nodes)
    steps = tuple(
        " ".join(str(node.get(key, "")) for key in ("Node Type", "Index Name", "Index Cond")) for node in nodes
    )
    return Plan(
        sql,
        frozenset("pk" if name.endswith("_pkey") else name for name in indexes),
        tuple(one for one in walked if one in GROWING),
        tuple(sorts),
        left_out,
        steps,
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
