"""What is peculiar to BDAT: mails in flight together, each with its own fate, and servers that offer and refuse it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailcfg.providers.base import ErrorClass, Mail, Result, Stage, Step
from emailcfg.providers.smtp_chunks import WINDOW, WINDOW_BYTES
from tests.emailcfg.providers.conftest import WAYS, Delivery, deliver, mail, smtp_session
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Action, Delay, Drop, ScriptedSmtp, Silence, TakeThenDrop

StartScripted = Callable[..., ScriptedSmtp]
CHUNKED = WAYS["chunked"]
GREETING = b"220 raw.test\r\n", b"250-raw.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n"


def delivered(server: ScriptedSmtp | RawServer, *mails: Mail, deadline_s: float = 5, **settings: object) -> Delivery:
    session = smtp_session(server, deadline_s=deadline_s, **settings)
    session.open()
    return deliver(session, mails)


def fate(result: Result) -> str:
    """ "sent", or the class of the failure (of the only recipient, if it is its own)."""
    failure = result.failure or result.recipients[0].failure
    return "sent" if failure is None else str(failure.error_class)


def fates(record: Delivery) -> dict[int, str]:
    assert len({result.mail.id for result in record.results}) == len(record.results), "a mail was reported twice"
    return {result.mail.id: fate(result) for result in record.results}


class Slow(RawServer):
    """Speaks BDAT, and answers the mails of a window only when it has read them all, and then listened for more."""

    def __init__(self, mails: int) -> None:
        super().__init__()
        self.mails = mails
        self.taken: list[bytes] = []
        self.in_flight: list[int] = []  # mails that were read before each answer

    def handle(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        connection.sendall(GREETING[0])
        owed, waiting = b"", 0
        for line in stream:
            if line.startswith(b"EHLO"):
                connection.sendall(GREETING[1])
                continue
            if line.startswith(b"QUIT"):
                return
            if not line.startswith(b"BDAT"):
                owed += b"250 Ok\r\n"
                continue
            chunk = stream.read(int(line.split()[1]))
            owed += b"250 Ok\r\n"
            if not line.endswith(b"LAST\r\n"):
                connection.sendall(owed)
                owed = b""
                continue
            self.taken.append(chunk)
            waiting += 1
            if waiting == min(WINDOW, self.mails) or len(self.taken) == self.mails:
                connection.settimeout(0.2)
                try:
                    extra = connection.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    extra = b""
                connection.settimeout(None)
                self.in_flight.append(waiting + bool(extra))
                connection.sendall(owed)
                owed, waiting = b"", 0


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_up_to_a_window_of_mails_stands_in_flight_and_no_more(count: int) -> None:
    with Slow(count) as server:
        record = delivered(server, *[mail(n) for n in range(count)])
    assert list(fates(record).items()) == [(n, "sent") for n in range(count)]
    assert server.in_flight[0] == min(count, WINDOW)
    assert max(server.in_flight) <= WINDOW
    assert server.in_flight == {1: [1], 2: [2], 4: [4], 9: [4, 4, 1]}[count]


def test_a_mail_alone_goes_at_once_and_nothing_waits_for_company(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(keywords=CHUNKED)
    session = smtp_session(server)
    session.open()
    results: list[Result] = []

    def one_by_one() -> Iterator[Mail]:
        for number in range(3):
            yield mail(number)

    for one in one_by_one():
        session.deliver([one], before_data=lambda mail: None, on_result=results.append)
        assert results[-1].mail is one
    session.close()
    assert len(server.taken) == 3


def test_each_mail_but_the_first_has_a_reset_in_front(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({".": ["250 Ok", "451 4.3.0 Later", "554 5.7.1 No", "250 Ok"]}, keywords=CHUNKED)
    record = delivered(server, *[mail(n) for n in range(1, 6)])
    assert fates(record) == {1: "sent", 2: "message_soft", 3: "message_hard", 4: "sent", 5: "sent"}
    sizes = [len(mail(1).content) - len(b"Subject: mail 1\r\n"), len(mail(2).content)]
    verbs = [line if line[:4] in ("BDAT", "RSET") else line[:4] for line in server.commands if line != "QUIT"]
    assert verbs == [
        *("EHLO", "MAIL", "RCPT", f"BDAT {len(b'Subject: mail 1') + 2}", f"BDAT {sizes[0]} LAST"),
        *("RSET", "MAIL", "RCPT", f"BDAT {sizes[1]} LAST") * 4,
    ]
    assert [one.data for one in server.taken] == [mail(n).content for n in range(1, 6)]  # not dot-stuffed


def test_a_refused_last_mail_leaves_no_transaction_open(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({".": ["250 Ok", "451 4.3.0 Later"]}, keywords=CHUNKED)
    session = smtp_session(server)
    session.open()
    session.deliver([mail(1), mail(2)], before_data=lambda mail: None, on_result=lambda result: None)
    assert server.commands[-1] == "RSET"
    session.probe(mail(3))
    session.close()


def test_nothing_stands_behind_a_large_mail_or_in_front_of_it(scripted_smtp: StartScripted) -> None:
    big = b"Subject: big\r\n\r\n" + b"x" * WINDOW_BYTES + b"\r\n"
    taken_when: dict[int, int] = {}
    server = scripted_smtp(keywords=("PIPELINING", "CHUNKING"))
    session = smtp_session(server)
    session.open()
    results: list[Result] = []
    session.deliver(
        [mail(1), mail(2), mail(3, content=big), mail(4), mail(5)],
        before_data=lambda mail: taken_when.update({mail.id: len(results)}),
        on_result=results.append,
    )
    session.close()
    assert [fate(result) for result in results] == ["sent"] * 5
    assert taken_when[2] < 2, "small ones go together"
    assert (taken_when[3], taken_when[4]) == (2, 3)


def test_recipients_in_flight_are_bounded(scripted_smtp: StartScripted) -> None:
    people = tuple(f"p{n}@example.com" for n in range(60))
    answered_before: dict[int, int] = {}
    results: list[Result] = []
    session = smtp_session(scripted_smtp(keywords=CHUNKED))
    session.open()
    session.deliver(
        [mail(n, *people) for n in (1, 2, 3)],
        before_data=lambda mail: answered_before.update({mail.id: len(results)}),
        on_result=results.append,
    )
    session.close()
    assert answered_before == {1: 0, 2: 1, 3: 2}


# Refusals


def test_a_mail_without_any_accepted_recipient_in_the_window_hurts_nobody(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"RCPT TO:<no@": "550 5.1.1 No such user"}, keywords=CHUNKED)
    record = delivered(
        server, mail(1), mail(2), mail(3, "no@example.com"), mail(4, "no@example.com", "yes@example.com")
    )
    assert fates(record) == {1: "sent", 2: "sent", 3: "recipient_hard", 4: "recipient_hard"}
    assert record.results[2].failure is None
    assert [one.recipients for one in server.taken][2:] == [["yes@example.com"]]


@pytest.mark.parametrize(
    ("reply", "error_class"),
    [("451 4.3.0 Later", "message_soft"), ("554 5.7.1 No", "message_hard"), ("552 5.3.4 Too big", "message_hard")],
)
def test_a_refused_first_chunk_fails_its_mail_alone(scripted_smtp: StartScripted, reply: str, error_class: str) -> None:
    server = scripted_smtp({"BDAT": [reply, "250 Ok"]}, keywords=CHUNKED)
    record = delivered(server, mail(1), mail(2), mail(3))
    assert fates(record) == {1: error_class, 2: "sent", 3: "sent"}
    assert record.results[0].failure is not None
    assert record.results[0].failure.stage is Stage.DATA
    assert record.entered == [2, 3]
    assert record.error is None


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "BDAT"])
@pytest.mark.parametrize("action", [Drop(), "421 4.3.0 Going down", b"garbage\r\n", Drop(b"25"), "354 What"])
def test_until_the_first_chunk_is_taken_everything_is_free_to_retry(
    scripted_smtp: StartScripted, command: str, action: Action
) -> None:
    """A connection that was kept open, and that the server has closed meanwhile, leaves nothing in doubt."""
    record = delivered(scripted_smtp({command: [action]}, keywords=CHUNKED), mail(1), mail(2), mail(3))
    assert (fates(record), record.entered) == ({}, [])
    assert record.error is not None
    assert record.error.failure.error_class is ErrorClass.HOST


def test_a_sender_refused_in_the_window_is_not_believed_to_be_sent_nor_lost(scripted_smtp: StartScripted) -> None:
    """A server that takes recipients and content without a sender may have sent it."""
    server = scripted_smtp({"MAIL": ["250 Ok", "451 4.3.0 Later", "250 Ok"]}, keywords=CHUNKED, orderly=False)
    record = delivered(server, mail(1), mail(2), mail(3))
    assert fates(record) == {1: "sent", 2: "in_doubt", 3: "sent"}
    assert record.error is not None


def test_a_limit_in_the_middle_of_the_window_stops_all_that_was_not_sent(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(
        {"MAIL": ["250 Ok", "550 5.4.5 Daily sending quota exceeded"], ".": "250 Ok"}, keywords=CHUNKED
    )
    record = delivered(server, *[mail(n) for n in range(1, 20)])
    assert fates(record)[1] == "sent"
    assert set(list(fates(record).values())[1:]) == {"rate"}
    assert len(record.results) <= 1 + WINDOW
    assert record.error is not None
    assert record.error.failure is record.results[1].failure


# Breaks


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # What was not answered may have been taken ...
        ({"RSET": Drop()}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        ({"MAIL": ["250 Ok", Drop()]}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        ({"MAIL": ["250 Ok", b"garbage\r\n"]}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        ({"RCPT": ["250 Ok", Drop(b"25")]}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        ({".": ["250 Ok", TakeThenDrop()]}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        ({".": ["250 Ok", "250 Ok", TakeThenDrop()]}, {2: "sent", 3: "in_doubt", 4: "in_doubt"}),
        ({".": ["250 Ok", "554 5.7.1 No", Drop()]}, {2: "message_hard", 3: "in_doubt", 4: "in_doubt"}),
        ({".": ["250 Ok", Silence()]}, {2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}),
        # ... but not by a server that said that it closes, and closed.
        ({"MAIL": ["250 Ok", Drop(b"421 4.3.0 Bye\r\n")]}, {2: "host", 3: "host", 4: "host"}),
        ({"RSET": Drop(b"421 4.3.0 Bye\r\n")}, {2: "host", 3: "host", 4: "host"}),
        ({".": ["250 Ok", "250 Ok", Drop(b"421 4.3.0 Bye\r\n")]}, {2: "sent", 3: "host", 4: "host"}),
        # One that only says so is listened to.
        ({"MAIL": ["250 Ok", "421 4.3.0 Bye", "250 Ok"]}, {2: "host", 3: "sent", 4: "sent"}),
        ({"RCPT": ["250 Ok", "421 4.3.0 Bye", "250 Ok"]}, {2: "host", 3: "sent", 4: "sent"}),
        ({"MAIL": ["250 Ok", "354 What", "250 Ok"]}, {2: "host", 3: "sent", 4: "sent"}),
        ({"RSET": ["502 No", "250 Ok"]}, {2: "sent", 3: "sent", 4: "sent"}),
    ],
    ids=str,
)
def test_what_a_break_in_the_window_leaves_in_doubt(
    scripted_smtp: StartScripted, script: dict[str, Action], expected: dict[int, str]
) -> None:
    record = delivered(scripted_smtp(script, keywords=CHUNKED), mail(1), mail(2), mail(3), mail(4), deadline_s=0.7)
    assert fates(record) == {1: "sent", **expected}
    assert list(fates(record)) == [1, 2, 3, 4]
    assert record.entered == [1, 2, 3, 4]
    assert record.error is not None
    assert record.error.failure.error_class is ErrorClass.HOST


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"RCPT": ["250 Ok", "550 5.1.1 No", "250 Ok"]}, "recipient_hard"),
        ({"MAIL": ["250 Ok", "451 4.3.0 Later"], "RCPT": ["250 Ok", "503 5.5.1 No"]}, "message_soft"),
        ({"MAIL": ["250 Ok", "451 4.3.0 Later"]}, "in_doubt"),  # it takes recipients all the same
    ],
    ids=str,
)
def test_a_refusal_that_was_read_stands_when_the_connection_breaks(
    scripted_smtp: StartScripted, script: dict[str, Action], expected: str
) -> None:
    server = scripted_smtp({**script, ".": ["250 Ok", Drop()]}, keywords=CHUNKED, orderly=False)
    assert fates(delivered(server, mail(1), mail(2), mail(3))) == {1: "sent", 2: expected, 3: "in_doubt"}


def test_what_left_only_in_part_is_free_to_retry_and_what_left_whole_is_in_doubt() -> None:
    """The server takes two small mails and a piece of the third, larger than all buffers between us, and goes."""
    small = b"Subject: x\r\n\r\ny\r\n"
    large = b"Subject: x\r\n\r\n" + b"y" * 250_000 + b"\r\n"

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream = connection.makefile("rb", buffering=0)
        connection.sendall(GREETING[0])
        read_up_to(stream, b"EHLO")
        connection.sendall(GREETING[1])
        read_up_to(stream, b"BDAT")
        stream.read(len(b"Subject: x\r\n"))
        connection.sendall(b"250 Ok\r\n" * 3)
        gone.wait(5)

    gone = threading.Event()
    with RawServer(handle) as server:
        session = smtp_session(server, timeout_s=1)
        session.open()
        assert session._wire is not None
        session._wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
        record = deliver(session, [mail(1, content=small), mail(2, content=small), mail(3, content=large)])
        gone.set()
    assert fates(record) == {1: "in_doubt", 2: "in_doubt", 3: "host"}
    assert record.entered == [1, 2, 3]
    assert record.error is not None


def read_up_to(stream: socket.SocketIO, verb: bytes) -> bytes:
    line = b""
    while not (line.startswith(verb) and line.endswith(b"\n")):
        line = b"" if line.endswith(b"\n") else line
        line += stream.read(1) or b""
    return line


def test_a_server_that_answers_before_it_reads_on_is_listened_to_while_we_send() -> None:
    """It says more than its and our buffers hold, and reads nothing before we took that (RFC 2920 3.1)."""
    flood = b"".join(b"250-%b\r\n" % (b"x" * 4000) for _ in range(99)) + b"250 Ok\r\n"
    content = b"Subject: x\r\n\r\n" + b"y" * 8_000_000 + b"\r\n"
    took: list[int] = []

    def handle(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        connection.sendall(GREETING[0])
        for line in stream:
            if line.startswith(b"BDAT"):
                size = int(line.split()[1])
                if line.endswith(b"LAST\r\n"):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                    connection.sendall(flood)  # the reply to the last chunk, before it was read
                    took.append(len(stream.read(size)))
                else:
                    stream.read(size)
                    connection.sendall(b"250 Ok\r\n")
            else:
                connection.sendall(GREETING[1] if line.startswith(b"EHLO") else b"250 Ok\r\n")

    with RawServer(handle) as server:
        session = smtp_session(server, timeout_s=3)
        session.open()
        assert session._wire is not None
        session._wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        record = deliver(session, [mail(1, content=content)])
    assert fates(record) == {1: "sent"}
    assert took == [len(content) - len(b"Subject: x\r\n")]


def test_an_error_of_the_caller_leaves_what_is_in_flight_in_doubt(scripted_smtp: StartScripted) -> None:
    session = smtp_session(scripted_smtp({".": ["250 Ok", Silence()]}, keywords=CHUNKED))
    session.open()
    results: list[Result] = []

    def mails() -> Iterator[Mail]:
        yield from (mail(1), mail(2), mail(3), mail(4))
        raise RuntimeError("the queue is gone")

    with pytest.raises(RuntimeError):
        session.deliver(mails(), before_data=lambda mail: None, on_result=results.append)
    assert {result.mail.id: fate(result) for result in results} == {
        **{1: "sent", 2: "in_doubt", 3: "in_doubt", 4: "in_doubt"}
    }
    assert session._wire is None


def test_a_server_that_answers_nothing_ends_at_the_deadline(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"RSET": Silence()}, keywords=CHUNKED)
    begun = time.monotonic()
    record = delivered(server, *[mail(n) for n in range(1, 9)], deadline_s=0.5, timeout_s=60)
    assert time.monotonic() - begun < 30
    assert set(list(fates(record).values())[1:]) == {"in_doubt"}
    assert 1 < len(record.results) <= 1 + WINDOW


def test_replies_that_a_server_holds_back_are_waited_for_as_long_as_the_last(scripted_smtp: StartScripted) -> None:
    """It may answer the envelope of a mail in flight only when it is done with the mail."""
    server = scripted_smtp({"RSET": Delay(1.3, "250 Ok")}, keywords=CHUNKED)
    assert fates(delivered(server, mail(1), mail(2), timeout_s=1)) == {1: "sent", 2: "sent"}


# Servers that offer CHUNKING and don't know BDAT


@pytest.mark.parametrize("reply", ["500 5.5.2 Unknown command", "502 5.5.1 Not implemented", "503 5.5.1 No"])
@pytest.mark.parametrize("reads_it", [False, True], ids=["as a command", "as a chunk"])
def test_a_server_that_refuses_to_speak_bdat_gets_data(
    scripted_smtp: StartScripted, reply: str, reads_it: bool
) -> None:
    server = scripted_smtp({"BDAT": [reply] if reads_it else reply}, keywords=CHUNKED)
    session = smtp_session(server)
    session.open()
    results: list[Result] = []
    steps: list[Step] = []
    for mails in ([mail(1), mail(2)], [mail(3)]):
        session.deliver(mails, before_data=lambda mail: None, on_result=results.append, observer=steps.append)
    session.close()
    assert [fate(result) for result in results] == ["sent"] * 3
    assert sum(line.startswith("BDAT") for line in server.commands) == 1, "asked once on a connection"
    assert server.connections == 1
    assert [one.content for one in server.taken] == [mail(n).content for n in (1, 2, 3)]
    assert all(step.ok for step in steps)


def test_of_a_content_read_as_commands_nothing_is_obeyed(scripted_smtp: StartScripted) -> None:
    """The rest of the content leaves only when the first line was taken as a chunk."""
    evil = b"Subject: x\r\n\r\nMAIL FROM:<ceo@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nHello\r\n"
    server = scripted_smtp({"BDAT": "502 5.5.1 Not implemented"}, keywords=CHUNKED)
    record = delivered(server, mail(1, content=evil))
    assert fates(record) == {1: "sent"}
    assert not any("victim" in line for line in server.commands)


def test_once_a_chunk_was_taken_such_a_refusal_belongs_to_the_mail(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({".": ["250 Ok", "503 5.5.1 No", "250 Ok"]}, keywords=CHUNKED)
    assert fates(delivered(server, mail(1), mail(2), mail(3))) == {1: "sent", 2: "message_hard", 3: "sent"}


def test_without_pipelining_chunking_is_not_used(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(keywords=["CHUNKING"])
    assert fates(delivered(server, mail(1), mail(2))) == {1: "sent", 2: "sent"}
    assert not any(line.startswith("BDAT") for line in server.commands)


# Bytes


@given(
    st.lists(
        st.lists(st.sampled_from([b".", b"..", b"", b"RSET", b"BDAT 5 LAST", b"a" * 5000, b"\xc3\xbc"]), max_size=8),
        min_size=1,
        max_size=9,
    )
)
@settings(max_examples=30, deadline=None)
def test_every_mail_arrives_as_it_was(bodies: list[list[bytes]]) -> None:
    mails = [mail(n, content=b"\r\n".join([b"Subject: x", b"", *body, b""])) for n, body in enumerate(bodies)]
    with ScriptedSmtp(keywords=["PIPELINING", "CHUNKING", "8BITMIME"]) as server:
        record = delivered(server, *mails)
    assert set(fates(record).values()) == {"sent"}
    assert [one.data for one in server.taken] == [one.content for one in mails]


def test_a_mail_of_a_single_line_arrives(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(keywords=CHUNKED)
    record = delivered(server, mail(1, content=b"Subject: x\r\n"))
    assert fates(record) == {1: "sent"}
    assert server.taken[0].data == b"Subject: x\r\n"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_tls_large_and_small_mails_arrive_as_they_were(
    scripted_smtp: StartScripted, authority: TestAuthority, security: str
) -> None:
    contents = [b"Subject: x\r\n\r\n" + b"%d" % (n % 10) * size + b"\r\n" for n, size in enumerate([9, 90_000, 3] * 5)]
    contents[7] = b"Subject: big\r\n\r\n" + b"z" * 3_000_000 + b"\r\n"
    server = scripted_smtp(
        keywords=["PIPELINING", "CHUNKING", "STARTTLS"],
        context=authority.server_context(),
        tls_from_start=security == "tls",
    )
    mails = [mail(n, content=content) for n, content in enumerate(contents)]
    record = delivered(server, *mails, security=security, ca_certificate=authority.pem)
    assert record.error is None
    assert set(fates(record).values()) == {"sent"}
    assert [one.data for one in server.taken] == contents
