"""The shared cache: values as JSON, one winner of an addition, nothing forgotten before its time."""

import base64
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection

from adminapp.models import Remembered


class _Runs:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("Reading a row of the cache ran code.",))


@pytest.mark.django_db
def test_values_come_back_until_their_time_is_over() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        cache.set("a", {"state": "done", "at": [1.5, None, True]}, 60)
        cache.set("for-ever", 1, None)
        assert cache.get("a") == {"state": "done", "at": [1.5, None, True]}
        assert cache.touch("a", 120)
        assert not cache.touch("b", 120)
    with time_machine.travel(now + timedelta(seconds=119), tick=False):
        assert cache.get("a") is not None
        assert not cache.add("a", "other", 60)
    with time_machine.travel(now + timedelta(seconds=121), tick=False):
        assert cache.get("a", "nothing") == "nothing"
        assert not cache.touch("a", 60)
        assert cache.add("a", "other", 60)
        assert (cache.get("a"), cache.get("for-ever")) == ("other", 1)
        assert cache.delete("a")
        assert not cache.delete("a")


@pytest.mark.django_db
def test_a_row_that_somebody_wrote_runs_no_code() -> None:
    evil = base64.b64encode(pickle.dumps(_Runs())).decode()
    cache.set("a", "x", 60)
    Remembered.objects.update(value=evil)
    assert cache.get("a") == evil


@pytest.mark.django_db
def test_many_entries_push_none_out() -> None:
    cache.set("first", 1, 60)
    for number in range(350):
        cache.add(f"allauth-{number}", number, 60)
    assert cache.get("first") == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_that_add_at_the_same_time_one_wins() -> None:
    def add(number: int) -> bool:
        try:
            return cache.add("once", number, 60)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(8)))[-2:] == [False, True]
