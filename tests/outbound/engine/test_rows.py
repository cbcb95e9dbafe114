"""Rows in one go: the same rows that the plain query gives, on either database."""

import pytest
from django.db import connection

from outbound.engine import rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _table() -> None:
    kind = "bytea" if connection.vendor == "postgresql" else "blob"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE sample (id bigint, name text, content {kind})")
        cursor.executemany(
            "INSERT INTO sample VALUES (%s, %s, %s)",
            [
                (1, 'quo"te, \\ and ü', b"\x00one\r\n\xff"),
                (2, "", b""),
                (9_007_199_254_740_993, "big", b"two\x00"),
            ],
        )


def test_rows_come_in_the_order_of_the_query_with_exact_numbers_and_texts() -> None:
    with connection.cursor() as cursor:
        found = rows.of(cursor, "id, name", "SELECT id, name FROM sample WHERE id > %s ORDER BY id DESC", [0])
    assert [tuple(row) for row in found] == [(9_007_199_254_740_993, "big"), (2, ""), (1, 'quo"te, \\ and ü')]


def test_no_rows_are_no_rows() -> None:
    with connection.cursor() as cursor:
        assert rows.of(cursor, "id", "SELECT id FROM sample WHERE id < %s", [0]) == []
        assert list(rows.with_bytes(cursor, "id", "content", "sample WHERE id < 0")) == []


def test_each_row_has_its_own_bytes_whatever_they_are() -> None:
    with connection.cursor() as cursor:
        found = {row[0]: row[-1] for row in rows.with_bytes(cursor, "id, name", "content", "sample")}
    assert found == {1: b"\x00one\r\n\xff", 2: b"", 9_007_199_254_740_993: b"two\x00"}
