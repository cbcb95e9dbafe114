"""An SMTP sink with PIPELINING that answers every command a given time later: a server that is not next door.

    python bench/sink.py PORT DELAY_MS

Each reply leaves DELAY_MS after its command came, whatever else is under way, as over a line of that length."""

import asyncio
import sys


class Sink(asyncio.Protocol):
    """One connection. Replies keep their order, because all wait equally long."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer, self.in_data = transport, b"", False
        self.say(b"220 sink\r\n")

    def say(self, reply: bytes) -> None:
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, reply)
        else:
            self.transport.write(reply)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        replies = b""
        while True:
            if self.in_data:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                self.buffer, self.in_data = self.buffer[end + 5 :], False
                replies += b"250 2.0.0 Ok\r\n"
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                break
            self.buffer = rest
            verb = line[:4].upper()
            if verb == b"DATA":
                self.in_data = True
                replies += b"354 Go on\r\n"
            elif verb == b"EHLO":
                replies += b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            else:
                replies += b"221 Bye\r\n" if verb == b"QUIT" else b"250 Ok\r\n"
        if replies:
            self.say(replies)


async def serve(port: int, delay_ms: float) -> None:
    Sink.delay_s = delay_ms / 1000
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
