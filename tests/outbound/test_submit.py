"""Accepting beside others: who composes keeps nobody waiting, and what comes twice is accepted once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone

from outbound import auth, submit
from outbound.models import ApiToken, Message, RateBucket
from outbound.submit import Accepted, Submission
from tests.outbound.making import ANA, a_request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("active")]
T = TypeVar("T")


@pytest.fixture
def token() -> ApiToken:
    auth.create(name="product", scopes=["messages:send"], actor=ANA)
    return ApiToken.objects.get()


def accept(token: ApiToken, key: str = "k") -> Accepted:
    return submit.submit([Submission(a_request("bob@example.com"), idempotency_key=key, body_hash="h")], token=token)[0]


def elsewhere(work: Callable[[], T]) -> Callable[[], T]:
    """The work, ending with the connection of the thread that runs it."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return run


def test_others_can_write_while_a_mail_is_composed(token: ApiToken, monkeypatch: pytest.MonkeyPatch) -> None:
    really, wrote = submit.compose, []

    def compose(*arguments: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            write = elsewhere(lambda: RateBucket.objects.create(provider="smtp", at=timezone.now()))
            wrote.append(pool.submit(write).result(5))
        return really(*arguments)

    monkeypatch.setattr(submit, "compose", compose)
    accept(token)
    assert len(wrote) == Message.objects.count() == 1


def test_a_repetition_is_answered_while_another_writes(token: ApiToken) -> None:
    first = accept(token)
    writing, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            RateBucket.objects.create(provider="smtp", at=timezone.now())
            writing.set()
            assert done.wait(20)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(elsewhere(write))
        assert writing.wait(20)
        again = accept(token)
        done.set()
        other.result()
    assert again == first


def test_a_request_that_comes_many_times_in_one_moment_makes_one_message(token: ApiToken) -> None:
    start = threading.Barrier(8)

    def send() -> list[Accepted]:
        start.wait(20)
        return [accept(token, f"key {n}") for n in range(5)]

    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [pool.submit(elsewhere(send)) for _ in range(8)]]
    assert all(answer == answers[0] for answer in answers)
    assert Message.objects.count() == 5
