"""One kept-open HTTP(S) connection with a deadline over each whole exchange, no redirects and bounded answers.

http.client keeps the protocol; the connection is made by `connect`, so that the same policy, resolver and
trust hold as for SMTP."""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emailcfg.providers.base import ErrorClass, Failure, Stage

MAX_BODY = 65536
_CHUNK = 16384


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class ExchangeError(Exception):
    """No answer was read. `may_be_out` says whether the whole request may have reached the server."""

    def __init__(self, reason: str, detail: str, *, may_be_out: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.may_be_out = may_be_out

    def failure(self, stage: Stage) -> Failure:
        if self.may_be_out and stage is not Stage.KEY:
            return Failure(stage, ErrorClass.IN_DOUBT, "no_reply", detail=self.detail)
        return Failure(stage, ErrorClass.HOST, self.reason, detail=self.detail)


class _Reader(io.RawIOBase):
    def __init__(self, channel: "_Channel") -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._channel.receive_into(buffer)


class _Channel:
    """What http.client needs of a socket, with every read and write inside one deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = 0.0
        self.last_chunk = False

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def receive_into(self, buffer: Any) -> int:
        self._limit()
        return self.sock.recv_into(buffer)

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _CHUNK):
            self.last_chunk = at + _CHUNK >= len(view)
            self._limit()
            self.sock.sendall(view[at : at + _CHUNK])

    def close(self) -> None:
        """http.client closes after a last response; the owner of the connection does it itself."""

    def _limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The time for the whole exchange is used up.")
        self.sock.settimeout(left)


def _body(answer: http.client.HTTPResponse) -> bytes | None:
    """None when it did not come: the status, which was read by then, says what became of the request."""
    try:
        return answer.read(MAX_BODY + 1)
    except (OSError, http.client.HTTPException):
        return None


class HttpConnection:
    """Takes over `sock`, connected (and encrypted) to `host`."""

    def __init__(self, sock: socket.socket, host_header: str) -> None:
        self._sock = sock
        self._channel = _Channel(sock)
        self._host_header = host_header
        self._http = http.client.HTTPConnection(host_header)
        self._http.auto_open = 0
        self.usable = True

    def is_stale(self) -> bool:
        """Whether the server has closed the idle connection, or said something nobody asked for."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        readable, _, _ = select.select([self._sock], [], [], 0)
        return bool(readable)

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, deadline: float
    ) -> Response:
        """One request and its response; raises ExchangeError. `deadline` is on time.monotonic's clock."""
        channel = self._channel
        channel.deadline = deadline
        self._http.sock = channel  # http.client forgets it after "Connection: close"
        out = False
        try:
            self._http.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            self._http.putheader("Host", self._host_header)
            self._http.putheader("Accept-Encoding", "identity")
            for name, value in headers.items():
                self._http.putheader(name, value)
            if body:
                self._http.putheader("Content-Length", str(len(body)))
            self._http.endheaders()
            channel.last_chunk = False
            if body:
                self._http.send(body)
            out = True
            with self._http.getresponse() as answer:
                content = _body(answer)
                self.usable = content is not None and not answer.will_close and len(content) <= MAX_BODY
                headers = {name.lower(): value for name, value in answer.getheaders()}
                return Response(answer.status, headers, (content or b"")[:MAX_BODY])
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.usable = False
            reason = "timed_out" if isinstance(error, TimeoutError) else "connection_lost"
            if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
                reason = "unreadable_reply"
            # http.client repeats a header that it does not take in its ValueError, and one of them is the key.
            words = f": {error}" if isinstance(error, OSError | http.client.HTTPException) else ""
            raise ExchangeError(
                reason, f"{type(error).__name__}{words}", may_be_out=out or (bool(body) and channel.last_chunk)
            ) from None

    def close(self) -> None:
        self._http.sock = None
        self._http.close()
        self._sock.close()
