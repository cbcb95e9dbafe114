"""Celery workers as processes of their own on a real RabbitMQ: what the broker loses, repeats or never got is delivered
all the same, once."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import OperationalError

from emailcfg import activation
from emailcfg.models import ServiceInstance
from outbound import hints, restart
from outbound.engine.celery import HINT_TTL_S, TASK, make_app, publish
from outbound.models import Attempt, Lease, Message
from tests.outbound.engine.running import spawned, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.smtp import SmtpServer

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"
CELERY = [sys.executable, "-m", "celery", "--quiet", "-A", "adminapp.celery", "worker"]

pytestmark = pytest.mark.django_db(transaction=True)


class Broker:
    """A queue of this test alone."""

    def __init__(self, connection: Connection, queue: str) -> None:
        self.url, self.queue = RABBITMQ, queue
        self._channel = connection.default_channel
        self._channel.queue_declare(queue, durable=True, auto_delete=False)

    @property
    def waiting(self) -> int:
        """Hints that no worker holds."""
        return int(self._channel.queue_declare(queue=self.queue, passive=True).message_count)

    def take(self) -> Any:
        return self._channel.basic_get(self.queue, no_ack=True)

    def hint(self, ids: list[int], times: int = 1) -> None:
        app = make_app(self.url, self.queue)
        for _ in range(times):
            publish(app, ids)
        app.close()

    def delete(self) -> None:
        self._channel.queue_delete(self.queue)
        self._channel.exchange_delete(self.queue)


@pytest.fixture
def broker(settings: Any) -> Iterator[Broker]:
    with Connection(RABBITMQ, connect_timeout=3) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        except OperationalError as error:
            pytest.skip(f"no RabbitMQ answers on 127.0.0.1:5672 ({error})")
        found = Broker(connection, f"tests-{uuid4().hex}")
        settings.BROKER_URL, settings.BROKER_QUEUE = found.url, found.queue
        try:
            yield found
        finally:
            found.delete()


@pytest.fixture
def worker(settings: Any) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts workers, and ends those that still run."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **environment: str) -> "subprocess.Popen[bytes]":
        given = {"BROKER_URL": settings.BROKER_URL, "BROKER_QUEUE": settings.BROKER_QUEUE, **environment}
        process = spawned(*([command] if command else []), **given)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def _sent(ids: list[int]) -> bool:
    return Message.objects.filter(pk__in=ids, state="sent").count() == len(ids)


def _ready() -> bool:
    return ServiceInstance.objects.filter(role="outbound", state="running", generation__gte=1).exists()


def test_what_is_accepted_reaches_the_broker_as_ids_alone(broker: Broker) -> None:
    activate(a_config())
    ids = queued(3)
    until(lambda: broker.waiting == 1)
    message = broker.take()
    args, kwargs, _ = json.loads(message.body)
    assert (args, kwargs) == ([ids], {})
    assert message.headers["task"] == TASK
    assert message.headers["eta"] is None
    assert message.properties["expiration"] == str(HINT_TTL_S * 1000)
    assert message.properties["delivery_mode"] == 1  # in the broker's memory, not on its disk
    everything = repr((message.body, message.headers, message.properties))
    assert "example" not in everything, "no address, subject or content leaves the database"


def test_celery_s_own_command_delivers_takes_up_activations_and_ends_in_order(
    broker: Broker, worker: Callable[..., Any], smtp_server: Callable[..., SmtpServer]
) -> None:
    first, second = smtp_server(), smtp_server()
    activate(a_config(first.port))
    ids = queued(5)
    process = worker(*CELERY)
    first.wait_for(5, timeout_s=30)
    until(lambda: _sent(ids))
    activate(a_config(second.port))
    more = queued(5)
    second.wait_for(5)
    until(lambda: _sent(more))
    until(lambda: broker.waiting == 0)
    instance = ServiceInstance.objects.get(role="outbound")
    assert (instance.pid, instance.generation) == (process.pid, activation.current().generation)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    instance.refresh_from_db()
    assert instance.state == "stopped"
    assert not Lease.objects.exists()
    assert broker.waiting == 0, "every hint was acknowledged"


def test_while_the_broker_is_down_mail_is_accepted_and_delivered(
    settings: Any, closed_port: int, worker: Callable[..., Any], smtp_server: Callable[..., SmtpServer]
) -> None:
    settings.BROKER_URL, settings.BROKER_QUEUE = f"amqp://guest:guest@127.0.0.1:{closed_port}//", "tests-nobody"
    server = smtp_server()
    activate(a_config(server.port))
    before = queued(3)
    process = worker()
    server.wait_for(3, timeout_s=30)
    after = queued(3)
    server.wait_for(6)
    until(lambda: _sent(before + after))
    assert hints._publisher(os.getpid(), settings.BROKER_URL, settings.BROKER_QUEUE).is_alive()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not Lease.objects.exists()


def test_hints_that_come_many_times_or_name_nothing_deliver_once(
    settings: Any, broker: Broker, worker: Callable[..., Any]
) -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        ids = queued(300)
        broker.hint(ids[:100], times=30)
        broker.hint([1, 2, 3], times=10)
        broker.hint([], times=2)
        broker.hint(["'; DROP TABLE outbound_message"], times=2)  # type: ignore[list-item]  # from whoever can reach it
        other = Path(settings.DATA_DIR) / "other"
        workers = [worker(), worker(DATA_DIR=str(other))]
        until(lambda: _sent(ids), 40)
        until(lambda: broker.waiting == 0)
        for process in workers:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in workers] == [0, 0]
        assert set(sink.taken.values()) == {1}
        assert sink.count == 300
        assert Attempt.objects.count() == 300


def test_a_killed_worker_s_mail_is_delivered_from_another_machine_when_its_lease_lapsed(
    settings: Any, broker: Broker, worker: Callable[..., Any]
) -> None:
    settings.RETRY_FIRST_S = 0.2
    victim: list[subprocess.Popen[bytes]] = []

    def kill(phase: str, count: int) -> None:
        if phase == "dot" and count >= 50 and victim:
            victim.pop().kill()

    with Sink(kill) as sink:
        activate(a_config(sink.port))
        first = worker(DATA_DIR=str(settings.DATA_DIR / "first"))
        until(_ready, 30)
        until(lambda: Lease.objects.exists())
        victim.append(first)
        ids = queued(200)
        assert first.wait(30) == -signal.SIGKILL
        until(lambda: broker.waiting == 1)  # it was not acknowledged, and comes again
        assert Message.objects.filter(state="sending").exists()
        shutil.rmtree(settings.DATA_DIR / "first")  # that machine is gone, its journal with it
        Lease.objects.update(until=timezone.now() - timedelta(seconds=1))
        worker(DATA_DIR=str(settings.DATA_DIR / "second"))
        until(lambda: _sent(ids), 40)
        messages = Message.objects.in_bulk(ids)
    copies = {pk: sink.taken[message.message_id] for pk, message in messages.items()}
    assert min(copies.values()) >= 1, "a message is lost"
    assert all(messages[pk].doubts >= 1 for pk, count in copies.items() if count > 1), "repeated without being in doubt"
    assert Attempt.objects.filter(reason="process_lost").exists()


def test_a_worker_whose_engine_fails_ends_so_that_it_is_started_anew(
    settings: Any, broker: Broker, worker: Callable[..., Any]
) -> None:
    activate(a_config())
    process = worker()
    until(_ready, 30)
    Lease.objects.all().delete()  # as if it had stalled for longer than its lease
    assert process.wait(30) == 1


@pytest.mark.parametrize("command", [(), CELERY], ids=["make worker", "celery"])
def test_a_worker_that_is_asked_to_restart_says_by_its_exit_that_it_is_to_be_started_anew(
    settings: Any, broker: Broker, worker: Callable[..., Any], command: list[str]
) -> None:
    activate(a_config())
    process = worker(*command)
    until(_ready, 30)
    restart.ask(actor=ANA)
    assert process.wait(30) == restart.EXIT_CODE
    assert not Lease.objects.exists()


@pytest.mark.parametrize(
    ("host", "trusted", "says"),
    [("localhost", False, "self-signed|unable to get local issuer"), ("127.0.0.2", True, "IP address mismatch")],
    ids=["an authority nobody trusts", "another host's certificate"],
)
def test_an_encrypted_broker_has_to_prove_who_it_is(
    host: str,
    trusted: bool,
    says: str,
    authority: TestAuthority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted:
        (tmp_path / "ca.pem").write_text(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = authority.server_context()

    def shake(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)

    with RawServer(shake, host="0.0.0.0") as server:
        app = make_app(f"amqps://guest:guest@{host}:{server.port}//", "tests-nobody")
        with pytest.raises(OperationalError, match=says):
            publish(app, [1])
