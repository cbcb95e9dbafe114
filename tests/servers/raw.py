"""A TCP server that hands each connection to a function: the base for servers that misbehave on purpose."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Handler = Callable[[socket.socket], None]


class RawServer:
    """Listens on 127.0.0.1 (or `host`) and runs `handle(connection)` in a thread per connection.

    `stopping` is set when the server ends; a handler that wants to be silent waits for it. A handler's
    exception other than a lost connection is raised when the server is left."""

    def __init__(self, handle: Handler | None = None, *, host: str = "127.0.0.1") -> None:
        self._handle = handle
        self.stopping = threading.Event()
        self.connections = 0
        self._errors: list[Exception] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.host = host
        self.port: int = self._listener.getsockname()[1]

    def handle(self, connection: socket.socket) -> None:
        """Talks with one client; a subclass may override it instead of giving a function."""
        if self._handle is not None:
            self._handle(connection)

    def encrypt(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """The server's side of a handshake; what was accepted goes on inside TLS and ends with the server."""
        encrypted = context.wrap_socket(connection, server_side=True)
        self._open.append(encrypted)
        return encrypted

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for connection in self._open:  # an encrypted one is a socket of its own, which nobody else closes
            connection.close()
        if self._errors and error is None:
            raise self._errors[0]

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection:
                self.handle(connection)
        except OSError:
            pass  # the client went away, or the server is being stopped
        except Exception as error:  # noqa: BLE001  a thread's error would be lost; it is raised in __exit__
            self._errors.append(error)
