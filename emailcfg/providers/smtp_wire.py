"""One SMTP connection as commands and replies: limits, timeouts and a deadline over the whole attempt.

The standard library's smtplib does not fit: it hides a 421 at EHLO, makes up codes, and has timeouts for
each read only, so that a server that drips one byte a second holds it for ever."""

import select
import socket
import ssl
import time
from math import ceil

from emailcfg.providers.base import Reply, Wait
from emailcfg.providers.reply import Redactor, enhanced_code, words

MAX_LINE = 8192  # bytes
MAX_LINES = 100
_CHUNK = 65536
_TLS_RECORD = 16384
_KNOWN_REPLIES = 256
_HEAR_S = 0.05  # how long a full connection is left alone before what the server says is read
_MAX_HEARD = 1 << 20  # bytes
# A server that sends each reply of a pipelined group in a packet of its own, and leaves Nagle's algorithm on,
# waits for our acknowledgement between them: without this each group takes 40 ms (Linux's delayed ACK).
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class WireError(Exception):
    """The dialogue can't go on. `reason` is `timed_out`, `connection_lost` or `unreadable_reply`. For a
    failed send `sent` is the number of bytes that may have left."""

    def __init__(self, reason: str, detail: str, sent: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.sent = sent


def block(sock: socket.socket, writing: bool, until: float) -> bool:
    """The Wait of a session that has a thread to itself."""
    left = until - time.monotonic()
    if left <= 0:
        return False
    poller = select.poll()
    poller.register(sock, select.POLLOUT if writing else select.POLLIN)
    return bool(poller.poll(ceil(left * 1000)))


class Wire:
    """Wraps a connected socket, which never blocks: every wait goes through `wait`. `timeout_s` bounds one whole reply,
    and how long a send may stand still (ten megabytes take their time), the attempt's deadline all."""

    def __init__(self, sock: socket.socket, *, timeout_s: float, deadline: float, redact: Redactor) -> None:
        self.sock = sock
        self.deadline = deadline  # on time.monotonic's clock
        self.wait: Wait = block
        self._timeout_s = timeout_s
        self._redact = redact
        self._buffer = b""
        self._at = 0
        self._asked = False  # something was sent, and nothing came since
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._known: dict[bytes, Reply] = {}
        self._groups: dict[bytes, tuple[Reply, ...]] = {}
        sock.setblocking(False)

    def take_over(self, encrypted: ssl.SSLSocket) -> None:
        """Goes on inside TLS. What stood in the buffer came in clear and could have been injected: it goes."""
        self.sock = self._tls = encrypted
        self._buffer, self._at = b"", 0
        encrypted.setblocking(False)

    def send(self, data: bytes, *, hear: bool = False) -> None:
        """Sends all of `data`; the server may pause for the timeout, not longer. With `hear`, what it says meanwhile
        is read and kept for `read_reply`, so that it never stands with its own replies unread while we wait for it to
        read (RFC 2920 3.1)."""
        self._asked = True
        sock, sent, total = self.sock, 0, len(data)
        tls = self._tls is not None
        if not tls:
            try:
                sent = sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                raise self._broken(error) from None
            if sent == total:  # nearly always: the kernel had room for all of it
                return
        step = _TLS_RECORD if tls else total
        view = memoryview(data)
        end = min(time.monotonic() + self._timeout_s, self.deadline)
        while sent < total:
            part = view[sent : sent + step]
            try:
                sent += sock.send(part)
                end = min(time.monotonic() + self._timeout_s, self.deadline)  # the server reads on
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                writing = True
            except ssl.SSLWantReadError:
                writing = False
            except OSError as error:
                # A plain send that fails has sent nothing; of a TLS record some may have gone.
                raise self._broken(error, min(total, sent + step) if tls else sent) from None
            begun = min(total, sent + step) if tls else sent
            if not self.wait(sock, writing, min(end, time.monotonic() + _HEAR_S) if hear else end):
                if not hear or time.monotonic() >= end:
                    raise WireError("timed_out", "The server took no more data.", begun)
                self._hear(begun)

    def _hear(self, begun: int) -> None:
        """Keeps what the server has said so far."""
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._broken(error, begun) from None
        if not data:
            raise WireError("connection_lost", "The server closed the connection.", begun)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        if len(self._buffer) > _MAX_HEARD:
            raise WireError("unreadable_reply", "The server says more than it was asked.", begun)

    def heard(self, lines: int) -> bool:
        """Whether so many lines of replies are already here."""
        return self._buffer.count(b"\n", self._at) >= lines

    def known(self, count: int) -> tuple[Reply, ...] | None:
        """The next `count` replies, where they are all that is here and each was met before: a server says the same to
        nearly every mail. Otherwise None. They stay to be read: by `skip` as a whole, or one by one."""
        block = self._buffer[self._at :]
        group = self._groups.get(block)
        if group is None:
            *lines, rest = block.split(b"\r\n")
            found = [self._known[line] for line in lines if line in self._known]
            if rest or not len(lines) == len(found) == count:
                return None
            if len(self._groups) >= _KNOWN_REPLIES:
                self._groups.clear()
            group = self._groups[block] = tuple(found)
        elif len(group) != count:
            return None
        return group

    def skip(self) -> None:
        """Everything that is here was read."""
        self._at = len(self._buffer)

    def read_reply(self, *, until_deadline: bool = False) -> Reply:
        """The next reply. `until_deadline` waits for the whole attempt's time instead of the timeout."""
        wait_until = 0.0
        if self._at == len(self._buffer):
            wait_until = self._limit(until_deadline)
            self._fill(wait_until)
        at, buffer = self._at, self._buffer
        end = buffer.find(b"\n", at)
        if at + 3 < end <= at + MAX_LINE and buffer[at + 3] != 45:  # 45 is "-": one line, and all of it is here
            line = buffer[at : end - 1] if buffer[end - 1] == 13 else buffer[at:end]
            self._at = end + 1
            return self._known.get(line) or self._parsed([line])
        lines = self._lines(wait_until or self._limit(until_deadline))
        return (len(lines) == 1 and self._known.get(lines[0])) or self._parsed(lines)

    def _limit(self, until_deadline: bool) -> float:
        return self.deadline if until_deadline else min(time.monotonic() + self._timeout_s, self.deadline)

    def read_lines(self) -> tuple[Reply, list[bytes]]:
        """The next reply, and the raw text of each of its lines (an EHLO's keywords)."""
        lines = self._lines(self._limit(False))
        return self._parsed(lines), [line[4:] for line in lines]

    def _lines(self, wait_until: float) -> list[bytes]:
        lines: list[bytes] = []
        while True:
            lines.append(self._line(wait_until))
            if lines[-1][3:4] != b"-" or not lines[-1][:3].isdigit():  # "SSH-2.0" announces no further line
                return lines
            if len(lines) >= MAX_LINES:
                raise WireError("unreadable_reply", f"The reply has more than {MAX_LINES} lines.")

    def _line(self, wait_until: float) -> bytes:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > MAX_LINE:
                raise WireError("unreadable_reply", f"A line of the reply is longer than {MAX_LINE} bytes.")
            self._fill(wait_until)
        line = self._buffer[self._at : end]
        self._at = end + 1
        if len(line) > MAX_LINE:
            raise WireError("unreadable_reply", f"A line of the reply is longer than {MAX_LINE} bytes.")
        return line[:-1] if line.endswith(b"\r") else line

    def _fill(self, wait_until: float) -> None:
        data = self._received(wait_until)
        if not data:
            rest = words(self._buffer[self._at :], self._redact)
            raise WireError("connection_lost", rest or "The server closed the connection without an answer.")
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def _received(self, wait_until: float) -> bytes:
        sock, writing = self.sock, False
        ready = not self._asked or (self._tls is not None and self._tls.pending() > 0)
        while True:
            if not ready and not self.wait(sock, writing, wait_until):
                raise WireError("timed_out", "The server did not answer in time.")
            try:
                if not self._asked and _QUICK_ACK is not None:
                    sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
                data = sock.recv(_CHUNK)
                self._asked = False
                return data
            except (BlockingIOError, ssl.SSLWantReadError):
                ready = writing = False
            except ssl.SSLWantWriteError:
                ready, writing = False, True
            except OSError as error:
                raise self._broken(error) from None

    def _parsed(self, lines: list[bytes]) -> Reply:
        code = lines[-1][:3]
        if not code.isdigit() or any(line[:3] != code or line[3:4] not in (b" ", b"-", b"") for line in lines):
            raise WireError("unreadable_reply", words(b" ".join(lines), self._redact))
        texts = [line[4:].decode("utf-8", "replace") for line in lines]
        enhanced = enhanced_code(texts[0])
        if len(texts) > 1 and enhanced:  # a reply of many lines repeats the enhanced code on each
            texts[1:] = [text.removeprefix(enhanced).strip() for text in texts[1:]]
        reply = Reply(int(code), words(" ".join(texts).strip(), self._redact), enhanced)
        if len(lines) == 1:
            if len(self._known) >= _KNOWN_REPLIES:
                self._known.clear()
            self._known[lines[0]] = reply
        return reply

    def _broken(self, error: OSError, sent: int = 0) -> WireError:
        reason = "timed_out" if isinstance(error, TimeoutError) else "connection_lost"
        return WireError(reason, words(str(error), self._redact), sent)

    def close(self) -> None:
        self.sock.close()
