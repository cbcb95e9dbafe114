"""An SMTP server that answers exactly as a script says: refusals, delays, drips, drops and garbage.

    script = {"RCPT TO:<bob@example.com>": "550 5.1.1 No such user", "DATA": ["451 4.3.0 Later", "354 Go on"]}
    with ScriptedSmtp(script) as server: ...

A key is the start of a command line (the longest that fits wins), or "connect" for the greeting, "." for
the end of the data (also that by BDAT's LAST) and "base64" for what answers a 334. A value is one action, or a list of
actions for the first, second, ... time (the last repeats). An action is a reply without its final CRLF, raw `bytes`, or
one of the classes below. Commands without a key get a friendly answer."""

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.servers.raw import RawServer


@dataclass(frozen=True)
class Drop:
    """Closes the connection; first sends `after`, if any."""

    after: bytes = b""


@dataclass(frozen=True)
class Silence:
    """Never answers; ends when the server ends or the client goes."""


@dataclass(frozen=True)
class Drip:
    """Sends one byte of `text` every `every_s` seconds, over and over, without ever ending a reply."""

    text: bytes = b"250-still here"
    every_s: float = 0.05


@dataclass(frozen=True)
class Delay:
    """Answers `reply` after `seconds`."""

    seconds: float
    reply: str


@dataclass(frozen=True)
class TakeThenDrop:
    """For ".": the whole message was read (and is recorded), then the connection ends without a reply."""


Action = str | bytes | Drop | Silence | Drip | Delay | TakeThenDrop
Script = Mapping[str, Action | Sequence[Action]]

FRIENDLY: dict[str, str] = {
    "connect": "220 mail.test ESMTP",
    "EHLO": "250 mail.test",
    "HELO": "250 mail.test",
    "STARTTLS": "220 2.0.0 Go ahead",
    "AUTH": "235 2.7.0 Accepted",
    "base64": "235 2.7.0 Accepted",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End with a dot",
    "BDAT": "250 2.0.0 Ok: chunk received",
    ".": "250 2.0.0 Ok: queued as 4ABC12345",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def ehlo(*keywords: str) -> str:
    """The EHLO reply that offers `keywords`."""
    lines = ["mail.test", *keywords]
    return "\r\n".join(f"250{' ' if n == len(lines) else '-'}{line}" for n, line in enumerate(lines, 1))


@dataclass
class Taken:
    """One message the server was given, with the addresses it had accepted. `data` is as sent: dot-stuffed by DATA, and
    as it is by BDAT (`chunks` then says in how many pieces)."""

    mail_from: str
    recipients: list[str]
    data: bytes
    chunks: int = 0

    @property
    def content(self) -> bytes:
        return self.data if self.chunks else b"\r\n".join(_unstuffed(line) for line in self.data.split(b"\r\n"))


def _unstuffed(line: bytes) -> bytes:
    return line[1:] if line.startswith(b".") else line


@dataclass
class _Dialogue:
    stream: socket.socket
    buffer: bytes = b""
    mail_from: str | None = None  # set while a transaction is open
    recipients: list[str] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def begin(self, mail_from: str | None) -> None:
        """A new transaction, or with None the end of one."""
        self.mail_from, self.recipients, self.chunks = mail_from, [], []

    def exactly(self, size: int) -> bytes | None:
        while len(self.buffer) < size:
            if not self._more():
                return None
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def line(self) -> bytes | None:
        while b"\r\n" not in self.buffer:
            if not self._more():
                return None
        found, _, self.buffer = self.buffer.partition(b"\r\n")
        return found

    def data(self) -> bytes | None:
        """Reads to the final dot; the text is looked for from the end of the 354 on."""
        taken = b"\r\n" + self.buffer
        while b"\r\n.\r\n" not in taken:
            self.buffer = b""
            if not self._more():
                return None
            taken += self.buffer
        body, _, self.buffer = taken[2:].partition(b"\r\n.\r\n") if taken[:5] != b"\r\n.\r\n" else (b"", b"", taken[5:])
        return body + b"\r\n" if body else b""

    def _more(self) -> bool:
        chunk = self.stream.recv(65536)
        self.buffer += chunk
        return bool(chunk)


class ScriptedSmtp(RawServer):
    """`commands` lists every command line read, over all connections; `taken` every message read to its dot.

    `keywords` are offered at EHLO unless the script has its own "EHLO". With `context`, STARTTLS works (when
    offered), or TLS is spoken from the start with `tls_from_start`. An orderly server refuses RCPT before MAIL, and
    BDAT without a recipient (after it read the chunk, RFC 3030 2), whatever the script says. One whose script has a
    single "BDAT" of 500 to 504 does not know the command, and reads no chunk."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        keywords: Sequence[str] = (),
        context: ssl.SSLContext | None = None,
        tls_from_start: bool = False,
        orderly: bool = True,
        host: str = "127.0.0.1",
        on_command: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(host=host)
        self.script: dict[str, Action | Sequence[Action]] = {**FRIENDLY, "EHLO": ehlo(*keywords), **(script or {})}
        self.commands: list[str] = []
        self.taken: list[Taken] = []
        self._context = context
        self._tls_from_start = tls_from_start
        self._orderly = orderly
        self._on_command = on_command
        self._used: dict[str, int] = {}

    def handle(self, connection: socket.socket) -> None:
        if self._tls_from_start:
            connection = self._encrypt(connection)
        dialogue = _Dialogue(connection)
        try:
            self._talk(dialogue)
        finally:
            dialogue.stream.close()

    def _talk(self, dialogue: _Dialogue) -> None:
        if not self._answer(dialogue, "connect"):
            return
        while (raw := dialogue.line()) is not None:
            line = raw.decode("utf-8", "replace")
            self.commands.append(line)
            self._on_command(line)
            if not self._command(dialogue, line):
                return

    def _command(self, dialogue: _Dialogue, line: str) -> bool:
        verb = line.split(" ", 1)[0].upper()
        if verb == "RCPT" and dialogue.mail_from is None and self._orderly:
            dialogue.stream.sendall(b"503 5.5.1 Need MAIL command\r\n")
            return True
        if verb == "BDAT":
            return self._chunk(dialogue, line)
        key = max((k for k in self.script if line.upper().startswith(k.upper())), key=len, default="")
        code = self._answer(dialogue, key or ("base64" if " " not in line and verb not in FRIENDLY else ""))
        if code == "220" and verb == "STARTTLS":
            dialogue.stream, dialogue.buffer = self._encrypt(dialogue.stream), b""
        elif code.startswith("2") and verb == "MAIL":
            dialogue.begin(line[len("MAIL FROM:<") :].split(">")[0])
        elif code.startswith("2") and verb == "RCPT":
            dialogue.recipients.append(line[len("RCPT TO:<") :].split(">")[0])
        elif code == "354" and verb == "DATA":
            data = dialogue.data()
            if data is None:
                return False
            self.taken.append(Taken(dialogue.mail_from or "", dialogue.recipients, data))
            dialogue.begin(None)
            code = self._answer(dialogue, ".")
        elif verb == "RSET":
            dialogue.begin(None)
        return bool(code) and verb != "QUIT"

    def _chunk(self, dialogue: _Dialogue, line: str) -> bool:
        """One chunk: read whole, then answered."""
        words = line.upper().split()
        if str(self.script["BDAT"])[:3] in ("500", "501", "502", "503", "504"):
            return bool(self._answer(dialogue, "BDAT"))
        chunk = dialogue.exactly(int(words[1]))
        if chunk is None:
            return False
        if not dialogue.recipients and self._orderly:
            dialogue.stream.sendall(b"503 5.5.1 No valid recipients\r\n")
            return True
        dialogue.chunks.append(chunk)
        if words[2:] != ["LAST"]:
            return bool(self._answer(dialogue, "BDAT"))
        chunks, mail_from = dialogue.chunks, dialogue.mail_from or ""
        self.taken.append(Taken(mail_from, dialogue.recipients, b"".join(chunks), len(chunks)))
        dialogue.begin(None)
        return bool(self._answer(dialogue, "."))

    def _answer(self, dialogue: _Dialogue, key: str) -> str:
        """Does what the script says for `key`; returns the reply's code, "" when the connection is to end."""
        action = self.script.get(key, "500 5.5.2 Unknown command")
        if not isinstance(action, str | bytes | Drop | Silence | Drip | Delay | TakeThenDrop):
            nth = self._used.get(key, 0)
            self._used[key] = nth + 1
            action = action[min(nth, len(action) - 1)]
        match action:
            case str():
                reply = action
            case bytes():
                dialogue.stream.sendall(action)
                return action[:3].decode("ascii", "replace")
            case Delay(seconds, reply):
                self.stopping.wait(seconds)
            case Drip(text, every_s):
                while True:
                    for byte in text:
                        dialogue.stream.sendall(bytes([byte]))
                        if self.stopping.wait(every_s):
                            return ""
            case Silence():
                self.stopping.wait()
                return ""
            case Drop(after):
                dialogue.stream.sendall(after)
                return ""
            case _:
                return ""
        dialogue.stream.sendall(reply.encode("utf-8") + b"\r\n")
        return reply.rsplit("\r\n", 1)[-1][:3]

    def _encrypt(self, connection: socket.socket) -> socket.socket:
        if self._context is None:
            raise AssertionError("this script speaks TLS but has no context")
        return self.encrypt(connection, self._context)
