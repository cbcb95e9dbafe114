"""Accepting beside others: who composes keeps nobody waiting, and what comes twice is accepted once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone

from emailcfg.models import ActiveConfig
from emailcfg.schema import EmailConfig
from outbound import auth, submit
from outbound.models import ApiToken, Message, MessageBody, RateBucket
from outbound.submit import Accepted, Submission
from tests.outbound.making import ANA, a_config, a_request, activate

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


def from_header() -> str:
    content = bytes(MessageBody.objects.order_by("-message_id")[0].content)
    return str(message_from_bytes(content, policy=policy.default)["From"])


def test_a_mail_is_composed_with_what_is_active_when_it_is_committed(
    token: ApiToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(token, "before")
    really, composed = submit.compose, []

    def compose(*arguments: Any) -> Any:
        if not composed:  # another process activates while the mail is composed with what was active
            with ThreadPoolExecutor(1) as pool:
                pool.submit(elsewhere(lambda: activate(a_config(general={"sender_name": "New"})))).result()
        composed.append(1)
        return really(*arguments)

    monkeypatch.setattr(submit, "compose", compose)
    accept(token, "meanwhile")
    assert len(composed) == 2
    assert from_header() == "New <no-reply@acme.example>"
    assert Message.objects.count() == 2


def test_a_refusal_that_is_due_to_an_earlier_configuration_is_not_told(token: ApiToken) -> None:
    activate(EmailConfig())  # without a sender
    with pytest.raises(submit.NotConfigured):
        accept(token)
    activate(a_config())
    accept(token)
    assert from_header() == "Acme <no-reply@acme.example>"


def test_after_the_active_configuration_is_gone_nothing_is_accepted(token: ApiToken) -> None:
    accept(token)
    ActiveConfig.objects.update(revision=None)  # as in the backup of an installation where nothing was activated yet
    with pytest.raises(submit.NotConfigured, match="No configuration is active yet"):
        accept(token, "more")
    assert Message.objects.count() == 1
