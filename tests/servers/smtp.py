"""A friendly, standards-keeping SMTP server (aiosmtpd): plain, STARTTLS or TLS from the start, with logins."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells every command it reads

Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True)
class ReceivedMail:
    """A mail as the server took it: `content` without dot-stuffing, `login` the user who sent it or ""."""

    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    login: str
    encrypted: bool

    @property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.content, policy=policy.SMTP)
        assert isinstance(message, EmailMessage)
        return message


@dataclass
class _Handler:
    pipelining: bool
    refused: Mapping[str, str]
    arrived: threading.Condition = field(default_factory=threading.Condition)
    received: list[ReceivedMail] = field(default_factory=list)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return responses[:-1] + (["250-PIPELINING"] if self.pipelining else []) + responses[-1:]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        login = session.auth_data.decode() if session.authenticated and isinstance(session.auth_data, bytes) else ""
        mail = ReceivedMail(
            mail_from=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            content=bytes(content) if isinstance(content, bytes | bytearray) else content.encode(),
            login=login,
            encrypted=session.ssl is not None
            or (
                isinstance(server.transport, asyncio.Transport)
                and server.transport.get_extra_info("sslcontext") is not None
            ),
        )
        with self.arrived:
            self.received.append(mail)
            self.arrived.notify_all()
        return f"250 2.0.0 Ok: queued as TEST{len(self.received):06}"


class SmtpServer:
    """Use as a context manager. `received` holds the mails in order; `wait_for(n)` waits for the n-th.

    `users` maps user name to password; when given, a login is required (after TLS, unless `security` is
    "none"). `refused` maps a recipient to the reply it gets."""

    def __init__(
        self,
        *,
        security: Security = "none",
        context: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        pipelining: bool = True,
        refused: Mapping[str, str] | None = None,
        size_limit: int = 33_554_432,
    ) -> None:
        self.security = security
        self._context = context
        self.users = dict(users or {})
        self._handler = _Handler(pipelining, refused or {})
        self._size_limit = size_limit
        # asyncio switches Nagle's algorithm off only for sockets that name their protocol.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.host = "127.0.0.1"
        self.port: int = self._socket.getsockname()[1]
        self.login_attempts: list[str] = []
        self._connections: set[SMTP] = set()

    @property
    def received(self) -> list[ReceivedMail]:
        return self._handler.received

    def wait_for(self, count: int, timeout_s: float = 10) -> list[ReceivedMail]:
        """The mails once there are `count` of them; fails the test after `timeout_s`."""
        with self._handler.arrived:
            if not self._handler.arrived.wait_for(lambda: len(self.received) >= count, timeout_s):
                raise AssertionError(f"waited for {count} mails, got {len(self.received)}")
        return self.received

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise AssertionError("the SMTP server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        # A listening socket speaks TLS itself only for "TLS from the start"; STARTTLS is SMTP's business.
        tls = self._context if self.security == "tls" else None
        server = loop.run_until_complete(loop.create_server(self._protocol, sock=self._socket, ssl=tls))
        loop.call_soon(started.set)
        loop.run_forever()
        server.close()
        for protocol in list(self._connections):
            if isinstance(protocol.transport, asyncio.WriteTransport):
                protocol.transport.abort()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _protocol(self) -> SMTP:
        protocol = SMTP(
            self._handler,
            hostname="mail.test",
            ident="Test SMTP",
            data_size_limit=self._size_limit,
            enable_SMTPUTF8=True,
            tls_context=self._context if self.security == "starttls" else None,
            require_starttls=self.security == "starttls",
            authenticator=self._authenticate if self.users else None,
            auth_required=bool(self.users),
            loop=self._loop,
        )
        # Set afterwards: the constructor warns about a login without TLS, and knows TLS only by STARTTLS.
        protocol._auth_require_tls = self.security == "starttls"
        self._connections.add(protocol)
        return protocol

    def _authenticate(self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        self.login_attempts.append(user)
        if self.users.get(user) == password:
            return AuthResult(success=True, auth_data=data.login)
        return AuthResult(success=False, handled=False, message="535 5.7.8 Authentication credentials invalid")
