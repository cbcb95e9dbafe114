"""An SMTP sink with PIPELINING and CHUNKING that answers every command a given time later: a server that is not next
door, and offers what those commonly do.

    python bench/sink.py PORT DELAY_MS [KEYWORD ...]    (the keywords of EHLO; by default PIPELINING and CHUNKING)

Each reply leaves DELAY_MS after its command came, to a tenth of a millisecond, whatever else is under way, as over a
line of that length. No asyncio: its timers are exact to the millisecond, and it would be the sink that is measured."""

import select
import socket
import sys
import time
from collections import deque


class Connection:
    """What was read of one client's commands, and whether it is in the middle of a mail."""

    ehlo = b""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""
        self._in_data = False
        self._chunk: int | None = None  # how much of it is still to come

    def answer(self, data: bytes) -> bytes:
        """The replies to what came."""
        buffer, at, replies = self._rest + data, 0, b""
        while True:
            if self._chunk is not None:
                passed = min(self._chunk, len(buffer) - at)
                at, self._chunk = at + passed, self._chunk - passed
                if self._chunk:
                    break
                self._chunk = None
                replies += b"250 2.0.0 Ok\r\n"
                continue
            if self._in_data:
                end = buffer.find(b"\r\n.\r\n", max(at - 2, 0))
                if end < 0:
                    break
                at, self._in_data = end + 5, False
                replies += b"250 2.0.0 Ok\r\n"
                continue
            end = buffer.find(b"\n", at)
            if end < 0:
                break
            verb, begun = buffer[at : at + 4].upper(), at
            at = end + 1
            if verb == b"BDAT":
                self._chunk = int(buffer[begun + 5 : end].split()[0])
            elif verb == b"DATA":
                self._in_data = True
                replies += b"354 Go on\r\n"
            elif verb == b"EHLO":
                replies += Connection.ehlo
            else:
                replies += b"221 Bye\r\n" if verb == b"QUIT" else b"250 Ok\r\n"
        # Of a mail whose end is still to come the last four bytes suffice.
        self._rest = buffer[at:] if not self._in_data else buffer[max(at - 2, len(buffer) - 4, 0) :]
        return replies


def serve(port: int, delay_s: float, keywords: list[str]) -> None:
    Connection.ehlo = (
        b"250-sink\r\n" + b"".join(b"250-%b\r\n" % word.encode() for word in keywords) + b"250 8BITMIME\r\n"
    )
    listener = socket.create_server(("127.0.0.1", port), backlog=200)
    listener.setblocking(False)
    ready = select.epoll()
    ready.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()  # all wait equally long, so they stay in order
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([ready], [], [], pause)[0]:  # select waits to the microsecond, epoll to the millisecond
            for number, _ in ready.poll(0):
                if number == listener.fileno():
                    sock, _ = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[sock.fileno()] = Connection(sock)
                    ready.register(sock, select.EPOLLIN)
                    waiting.append((time.monotonic() + delay_s, sock, b"220 sink\r\n"))
                    continue
                replies = _received(connections[number])
                if replies is None:
                    connections.pop(number).sock.close()
                elif replies:
                    waiting.append((time.monotonic() + delay_s, connections[number].sock, replies))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, sock, replies = waiting.popleft()
            if sock.fileno() >= 0:
                sock.send(replies)


def _received(connection: Connection) -> bytes | None:
    try:
        data = connection.sock.recv(65536)
    except OSError:
        return None
    return connection.answer(data) if data else None


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, sys.argv[3:] or ["PIPELINING", "CHUNKING"])
