"""Hints of what was accepted: they never fail and never hold up who accepts, whatever the broker does."""

import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from pytest_django import Settings

from outbound import hints
from outbound.hints import MAX_IDS, Publisher
from outbound.models import Message
from tests.outbound.engine.running import until
from tests.outbound.making import queued
from tests.servers.raw import RawServer


class SilentBroker(RawServer):
    """Takes connections and says nothing until the other side gives up."""

    def handle(self, connection: socket.socket) -> None:
        while connection.recv(1000):
            pass


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[list[int]]:
    """What was hinted at, instead of publishing it."""
    settings.BROKER_URL = "amqp://127.0.0.1:1//"
    found: list[list[int]] = []
    monkeypatch.setattr(hints, "offer", lambda ids: found.append(list(ids)))
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("active")
def test_a_hint_follows_the_commit_of_what_it_names(offered: list[list[int]]) -> None:
    with transaction.atomic():
        ids = queued(3)
        assert offered == []
    assert offered == [ids]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("active")
def test_what_is_rolled_back_is_not_hinted_at(offered: list[list[int]]) -> None:
    with transaction.atomic():
        queued()
        transaction.set_rollback(True)
    assert offered == []


def test_without_a_broker_nothing_is_published(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BROKER_URL = None
    monkeypatch.setattr(Publisher, "start", lambda publisher: pytest.fail("a publisher was started"))
    hints.offer([1])


def test_what_waits_for_the_broker_is_bounded() -> None:
    publisher = Publisher("amqp://127.0.0.1", "nobody")  # not started: as one that waits for its broker
    for first in range(0, 100_000, 50):
        publisher.offer(range(first, first + 50))
    assert publisher._ids == list(range(MAX_IDS))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("silent", [False, True], ids=["down", "silent"])
def test_mail_is_accepted_while_the_broker_does_not_answer(
    silent: bool,
    settings: Any,
    closed_port: int,
    call: Callable[..., HttpResponse],
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = {"kind": "raw", "to": [{"email": "bob@example.com"}], "subject": "Hello", "text": "Good morning."}
    caplog.set_level(logging.INFO, logger="outbound.hints")
    with SilentBroker() as broker:
        settings.BROKER_URL = f"amqp://127.0.0.1:{broker.port if silent else closed_port}//"
        settings.BROKER_QUEUE = "tests-nobody"
        publisher = hints._publisher(hints.os.getpid(), settings.BROKER_URL, settings.BROKER_QUEUE)
        assert call("post", "/messages", message).status_code == 202
        assert call("post", "/messages", message).status_code == 202
        until(lambda: publisher.failing)
        assert call("post", "/messages", message).status_code == 202
        until(lambda: not publisher._ids)
    assert Message.objects.filter(state="queued").count() == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "broker takes no hints" in caplog.text
