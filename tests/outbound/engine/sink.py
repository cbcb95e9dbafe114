"""Servers that count what they took, and tell a hook each phase of each message: SMTP, and SendGrid's API."""

import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO, Literal

from tests.servers.raw import RawServer
from tests.servers.scripted import ehlo
from tests.servers.sendgrid import KEY

Hook = Callable[[str, int], None]
_MESSAGE_ID = re.compile(rb"^Message-ID: (<[^>]+>)", re.MULTILINE | re.IGNORECASE)


class CountingServer(RawServer):
    """`taken` counts the messages read to their last byte, by Message-ID. The hook is called with each phase and how
    many messages were taken so far."""

    def __init__(self, hook: Hook) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()
        self.hook = hook
        self._count = 0
        self._guard = threading.Lock()

    @property
    def count(self) -> int:
        with self._guard:
            return self._count

    def tell(self, phase: str) -> None:
        self.hook(phase, self.count)

    def take(self, message_id: str) -> None:
        with self._guard:
            self.taken[message_id] += 1
            self._count += 1


class Sink(CountingServer):
    """An SMTP server. Its phases are "handshake" (of TLS from the start), "mail", "rcpt", "data", "dot" (or the last
    chunk) before the answer, and "answered" after it. With `context` it speaks TLS, as `security` says."""

    def __init__(
        self,
        hook: Hook = lambda phase, count: None,
        *,
        pipelining: bool = True,
        chunking: bool = False,
        context: ssl.SSLContext | None = None,
        security: Literal["starttls", "tls"] = "starttls",
    ) -> None:
        super().__init__(hook)
        self.senders: list[str] = []
        self.left = 0  # clients that said goodbye
        self._offers = [*["PIPELINING"] * pipelining, *["CHUNKING"] * chunking]
        self._context = context
        self._from_start = context is not None and security == "tls"

    def handle(self, connection: socket.socket) -> None:
        if self._from_start:
            self.tell("handshake")
            connection = self._encrypted(connection)
        with connection:
            connection.sendall(b"220 sink.test ESMTP\r\n")
            self._talk(connection)

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        assert self._context is not None
        return self.encrypt(connection, self._context)

    def _greeting(self, connection: socket.socket) -> bytes:
        offers = self._offers
        if self._context is not None and not isinstance(connection, ssl.SSLSocket):
            offers = [*offers, "STARTTLS"]
        return ehlo(*offers).encode() + b"\r\n"

    def _talk(self, connection: socket.socket) -> None:
        stream, content = connection.makefile("rb"), b""
        for line in stream:
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                connection.sendall(self._greeting(connection))
            elif verb == b"STAR":
                connection.sendall(b"220 2.0.0 Go ahead\r\n")
                with self._encrypted(connection) as encrypted:
                    self._talk(encrypted)
                return
            elif verb == b"DATA":
                self.tell("data")
                connection.sendall(b"354 Go on\r\n")
                self._take(connection, stream)
            elif verb == b"BDAT":
                _, size, *last = line.split()
                self.tell("data")
                content += (chunk := stream.read(int(size)))
                if len(chunk) < int(size):
                    return  # the last byte never came
                if last:
                    self._count_in(connection, content)
                    content = b""
                else:
                    connection.sendall(b"250 2.0.0 Ok\r\n")
            elif verb == b"QUIT":
                connection.sendall(b"221 Bye\r\n")
                self.left += 1
                return
            else:
                if verb == b"MAIL":
                    self.senders.append(line.decode().split("<")[1].split(">")[0])
                    content = b""
                if verb in (b"MAIL", b"RCPT"):
                    self.tell(verb.decode().lower())
                connection.sendall(b"250 Ok\r\n")

    def _take(self, connection: socket.socket, stream: BinaryIO) -> None:
        lines = []
        for line in stream:
            if line == b".\r\n":
                break
            lines.append(line)
        else:
            return  # the dot never came
        self._count_in(connection, b"".join(lines))

    def _count_in(self, connection: socket.socket, content: bytes) -> None:
        found = _MESSAGE_ID.search(content)
        assert found
        self.take(found.group(1).decode())
        self.tell("dot")
        connection.sendall(b"250 2.0.0 Ok: queued as 4ABC12345\r\n")
        self.tell("answered")


class ApiSink(CountingServer):
    """An HTTP server that takes mail as SendGrid does, over connections that it keeps open; HTTPS with `context`.
    Its phases are "request" (head read, body not), "body" before the answer, and "answered" after it."""

    def __init__(self, hook: Hook = lambda phase, count: None, *, context: ssl.SSLContext | None = None) -> None:
        super().__init__(hook)
        self._context = context

    @property
    def url(self) -> str:
        """What SENDGRID_API_URL is set to."""
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def handle(self, connection: socket.socket) -> None:
        if self._context is None:
            _Exchange(connection, self)
            return
        with self.encrypt(connection, self._context) as encrypted:
            _Exchange(encrypted, self)


class _Exchange(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, sink: ApiSink) -> None:
        self._sink = sink
        super().__init__(connection, connection.getpeername(), None)  # type: ignore[arg-type]  # it asks nothing of a server

    def do_GET(self) -> None:
        self._answer(200, {"scopes": ["mail.send"]})

    def do_POST(self) -> None:
        self._sink.tell("request")
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True  # the last byte never came
            return
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        self._sink.take(json.loads(body)["headers"]["Message-ID"])
        self._sink.tell("body")
        self._answer(202)
        self._sink.tell("answered")

    def _answer(self, status: int, document: object = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """What it was asked is no matter of the tests' output."""
