"""The servers as pytest fixtures. Each test gets its own; the certificate authority serves the whole run."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests.servers.certificates import TestAuthority
from tests.servers.scripted import Script, ScriptedSmtp
from tests.servers.sendgrid import SendGridServer
from tests.servers.smtp import SmtpServer


@pytest.fixture(scope="session")
def authority() -> TestAuthority:
    """The CA whose `pem` a client has to trust."""
    return TestAuthority()


@pytest.fixture
def smtp_server(authority: TestAuthority) -> Iterator[Callable[..., SmtpServer]]:
    """Starts friendly SMTP servers: `smtp_server(security="starttls", users={"ada": "secret"})`."""
    with ExitStack() as running:

        def start(**options: Any) -> SmtpServer:
            if options.get("security", "none") != "none":
                options.setdefault("context", authority.server_context())
            return running.enter_context(SmtpServer(**options))

        yield start


@pytest.fixture
def scripted_smtp() -> Iterator[Callable[..., ScriptedSmtp]]:
    """Starts scripted SMTP servers: `scripted_smtp({"MAIL": "530 5.7.0 Authentication required"})`."""
    with ExitStack() as running:

        def start(script: Script | None = None, **options: Any) -> ScriptedSmtp:
            return running.enter_context(ScriptedSmtp(script, **options))

        yield start


@pytest.fixture(scope="session")
def http_server_of_the_run() -> Iterator[HTTPServer]:
    """One HTTP server for the whole run: stopping one takes half a second."""
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as server:
        yield server


@pytest.fixture
def sendgrid_server(http_server_of_the_run: HTTPServer) -> Iterator[SendGridServer]:
    """A SendGrid of this test alone; set SENDGRID_API_URL to its `url`."""
    yield SendGridServer(http_server_of_the_run)
    http_server_of_the_run.clear()


TWO_VERSIONS = "two-versions.localhost"


@pytest.fixture
def two_versions(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None, int | None], str]:
    """A host of both IP versions: `two_versions(port_behind_ipv6, port_behind_ipv4)` gives its name. IPv6 comes first,
    as resolvers put it; it is reached as an IPv4-mapped address, so that machines without IPv6 can run the test."""
    real = socket.getaddrinfo

    def make(six: int | None, four: int | None) -> str:
        found: list[Any] = []
        if six is not None:
            found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::ffff:127.0.0.1", six, 0, 0)))
        if four is not None:
            found.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", four)))

        def look_up(host: Any, *given: Any, **more: Any) -> Any:
            return found if host == TWO_VERSIONS else real(host, *given, **more)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return TWO_VERSIONS

    return make


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections and that nobody else gets while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound without listening
        yield bound.getsockname()[1]
