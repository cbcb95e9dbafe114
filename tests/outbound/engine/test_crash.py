"""SIGKILL at each phase of a delivery, with hundreds of messages queued: none is lost, and none is repeated but those
the service itself lists as in doubt."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
from django.db import connection

from emailcfg.providers.smtp_chunks import WINDOW
from outbound import restart
from outbound.engine.transport import HTTP_CONNECTIONS
from outbound.models import Attempt, Lease, Message, Recipient
from tests.outbound.engine.running import running, spawned, until
from tests.outbound.engine.sink import ApiSink, CountingServer, Sink
from tests.outbound.making import ANA, a_config, a_sendgrid_config, activate, queued
from tests.servers.certificates import TestAuthority

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 500
FEW = 150  # where TLS or another protocol is the point
CONNECTIONS = 5  # of SMTP, when the configuration says nothing else


class Killer:
    """Kills the process when the sink reaches a phase after it took so many messages."""

    def __init__(self, phase: str, after: int) -> None:
        self.phase, self.after = phase, after
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = threading.Event()

    def __call__(self, phase: str, count: int) -> None:
        if phase == self.phase and count >= self.after and self.process is not None and not self.killed.is_set():
            self.killed.set()
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def _all_ended() -> bool:
    return not Message.objects.filter(state__in=("queued", "sending", "deferred", "in_doubt")).exists()


def _assert_kept(ids: list[int], sink: CountingServer) -> None:
    """Nothing lost, nothing repeated that is not listed as doubted."""
    messages = Message.objects.in_bulk(ids)
    assert {message.state for message in messages.values()} == {"sent"}
    for message in messages.values():
        copies = sink.taken[message.message_id]
        assert copies >= 1, f"{message} is lost"
        assert copies == 1 or message.doubts >= 1, f"{message} was repeated without being in doubt"
    assert set(Recipient.objects.values_list("state", flat=True)) == {"sent"}


def _deliver_until_killed(killer: Killer) -> None:
    killer.process = spawned()
    assert killer.killed.wait(20)
    killer.process.wait(20)


def _kill_and_go_on(killer: Killer, sink: CountingServer, ids: list[int], *, in_flight: int) -> None:
    """Has the queue delivered by a process that is killed, then by one that is not. `in_flight` is how many mails may
    have stood between their last byte and its answer."""
    _deliver_until_killed(killer)
    with running():
        until(_all_ended)
    _assert_kept(ids, sink)
    doubted = Message.objects.filter(doubts__gt=0)
    assert len(doubted) <= in_flight, "only what stood between its last byte and the answer may be in doubt"
    if killer.phase in ("dot", "body"):
        assert len(doubted) >= 1
        assert Attempt.objects.filter(message__in=doubted, reason="process_lost").count() == len(doubted)
    assert not Lease.objects.exists()


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot", "answered"])
@pytest.mark.parametrize("way", ["plain", "pipelined", "chunked"])
def test_killed_in_any_phase_nothing_is_lost_or_silently_repeated(settings: Any, phase: str, way: str) -> None:
    settings.RETRY_FIRST_S = 0.2
    killer = Killer(phase, after=120)
    with Sink(killer, pipelining=way != "plain", chunking=way == "chunked") as sink:
        activate(a_config(sink.port))
        ids = queued(COUNT)
        _kill_and_go_on(killer, sink, ids, in_flight=CONNECTIONS * (WINDOW if way == "chunked" else 1))


# Each phase in both kinds of TLS, and each way of sending in both: what TLS adds does not depend on their pairing.
@pytest.mark.parametrize(
    ("security", "phase", "way"),
    [
        ("starttls", "mail", "plain"),
        ("starttls", "rcpt", "chunked"),
        ("starttls", "data", "pipelined"),
        ("starttls", "dot", "chunked"),
        ("starttls", "answered", "pipelined"),
        ("tls", "handshake", "chunked"),
        ("tls", "mail", "chunked"),
        ("tls", "rcpt", "pipelined"),
        ("tls", "data", "chunked"),
        ("tls", "dot", "pipelined"),
        ("tls", "answered", "plain"),
    ],
)
def test_the_same_holds_inside_tls(
    settings: Any, authority: TestAuthority, security: Literal["starttls", "tls"], phase: str, way: str
) -> None:
    settings.RETRY_FIRST_S = 0.05
    killer = Killer(phase, after=0 if phase == "handshake" else 40)
    of_each = 0 if phase == "handshake" else WINDOW if way == "chunked" else 1
    offers = {"pipelining": way != "plain", "chunking": way == "chunked"}
    with Sink(killer, context=authority.server_context(), security=security, **offers) as sink:
        activate(a_config(sink.port, security=security, ca_certificate=authority.pem))
        ids = queued(FEW)
        _kill_and_go_on(killer, sink, ids, in_flight=CONNECTIONS * of_each)
    delivered = Attempt.objects.exclude(reason="process_lost")
    assert set(delivered.values_list("tls", flat=True)) == {"TLSv1.3"}


@pytest.mark.parametrize(
    ("scheme", "phase"),
    [("https", "request"), ("https", "body"), ("https", "answered"), ("http", "body")],
)
def test_the_same_holds_for_sendgrid(
    settings: Any, authority: TestAuthority, tmp_path: Path, scheme: str, phase: str
) -> None:
    settings.RETRY_FIRST_S = 0.05
    killer = Killer(phase, after=40)
    with ApiSink(killer, context=authority.server_context() if scheme == "https" else None) as sink:
        settings.SENDGRID_API_URL = sink.url
        settings.SSL_CERT_FILE = tmp_path / "authority.pem"
        settings.SSL_CERT_FILE.write_text(authority.pem)
        activate(a_sendgrid_config())
        ids = queued(FEW)
        _kill_and_go_on(killer, sink, ids, in_flight=HTTP_CONNECTIONS)


@pytest.mark.parametrize("chunking", [False, True], ids=["pipelined", "chunked"])
def test_killed_again_and_again_everything_is_still_delivered(settings: Any, chunking: bool) -> None:
    settings.RETRY_FIRST_S = 0.2
    killer = Killer("dot", after=40)
    with Sink(killer, chunking=chunking) as sink:
        activate(a_config(sink.port))
        ids = queued(COUNT)
        for after in (40, 160, 280):
            killer.after = after
            killer.killed.clear()
            _deliver_until_killed(killer)
        with running():
            until(_all_ended)
        _assert_kept(ids, sink)
    assert Message.objects.filter(doubts__gt=0).count() <= (120 if chunking else 30)


def test_a_message_that_kills_the_service_is_isolated_and_then_held(settings: Any) -> None:
    settings.RETRY_FIRST_S = 0.05
    with Sink() as sink:
        activate(a_config(sink.port))
        ids = queued(10)
        Message.objects.filter(pk=ids[3]).update(crashes=4, priority=9, state="sending", lease=77)
        Lease.objects.create(pk=77, instance="dead", until="2020-01-01T00:00:00Z")
        with running():
            until(lambda: Message.objects.filter(state="sent").count() == 9)
            until(lambda: Message.objects.get(pk=ids[3]).state == "held")
    assert Message.objects.get(pk=ids[3]).cause == "crashes_service"


@pytest.mark.parametrize("chunking", [False, True], ids=["pipelined", "chunked"])
def test_sigterm_finishes_what_is_in_flight_and_leaves_the_rest_queued(settings: Any, chunking: bool) -> None:
    ready = threading.Event()

    def hook(phase: str, count: int) -> None:
        if count >= 100:
            ready.set()

    with Sink(hook, chunking=chunking) as sink:
        activate(a_config(sink.port))
        ids = queued(3000)
        process = spawned()
        assert ready.wait(20)
        process.terminate()
        assert process.wait(30) == 0
        sent = Message.objects.filter(state="sent")
        assert sink.count == sent.count() >= 100
        assert set(Message.objects.values_list("state", flat=True)) <= {"sent", "queued"}
        assert not Message.objects.filter(state="queued").exclude(attempts=0).exists()
        assert not Lease.objects.exists()
        assert len(ids) == 3000


def test_asked_to_restart_it_finishes_what_is_in_flight_and_says_by_its_exit_that_it_is_to_be_started_anew() -> None:
    asked = threading.Event()

    def ask(phase: str, count: int) -> None:
        if phase == "data" and count >= 40 and not asked.is_set():
            asked.set()
            restart.ask(actor=ANA)
            connection.close()

    with Sink(ask) as sink:
        activate(a_config(sink.port, max_connections=2))
        ids = queued(COUNT)
        process = spawned()
        assert asked.wait(20)
        assert process.wait(30) == restart.EXIT_CODE
        assert not Message.objects.filter(state__in=("sending", "in_doubt")).exists()
        assert not Lease.objects.exists()
        with running():
            until(_all_ended)
        assert set(sink.taken.values()) == {1}
        assert len(sink.taken) == len(ids)
