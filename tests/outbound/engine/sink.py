"""An SMTP server with PIPELINING that counts what it took, and tells a hook each phase of each message."""

import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import BinaryIO

from tests.servers.raw import RawServer
from tests.servers.scripted import ehlo

Hook = Callable[[str, int], None]
_MESSAGE_ID = re.compile(rb"^Message-ID: (<[^>]+>)", re.MULTILINE | re.IGNORECASE)


class Sink(RawServer):
    """`taken` counts the final dots (and last chunks) read, by Message-ID. The hook is called with the phase ("mail",
    "rcpt", "data", "dot" before the answer, "answered" after it) and how many messages were taken so far."""

    def __init__(
        self, hook: Hook = lambda phase, count: None, *, pipelining: bool = True, chunking: bool = False
    ) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()
        self._count = 0
        self.senders: list[str] = []
        self.left = 0  # clients that said goodbye
        self._hook = hook
        self._greeting = ehlo(*["PIPELINING"] * pipelining, *["CHUNKING"] * chunking).encode() + b"\r\n"
        self._guard = threading.Lock()

    @property
    def count(self) -> int:
        with self._guard:
            return self._count

    def handle(self, connection: socket.socket) -> None:
        stream, content = connection.makefile("rb"), b""
        connection.sendall(b"220 sink.test ESMTP\r\n")
        for line in stream:
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                connection.sendall(self._greeting)
            elif verb == b"DATA":
                self._hook("data", self.count)
                connection.sendall(b"354 Go on\r\n")
                self._take(connection, stream)
            elif verb == b"BDAT":
                _, size, *last = line.split()
                self._hook("data", self.count)
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
                    self._hook(verb.decode().lower(), self.count)
                connection.sendall(b"250 Ok\r\n")

    def _take(self, connection: socket.socket, stream: BinaryIO) -> None:
        content = b""
        for line in stream:
            if line == b".\r\n":
                break
            content += line
        else:
            return  # the dot never came
        self._count_in(connection, content)

    def _count_in(self, connection: socket.socket, content: bytes) -> None:
        found = _MESSAGE_ID.search(content)
        assert found
        with self._guard:
            self.taken[found.group(1).decode()] += 1
            self._count += 1
        self._hook("dot", self.count)
        connection.sendall(b"250 2.0.0 Ok: queued as 4ABC12345\r\n")
        self._hook("answered", self.count)
