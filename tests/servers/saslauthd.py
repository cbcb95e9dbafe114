"""The daemon that Cyrus SASL asks about a password, as far as a mail server needs it: a Unix socket and its users."""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self


class Saslauthd:
    """Use as a context manager. Listens at `path`, to which every user of this machine may connect. `attempts` lists
    the user names that were asked about, each time."""

    def __init__(self, path: Path, users: Mapping[str, str]) -> None:
        self.path, self.attempts = path, list[str]()
        self._users = dict(users)

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self.path.chmod(0o666)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the end
                return
            with connection, connection.makefile("rwb") as stream:
                user, password, _, _ = (self._counted(stream.read) for _ in range(4))  # and service and realm
                self.attempts.append(user)
                answer = b"OK" if self._users.get(user) == password else b"NO"
                stream.write(struct.pack("!H", len(answer)) + answer)
                stream.flush()

    @staticmethod
    def _counted(read: Callable[[int], bytes]) -> str:
        (length,) = struct.unpack("!H", read(2))
        return read(length).decode()
