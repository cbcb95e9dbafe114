"""One commit for what is accepted at the same time, and one failure for whom it belongs to."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from outbound.group_commit import GroupCommit
from outbound.models import RateBucket
from tests.outbound.engine.running import until

pytestmark = pytest.mark.django_db(transaction=True)


class Refused(Exception):
    pass


Work = Callable[[Any], int]


def _put(name: str) -> Work:
    """Work that writes a row and answers in which thread it ran."""

    def work(cursor: Any) -> int:
        cursor.execute(
            "INSERT INTO outbound_ratebucket (provider, tokens, at) VALUES (%s, 0, %s)", [name, "2026-11-28"]
        )
        return threading.get_ident()

    return work


def _refuse(cursor: Any) -> int:
    raise Refused


def _names() -> set[str]:
    return set(RateBucket.objects.values_list("provider", flat=True))


def _together(shared: GroupCommit, works: list[Work]) -> list["Future[int]"]:
    """Runs these works from a thread each, all of which come while an earlier commit is under way."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(cursor: Any) -> int:
        begun.set()
        assert go_on.wait(20)
        return _put("slow")(cursor)

    def run(work: Work) -> int:
        try:
            return shared.run(work)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works) + 1) as pool:
        first = pool.submit(run, slow)
        assert begun.wait(20)
        futures = [pool.submit(run, work) for work in works]
        until(lambda: len(shared._waiting) == len(works))
        go_on.set()
    first.result()
    return futures


def test_work_that_comes_while_a_commit_runs_shares_the_next() -> None:
    futures = _together(GroupCommit(), [_put("a"), _put("b"), _put("c")])
    assert len({future.result() for future in futures}) == 1
    assert _names() == {"slow", "a", "b", "c"}


def test_an_exception_concerns_only_whose_work_raised_it() -> None:
    good, refused, other = _together(GroupCommit(), [_put("a"), _refuse, _put("b")])
    assert isinstance(refused.exception(), Refused)
    assert good.result() == other.result()
    assert _names() == {"slow", "a", "b"}


def test_a_row_that_can_not_be_written_keeps_no_other_from_its_place() -> None:
    RateBucket.objects.create(provider="taken", at=timezone.now())

    def half_done(cursor: Any) -> int:
        _put("half")(cursor)
        return _put("taken")(cursor)

    good, bad, other = _together(GroupCommit(), [_put("a"), half_done, _put("b")])
    assert isinstance(bad.exception(), IntegrityError)
    assert good.exception() is other.exception() is None
    assert _names() == {"taken", "slow", "a", "b"}


def test_after_a_failure_the_next_is_served() -> None:
    shared = GroupCommit()
    with pytest.raises(Refused):
        shared.run(_refuse)
    shared.run(_put("a"))
    assert _names() == {"a"}


def test_what_only_the_commit_refuses_is_undone_and_keeps_nothing_locked() -> None:
    def of_no_message(cursor: Any) -> int:
        _put("half")(cursor)
        cursor.execute(
            "INSERT INTO outbound_messagebody (message_id, mail_from, content, shape, hidden) "
            "VALUES (1, '', '', 0, '[]')"
        )
        return 0  # the foreign key is looked at by the commit

    shared = GroupCommit()
    with pytest.raises(IntegrityError):
        shared.run(of_no_message)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (shared.run(_put("a")), connection.close())).result()
    assert _names() == {"a"}


def test_a_connection_that_broke_under_the_work_is_replaced() -> None:
    shared = GroupCommit()

    def broken(cursor: Any) -> int:
        _put("half")(cursor)
        cursor.db.connection.close()
        return _put("more")(cursor)

    with pytest.raises(DatabaseError):
        shared.run(broken)
    shared.run(_put("a"))
    assert _names() == {"a"}


def test_within_a_transaction_of_the_caller_its_end_decides() -> None:
    with transaction.atomic():
        GroupCommit().run(_put("a"))
        transaction.set_rollback(True)
    assert _names() == set()
