"""Many rows in one answer of the database.

SQLite hands rows over one by one, and Python takes a turn at the interpreter's lock for each. While the lanes are busy
such a turn is a wait: a thousand of them took longer than the queries themselves. So SQLite packs the rows of a
query into one value. PostgreSQL's driver receives them together in any case."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection


def of(cursor: Any, columns: str, query: str, parameters: Sequence[object]) -> list[Sequence[Any]]:
    """The rows of `query`, in its order; `columns` are its columns. Numbers and texts only."""
    if connection.vendor != "sqlite":
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
    cursor.execute(f"SELECT json_group_array(json_array({columns})) FROM ({query})", parameters)  # noqa: S608
    found: list[Sequence[Any]] = json.loads(cursor.fetchone()[0])
    return found


def with_bytes(
    cursor: Any, columns: str, blob: str, source: str, parameters: Sequence[object] = ()
) -> Iterator[tuple[Any, ...]]:
    """The `columns` (numbers and texts) of each row of `source`, and after them its column of bytes, in any order."""
    if connection.vendor != "sqlite":
        cursor.execute(f"SELECT {columns}, {blob} FROM {source}", parameters)  # noqa: S608
        for row in cursor.fetchall():
            yield (*row[:-1], bytes(row[-1]))
        return
    cursor.execute(
        f"SELECT json_group_array(json_array({columns}, length({blob}))), "  # noqa: S608
        f"CAST(group_concat({blob}, '') AS BLOB) FROM {source}",
        parameters,
    )
    packed, lump = cursor.fetchone()
    at = 0
    for *row, length in json.loads(packed):
        yield (*row, lump[at : at + length])
        at += length
    if at != len(lump or b""):
        raise ValueError("The database gave more or fewer bytes than it said.")
