"""A database file that is replaced under a running process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.signals import request_started
from django.db import connection

from outbound import database_file

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite keeps the database in a file"),
]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A database of its own, in the place of the tests'."""
    name, path = connection.settings_dict["NAME"], tmp_path / "db.sqlite3"
    connection.close()
    connection.settings_dict["NAME"] = str(path)
    yield path
    connection.close()
    connection.settings_dict["NAME"] = name


def _holds(content: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE holds AS SELECT '{content}' AS content")
    connection.close()


def _content() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM holds")
        return str(cursor.fetchone()[0])


def test_a_request_after_a_restore_reads_the_restored_database(file: Path) -> None:
    _holds("restored")
    os.rename(file, file.with_suffix(".backup"))
    _holds("old")
    assert _content() == "old"
    os.replace(file.with_suffix(".backup"), file)
    request_started.send(sender=None)
    assert _content() == "restored"


def test_a_connection_to_the_file_in_place_is_kept(file: Path) -> None:
    _holds("this")
    assert _content() == "this"
    opened = connection.connection
    database_file.close_if_replaced()
    assert connection.connection is opened
