"""The replies to a pipelined envelope, taken together when they are known: they mean what they mean one by one."""

import time

import pytest

from emailcfg.providers.base import Reply
from emailcfg.providers.smtp_wire import Wire
from tests.emailcfg.providers.conftest import deliver, mail, smtp_session
from tests.servers.scripted import Drop, Script, ScriptedSmtp

OK, NO = "250 2.1.0 Ok", "550 5.1.1 No"
SCRIPTS: dict[str, Script] = {
    "all is well": {},
    "each mail another queue id": {".": [f"250 2.0.0 Ok: queued as 4ABC{n}" for n in range(8)]},
    "every third recipient is refused": {"RCPT": [OK, OK, NO] * 3, "DATA": ["354 Go", "354 Go", "503 5.5.1 No"] * 3},
    "every third recipient is refused, and DATA is welcome": {"RCPT": [OK, OK, NO] * 3},
    "recipients come later": {"RCPT": [OK, "451 4.7.1 Greylisted", "450 4.2.0 Busy"] * 3},
    "every third sender is refused": {"MAIL": [OK, OK, "451 4.3.0 Later"] * 3, "RCPT": [OK, OK, "503 5.5.1 No"] * 3},
    "a sender is refused in words that were known, and its recipient is taken": {
        "MAIL": [OK, OK, OK, "451 4.3.0 Later"],
        "RCPT": [OK, "451 4.3.0 Later", OK],
    },
    "DATA is put off": {"DATA": ["354 Go", "354 Go", "451 4.3.0 Later"] * 3},
    "DATA is answered like a command": {"DATA": ["354 Go", "354 Go", "250 Ok"]},
    "a sender is answered like DATA": {"MAIL": [OK, OK, "354 Go"]},
    "the content is refused": {".": ["250 Ok", "250 Ok", "554 5.6.0 No", "250 Ok"]},
    "all mail is refused": {"MAIL": [OK, OK, OK, "421 4.7.0 Too many messages"]},
    "a reply has two lines": {"RCPT": [OK, OK, "250-2.1.5 Two\r\n250 2.1.5 Lines", OK]},
    "a reply is garbage": {"RCPT": [OK, OK, b"garbage\r\n"]},
    "a reply more than asked": {"DATA": ["354 Go", "354 Go", "354 Go\r\n250 2.1.0 Ok"]},
    "the connection ends": {"RCPT": [OK, OK, OK, Drop()]},
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_replies_taken_together_mean_what_they_mean_one_by_one(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    real_received, real_skip, skipped = Wire._received, Wire.skip, list[Wire]()

    def received(wire: Wire, wait_until: float) -> bytes:
        time.sleep(0.01)  # the whole group has come
        return real_received(wire, wait_until)

    def skip(wire: Wire) -> None:
        skipped.append(wire)
        real_skip(wire)

    def outcome() -> object:
        with ScriptedSmtp(script, keywords=("PIPELINING", "SIZE 1000000"), orderly=False) as server:
            session = smtp_session(server, timeout_s=1)
            session.open()
            record = deliver(session, [mail(n) for n in range(1, 9)])
        told = [(one.mail.id, one.recipients, one.reply, one.failure, one.provider_id) for one in record.results]
        error = record.error.failure if record.error is not None else None
        return told, error, record.entered, server.taken, server.commands

    monkeypatch.setattr(Wire, "_received", received)
    monkeypatch.setattr(Wire, "skip", skip)
    together = outcome()
    assert len(skipped) > 0
    skipped.clear()
    monkeypatch.setattr(Wire, "known", lambda wire, count: None)
    assert together == outcome()
    assert skipped == []


def test_replies_are_known_when_each_was_met_and_no_byte_is_left_over() -> None:
    wire = Wire.__new__(Wire)
    one, two = Reply(250, "one"), Reply(354, "two")
    wire._known, wire._groups = {b"250 one": one, b"354 two": two}, {}
    for buffer, count, expected in [
        (b"250 one\r\n354 two\r\n", 2, (one, two)),
        (b"250 one\r\n354 two\r\n", 2, (one, two)),  # met as a group before
        (b"250 one\r\n354 two\r\n", 3, None),
        (b"250 one\r\n354 two\r\n", 1, None),
        (b"250 one\r\n354 tw", 2, None),
        (b"250 one\r\n354 two\r\n2", 2, None),
        (b"250 one\r\n354 two\n", 2, None),
        (b"250 one\r\n250 new\r\n", 2, None),
        (b"250-one\r\n250 one\r\n", 2, None),
        (b"", 2, None),
    ]:
        wire._buffer, wire._at = b"read already\r\n" + buffer, len(b"read already\r\n")
        assert wire.known(count) == expected, (buffer, count)
