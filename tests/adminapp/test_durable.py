"""Settings on which promises rest, as the product has them."""

from typing import Any

import pytest
from django.contrib.auth.hashers import identify_hasher, make_password
from django.db import connection

from adminapp import settings as product


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL syncs every commit unless it is told otherwise")
def test_a_commit_is_on_the_disk_before_it_is_answered() -> None:
    """With NORMAL, a power cut loses the last mails that were accepted."""
    with connection.cursor() as cursor:
        found = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}
    assert found == {"synchronous": 2, "journal_mode": "wal"}


def test_passwords_are_hashed_by_argon2(settings: Any) -> None:
    settings.PASSWORD_HASHERS = product.PASSWORD_HASHERS  # the tests have a fast one
    assert identify_hasher(make_password("correct horse battery staple")).algorithm == "argon2"
