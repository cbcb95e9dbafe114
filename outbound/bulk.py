"""Inserts of the hot paths: many rows in one statement, without what Django does to each.

Django rewrites the placeholders of every statement with a regular expression, which takes longer than SQLite takes to
insert the rows. And SQLite is entered once for each statement, with a turn at the interpreter's lock, for which the
threads that deliver leave little room."""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

TOGETHER = 50  # rows of one statement; SQLite takes 32,766 values


def insert(cursor: Any, into: str, values: str, rows: Sequence[tuple[Any, ...]], *, together: int = TOGETHER) -> None:
    """Inserts `rows` into `into` ("table (a, b)"), each as `values` ("(%s, %s)"). Raises Django's database errors."""
    vendor = cursor.db.vendor
    for at in range(0, len(rows), together):
        part = rows[at : at + together]
        execute(cursor, _statement(into, values, len(part), vendor), tuple(chain.from_iterable(part)))


def execute(cursor: Any, statement: str, parameters: tuple[Any, ...] = ()) -> None:
    """Executes a statement whose placeholders are the driver's. Raises Django's database errors."""
    database = cursor.db  # found at once, unlike django.db.connection, which looks for the thread's at every use
    if database.vendor == "sqlite":
        with database.wrap_database_errors:
            sqlite3.Cursor.execute(cursor.cursor, statement, parameters)
    else:
        cursor.execute(statement, parameters)


@lru_cache(maxsize=256)
def _statement(into: str, values: str, count: int, vendor: str) -> str:
    text = f"INSERT INTO {into} VALUES {', '.join([values] * count)}"  # noqa: S608 - both are constants of the caller
    return text.replace("%s", "?") if vendor == "sqlite" else text
