"""The delivery contract over TLS: the same faults in mid-pipeline, where replies and content come in records."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from outbound.models import Attempt, Breaker, Message
from outbound.submit import Submission, submit
from tests.outbound.engine.running import running, until
from tests.outbound.making import a_config, a_request, activate, queued
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Drip, Drop, ScriptedSmtp, Silence, TakeThenDrop

pytestmark = pytest.mark.django_db(transaction=True)

Scripted = Callable[..., ScriptedSmtp]


@pytest.fixture(params=["tls", "starttls"])
def encrypted(request: pytest.FixtureRequest, scripted_smtp: Scripted, authority: TestAuthority) -> Scripted:
    """Starts a pipelining server behind TLS and activates it, with one connection."""

    def start(script: dict[str, Any] | None = None, *, through: Callable[[int], int] = lambda port: port) -> Any:
        implicit = request.param == "tls"
        words = ("PIPELINING",) if implicit else ("PIPELINING", "STARTTLS")
        server = scripted_smtp(script, keywords=words, context=authority.server_context(), tls_from_start=implicit)
        secured = {"security": request.param, "ca_certificate": authority.pem, "max_connections": 1}
        activate(a_config(through(server.port), **secured))
        return server

    return start


def _states() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("state", flat=True))


def _over() -> bool:
    return not {"queued", "sending"} & set(_states())


def _tried() -> bool:
    return not Message.objects.filter(state="sending").exists() and Attempt.objects.exists()


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("action", [Drop(), "421 4.3.0 Going down", b"garbage\r\n", Silence(), Drip()], ids=str)
def test_a_fault_before_the_dot_is_free_to_retry(encrypted: Scripted, command: str, action: Any, settings: Any) -> None:
    settings.ATTEMPT_DEADLINE_S = 1.0
    good = "354 Go" if command == "DATA" else "250 Ok"
    server = encrypted({command: [good, good, action, good]})
    settings.RETRY_FIRST_S = 0.05
    queued(6)
    with running():
        until(lambda: set(_states()) == {"sent"})
    assert len([one for one in server.taken if one.recipients]) == 6
    assert set(Attempt.objects.exclude(error_class="").values_list("error_class", flat=True)) == {"host"}
    assert not Message.objects.filter(doubts__gt=0).exists()


@pytest.mark.parametrize(
    "action",
    [TakeThenDrop(), Silence(), Drip(), b"\xff\xfe nonsense\r\n", b"250-ok\r\n550 no\r\n", Drop(b"25"), "354 Go on"],
    ids=str,
)
def test_without_an_answer_after_the_dot_only_that_message_is_in_doubt(
    encrypted: Scripted, action: Any, settings: Any
) -> None:
    settings.IN_DOUBT = "hold"
    settings.ATTEMPT_DEADLINE_S = 1.0
    server = encrypted({".": ["250 Ok", "250 Ok", action, "250 Ok"]})
    queued(6)
    with running():
        until(_over)
    assert _states() == ["sent", "sent", "in_doubt", "sent", "sent", "sent"]
    assert len(server.taken) == 6


def test_a_refusal_in_mid_pipeline_belongs_to_its_own_message(encrypted: Scripted) -> None:
    server = encrypted(
        {
            "RCPT TO:<user2@example.com>": "550 5.1.1 No such user",
            "RCPT TO:<user4@example.com>": "451 4.7.1 Greylisted",
            ".": ["250 Ok", "554 5.7.1 Spam", "250 Ok"],
        }
    )
    queued(6)
    with running():
        until(_over)
    assert _states() == ["sent", "failed", "failed", "sent", "deferred", "sent"]
    assert server.connections == 1
    assert not Breaker.objects.filter(is_open=True).exists()


class _Crumbs(RawServer):
    """Forwards to `port`; the server's bytes come one at a time, so that no TLS record arrives whole."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._to = port

    def handle(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._to)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upward = threading.Thread(target=self._copy, args=(connection, server))
            upward.start()
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    for byte in data:
                        connection.sendall(bytes([byte]))
            connection.shutdown(socket.SHUT_RDWR)
            upward.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(3000):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_records_that_come_in_crumbs_and_large_mails_in_many_records_arrive_whole(encrypted: Scripted) -> None:
    proxies: list[_Crumbs] = []

    def through(port: int) -> int:
        proxies.append(_Crumbs(port).__enter__())
        return proxies[0].port

    server = encrypted(through=through)
    large = "A line of a large mail, ü.\n" * 100_000
    submit([Submission(a_request(text=large if n == 2 else f"Number {n}.\n")) for n in range(12)])
    with running():
        until(lambda: set(_states()) == {"sent"})
    proxies[0].__exit__(None, None, None)
    assert len(server.taken) == 12
    sizes = sorted(len(one.data) for one in server.taken)
    assert sizes[-1] > 2_600_000
    assert sizes[-2] < 5_000


class _DropsInContent(RawServer):
    """Speaks TLS, takes part of the first content and then closes without a word."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context
        self.dots = 0

    def handle(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as stream:
            stream.sendall(b"220 drops.test\r\n")
            lines = stream.makefile("rb")
            for line in lines:
                verb = line[:4].upper()
                answer = {b"EHLO": b"250-drops.test\r\n250 PIPELINING\r\n", b"DATA": b"354 Go on\r\n"}
                stream.sendall(answer.get(verb, b"250 Ok\r\n"))
                if verb == b"DATA":
                    lines.read(1000)
                    return


def test_a_connection_lost_within_the_content_is_free_to_retry(authority: TestAuthority) -> None:
    with _DropsInContent(authority.server_context()) as server:
        secured = {"security": "tls", "ca_certificate": authority.pem, "max_connections": 1}
        activate(a_config(server.port, **secured))
        submit([Submission(a_request(text="A line of a large mail.\n" * 400_000))])
        with running():
            until(_tried)
    message = Message.objects.get()
    assert (message.state, message.doubts) == ("deferred", 0)
    assert Attempt.objects.get().error_class == "host"
