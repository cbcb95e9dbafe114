"""Bulk inserts: every row as given, over the bounds of a statement, with Django's errors."""

import pytest
from django.db import IntegrityError, connection, transaction

from outbound import bulk

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _table() -> None:
    kind = "bytea" if connection.vendor == "postgresql" else "blob"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE sample (id integer PRIMARY KEY, word text, content {kind}, number integer)"
        )


@pytest.mark.parametrize("count", [0, 1, bulk.TOGETHER, bulk.TOGETHER + 1, 3 * bulk.TOGETHER - 1])
def test_every_row_is_inserted_as_it_was_given(count: int) -> None:
    rows = [(n, f"50 % of ? and %s and 'ü' {n}", bytes([n % 256, 0, 255])) for n in range(count)]
    with connection.cursor() as cursor:
        bulk.insert(cursor, "sample (id, word, content, number)", "(%s, %s, %s, 7)", rows)
        cursor.execute("SELECT id, word, content, number FROM sample ORDER BY id")
        found = [(pk, word, bytes(content), number) for pk, word, content, number in cursor.fetchall()]
    assert found == [(*row, 7) for row in rows]


def test_a_row_that_is_there_already_raises_what_django_raises() -> None:
    with connection.cursor() as cursor:
        bulk.insert(cursor, "sample (id)", "(%s)", [(1,)])
        with pytest.raises(IntegrityError), transaction.atomic():
            bulk.insert(cursor, "sample (id)", "(%s)", [(2,), (1,)])
        cursor.execute("SELECT id FROM sample")
        assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
