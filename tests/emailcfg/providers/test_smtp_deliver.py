"""Delivering by SMTP: each row of the delivery contract over real sockets, plain, pipelined and chunked alike."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailcfg.providers.base import ErrorClass, Mail, Result, SessionError, Stage, Step
from emailcfg.providers.smtp_message import dot_stuffed
from tests.emailcfg.providers.conftest import WAYS, Delivery, deliver, mail, smtp_session
from tests.servers.certificates import TestAuthority
from tests.servers.scripted import (
    Action,
    Delay,
    Drip,
    Drop,
    Script,
    ScriptedSmtp,
    Silence,
    TakeThenDrop,
)
from tests.servers.smtp import SmtpServer

StartScripted = Callable[..., ScriptedSmtp]
Keywords = tuple[str, ...]


def delivered(server: ScriptedSmtp, *mails: Mail, timeout_s: int = 5, deadline_s: float = 10) -> Delivery:
    session = smtp_session(server, timeout_s=timeout_s, deadline_s=deadline_s)
    session.open()
    return deliver(session, mails)


def whole(result: Result) -> tuple[Stage, ErrorClass, str] | None:
    failure = result.failure
    return None if failure is None else (failure.stage, failure.error_class, failure.reason)


def each(result: Result) -> list[str]:
    """For each recipient: "sent", or the reason of its own failure, or of the mail's."""
    return [
        entry.failure.reason if entry.failure else result.failure.reason if result.failure else "sent"
        for entry in result.recipients
    ]


def chunked(keywords: Keywords) -> bool:
    """Whether mails are in flight behind the one that meets a fault: they are then sent, or in doubt, like it."""
    return "CHUNKING" in keywords


def taken(server: ScriptedSmtp) -> list[tuple[list[str], bytes]]:
    return [(one.recipients, one.content) for one in server.taken]


# Everything well


def test_mails_arrive_whole_and_in_order(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    server = scripted_smtp(keywords=keywords)
    record = delivered(server, mail(1), mail(2, "a@example.com", "b@example.com"), mail(3))
    assert record.error is None
    assert record.entered == [1, 2, 3]
    assert [result.mail.id for result in record.results] == [1, 2, 3]
    assert [result.reply.code for result in record.results if result.reply] == [250, 250, 250]
    assert [result.provider_id for result in record.results] == ["4ABC12345"] * 3
    assert [each(result) for result in record.results] == [["sent"], ["sent", "sent"], ["sent"]]
    assert taken(server)[1] == (["a@example.com", "b@example.com"], b"Subject: mail 2\r\n\r\n.body 2\r\n")
    assert f"MAIL FROM:<from@example.com> SIZE={len(mail(1).content)}" in server.commands
    assert server.commands.count("RSET") == (2 if chunked(keywords) else 0)


@pytest.mark.parametrize("reply", ["250 Ok", "251 2.0.0 Will forward", "200 fine", "299", "250-two\r\n250 lines"])
def test_any_2xx_after_the_dot_is_sent(scripted_smtp: StartScripted, keywords: Keywords, reply: str) -> None:
    record = delivered(scripted_smtp({".": reply}, keywords=keywords), mail(1), mail(2))
    assert [whole(result) for result in record.results] == [None, None]


def test_what_becomes_of_quit_is_of_no_interest(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    for action in (Drop(), "421 4.3.0 Bye", b"garbage\r\n"):
        record = delivered(scripted_smtp({"QUIT": action}, keywords=keywords), mail(1))
        assert whole(record.results[0]) is None


def test_a_session_is_used_for_many_deliveries(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    server = scripted_smtp({"RCPT TO:<no@": "550 5.1.1 Unknown"}, keywords=keywords)
    session = smtp_session(server)
    session.open()
    results: list[Result] = []
    for number, address in enumerate(["yes@example.com", "no@example.com", "yes@example.com"]):
        session.deliver([mail(number, address)], before_data=lambda mail: None, on_result=results.append)
    session.close()
    assert [each(result) for result in results] == [["sent"], ["recipient_unknown"], ["sent"]]
    assert server.connections == 1


# Refusals of one mail, each followed by one that is taken


MESSAGE_TABLE: list[tuple[str, str, ErrorClass, str]] = [
    ("MAIL", "550 5.1.7 Invalid sender", ErrorClass.SENDER, "sender_refused"),
    ("MAIL", "553 5.7.1 Sender address rejected: not owned by user ada", ErrorClass.SENDER, "sender_not_allowed"),
    ("MAIL", "501 5.1.8 Bad sender's system address", ErrorClass.SENDER, "sender_refused"),
    ("MAIL", "552 5.3.4 Message size exceeds fixed limit", ErrorClass.MESSAGE_HARD, "too_big"),
    ("MAIL", "451 4.3.0 Try later", ErrorClass.MESSAGE_SOFT, "message_deferred"),
    ("DATA", "451 4.3.0 Later", ErrorClass.MESSAGE_SOFT, "message_deferred"),
    ("DATA", "554 5.7.1 No", ErrorClass.MESSAGE_HARD, "message_refused"),
    ("DATA", "554 5.2.252 SendAsDenied", ErrorClass.SENDER, "sender_not_allowed"),
    (".", "451 4.7.1 Greylisted", ErrorClass.MESSAGE_SOFT, "message_deferred"),
    (".", "452 4.3.1 Disk full", ErrorClass.MESSAGE_SOFT, "message_deferred"),
    (".", "550 5.7.1 Spam", ErrorClass.MESSAGE_HARD, "message_refused"),
    (".", "554 5.6.0 Malformed", ErrorClass.MESSAGE_HARD, "message_refused"),
    (".", "552 5.3.4 Too big", ErrorClass.MESSAGE_HARD, "too_big"),
    (".", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", ErrorClass.SENDER, "*"),
    (
        ".",
        "554 Message rejected: Email address is not verified. The following identities failed the check in "
        "region EU-WEST-1: a@example.com",
        ErrorClass.SENDER,
        "sender_not_verified",
    ),
    (".", "550 5.7.26 Unauthenticated email is not accepted", ErrorClass.SENDER, "sender_not_authenticated"),
]


@pytest.mark.parametrize(("command", "reply", "error_class", "reason"), MESSAGE_TABLE)
def test_a_refused_mail_does_not_stop_the_next(
    scripted_smtp: StartScripted, keywords: Keywords, command: str, reply: str, error_class: ErrorClass, reason: str
) -> None:
    if command == "DATA" and chunked(keywords):
        command = "."  # of the first mail alone is the data answered twice: see test_smtp_chunks
    server = scripted_smtp({command: ["250 Ok" if command != "DATA" else "354 Go", reply, "250 Ok"]}, keywords=keywords)
    if command == "DATA":
        server.script["DATA"] = ["354 Go", reply, "354 Go"]
    record = delivered(server, mail(1), mail(2), mail(3))
    assert record.error is None
    assert [result.mail.id for result in record.results] == [1, 2, 3]
    assert [whole(record.results[0]), whole(record.results[2])] == [None, None]
    failure = record.results[1].failure
    assert failure is not None
    stage = {"MAIL": Stage.SENDER, "DATA": Stage.DATA, ".": Stage.ACCEPTED}[command]
    assert (failure.stage, failure.error_class) == (stage, error_class)
    assert reason in ("*", failure.reason)
    assert failure.words == reply
    assert record.entered == ([1, 2, 3] if command == "." or chunked(keywords) else [1, 3])
    bodies = [data for _, data in taken(server)]
    assert b"Subject: mail 1\r\n\r\n.body 1\r\n" in bodies
    assert b"Subject: mail 3\r\n\r\n.body 3\r\n" in bodies
    assert ("RSET" in server.commands) is (command == "DATA" or chunked(keywords))


# Refusals that concern every mail: reported for this one, and the session stops


STOP_TABLE: list[tuple[str, str, ErrorClass, str]] = [
    ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", ErrorClass.CONFIGURATION, "encryption_required"),
    ("MAIL", "530 5.7.0 Authentication required", ErrorClass.CONFIGURATION, "auth_required"),
    ("MAIL", "530 5.7.57 Client not authenticated to send mail", ErrorClass.CONFIGURATION, "auth_required"),
    ("MAIL", "550 5.7.30 Basic authentication is not supported", ErrorClass.CONFIGURATION, "basic_auth_retired"),
    ("MAIL", "550 5.7.1 Invalid credentials for relay [192.0.2.1]", ErrorClass.CONFIGURATION, "relay_denied"),
    ("MAIL", "550 Unauthenticated senders not allowed", ErrorClass.CONFIGURATION, "auth_required"),
    ("MAIL", "550 5.4.5 Daily user sending limit exceeded", ErrorClass.RATE, "quota_exceeded"),
    ("MAIL", "421 4.7.0 Too many messages", ErrorClass.RATE, "rate_limited"),
    ("MAIL", "503 5.5.1 Nested MAIL command", ErrorClass.DEFECT, "command_refused"),
    ("DATA", "432 4.3.2 Concurrency limit", ErrorClass.RATE, "too_many_connections"),
    (".", "454 Throttling failure: Maximum sending rate exceeded.", ErrorClass.RATE, "rate_limited"),
    (".", "454 Throttling failure: Daily message quota exceeded.", ErrorClass.RATE, "quota_exceeded"),
    (".", "554 5.2.0 STOREDRV; SubmissionQuotaExceededException", ErrorClass.RATE, "quota_exceeded"),
    (".", "550 5.7.705 Access denied, tenant has exceeded threshold", ErrorClass.RATE, "tenant_blocked"),
    (".", "554 Access denied: User is not authorized to perform ses:SendRawEmail", ErrorClass.CONFIGURATION, "*"),
    (".", "421 4.3.0 Going down", ErrorClass.HOST, "service_closing"),
]


@pytest.mark.parametrize(("command", "reply", "error_class", "reason"), STOP_TABLE)
def test_a_refusal_that_concerns_all_mail_stops_the_session(
    scripted_smtp: StartScripted, keywords: Keywords, command: str, reply: str, error_class: ErrorClass, reason: str
) -> None:
    if command == "DATA" and chunked(keywords):
        command = "."
    good = "354 Go" if command == "DATA" else "250 Ok"
    server = scripted_smtp({command: [good, reply, good]}, keywords=keywords)
    record = delivered(server, mail(1), mail(2), mail(3), *[mail(n) for n in range(4, 9)])
    behind = [number for number in record.entered if number > 2]
    # Those were on their way, and taken: 5 too, if it left between the answers to 1 and 2.
    assert behind in ([[3, 4], [3, 4, 5]] if chunked(keywords) else [[]])
    assert [result.mail.id for result in record.results] == [1, 2, *behind]
    assert [whole(result) for result in record.results[2:]] == [None] * len(behind)
    failure = record.results[1].failure
    assert failure is not None
    assert failure.error_class is error_class
    assert reason in ("*", failure.reason)
    assert record.error is not None
    assert record.error.failure == failure


# Recipients


RECIPIENT_TABLE: list[tuple[str, ErrorClass, str]] = [
    ("550 5.1.1 No such user", ErrorClass.RECIPIENT_HARD, "recipient_unknown"),
    ("553 5.1.3 Bad address", ErrorClass.RECIPIENT_HARD, "recipient_refused"),
    ("451 4.7.1 Greylisting in action", ErrorClass.RECIPIENT_SOFT, "greylisted"),
    ("450 4.2.0 Mailbox busy", ErrorClass.RECIPIENT_SOFT, "recipient_deferred"),
    ("452 4.2.2 Over quota", ErrorClass.RECIPIENT_SOFT, "mailbox_full"),
    ("452 4.5.3 Too many recipients", ErrorClass.RECIPIENT_SOFT, "too_many_recipients"),
    ("554 5.7.1 Relay access denied", ErrorClass.CONFIGURATION, "relay_denied"),
    ("450 4.2.1 Peak SMTP relay limit exceeded", ErrorClass.RATE, "rate_limited"),
]


@pytest.mark.parametrize(("reply", "error_class", "reason"), RECIPIENT_TABLE)
def test_a_refused_recipient_fails_alone(
    scripted_smtp: StartScripted, keywords: Keywords, reply: str, error_class: ErrorClass, reason: str
) -> None:
    server = scripted_smtp({"RCPT TO:<bob@": reply}, keywords=keywords)
    record = delivered(server, mail(1, "bob@example.com", "amy@example.com"), mail(2))
    first, second = record.results
    assert each(first) == [reason, "sent"]
    assert first.failure is None
    refused = first.recipients[0].failure
    assert refused is not None
    assert (refused.stage, refused.error_class, refused.words) == (Stage.RECIPIENT, error_class, reply)
    assert each(second) == ["sent"]
    assert [who for who, _ in taken(server)] == [["amy@example.com"], ["to@example.com"]]


@pytest.mark.parametrize("data", ["503 5.5.1 No valid recipients", "354 Go on"])
def test_a_mail_without_any_accepted_recipient_is_not_sent(
    scripted_smtp: StartScripted, keywords: Keywords, data: str
) -> None:
    """A pipelining server has to answer DATA too; one that says 354 gets a lone dot (RFC 2920 3.1)."""
    lone_dot = "PIPELINING" in keywords and not chunked(keywords) and "354" in data
    server = scripted_smtp(
        {
            "RCPT TO:<bob@": "550 5.1.1 No such user",
            "DATA": [data, "354 Go"] if "PIPELINING" in keywords else "354 Go",
            ".": ["554 5.5.1 No valid recipients", "250 Ok"] if lone_dot else "250 Ok",
        },
        keywords=keywords,
    )
    record = delivered(server, mail(1, "bob@example.com"), mail(2))
    assert record.error is None
    assert [each(result) for result in record.results] == [["recipient_unknown"], ["sent"]]
    assert record.results[0].failure is None
    assert record.entered == [2]
    assert taken(server) == [([], b"")] * lone_dot + [(["to@example.com"], b"Subject: mail 2\r\n\r\n.body 2\r\n")]
    assert ("RSET" in server.commands) is not lone_dot


def test_a_lone_dot_that_is_accepted_sends_nothing(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"RCPT TO:<bob@": "550 5.1.1 No such user"}, keywords=["PIPELINING"])
    record = delivered(server, mail(1, "bob@example.com"), mail(2))
    assert [each(result) for result in record.results] == [["recipient_unknown"], ["sent"]]
    assert taken(server)[0] == ([], b"")


def test_data_accepted_though_the_sender_was_refused_gets_a_lone_dot(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"MAIL": ["451 4.3.0 Later", "250 Ok"]}, keywords=["PIPELINING"])
    record = delivered(server, mail(1), mail(2))
    assert [each(result) for result in record.results] == [["message_deferred"], ["sent"]]
    assert record.entered == [2]
    assert taken(server)[0] == ([], b"")


def test_a_server_that_takes_recipients_without_a_sender_gets_no_dot_at_all(scripted_smtp: StartScripted) -> None:
    """A lone dot would send an empty message to them."""
    server = scripted_smtp({"MAIL": ["451 4.3.0 Later", "250 Ok"]}, keywords=["PIPELINING"], orderly=False)
    record = delivered(server, mail(1), mail(2))
    assert [each(result) for result in record.results] == [["message_deferred"]]
    assert record.error is not None
    assert record.entered == []
    assert server.taken == []


def test_too_many_recipients_go_on_at_once_in_a_new_transaction(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    limit = "452 4.5.3 Too many recipients"
    taking = "250 2.1.5 Ok"
    # Pipelined, the server answers every RCPT of the group; plain, the client stops at the first such answer.
    answers = [taking, taking, limit, limit, taking, taking] if "PIPELINING" in keywords else [taking, taking, limit]
    server = scripted_smtp({"RCPT": [*answers, taking]}, keywords=keywords)
    people = tuple(f"p{n}@example.com" for n in range(4))
    record = delivered(server, mail(1, *people), mail(2))
    assert [each(result) for result in record.results] == [["sent"] * 4, ["sent"]]
    assert record.entered == [1, 2]
    assert sorted(who for recipients, data in taken(server) if b"mail 1" in data for who in recipients) == list(people)
    assert len(taken(server)) == 3


def test_more_recipients_than_a_transaction_must_take_are_split(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    people = tuple(f"p{n}@example.com" for n in range(250))
    server = scripted_smtp(keywords=keywords)
    record = delivered(server, mail(1, *people))
    assert each(record.results[0]) == ["sent"] * 250
    assert [len(recipients) for recipients, _ in taken(server)] == [100, 100, 50]


def test_when_a_later_part_of_a_mail_breaks_the_sent_part_is_known(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    people = tuple(f"p{n}@example.com" for n in range(150))
    server = scripted_smtp({".": ["250 Ok", TakeThenDrop()]}, keywords=keywords)
    record = delivered(server, mail(1, *people), mail(2))
    result, *behind = record.results
    assert [whole(one) for one in behind] == [(Stage.ACCEPTED, ErrorClass.IN_DOUBT, "no_reply")] * chunked(keywords)
    assert result.failure is None
    assert [entry.failure for entry in result.recipients[:100]] == [None] * 100
    assert {entry.failure.error_class for entry in result.recipients[100:] if entry.failure} == {ErrorClass.IN_DOUBT}
    assert all(entry.failure for entry in result.recipients[100:])
    assert record.error is not None


def test_when_the_first_part_of_a_mail_is_in_doubt_the_rest_is_free_to_retry(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    people = tuple(f"p{n}@example.com" for n in range(150))
    server = scripted_smtp({".": TakeThenDrop()}, keywords=keywords)
    (result,) = delivered(server, mail(1, *people)).results
    classes = [entry.failure.error_class if entry.failure else None for entry in result.recipients]
    assert classes == [ErrorClass.IN_DOUBT] * 100 + [ErrorClass.HOST] * 50
    assert result.failure is not None


# The connection


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("action", [Drop(), "421 4.3.0 Going down", b"garbage\r\n", Drop(b"25"), "354 What"])
@pytest.mark.parametrize("keywords", [WAYS["plain"], WAYS["pipelined"]], ids=["plain", "pipelined"])
def test_before_the_dot_everything_is_free_to_retry(
    scripted_smtp: StartScripted, keywords: Keywords, command: str, action: Action
) -> None:
    """Chunked, what is not answered yet may have been sent: see test_smtp_chunks."""
    if command == "DATA" and action == "354 What":
        action = "220 What"
    good = "354 Go" if command == "DATA" else "250 Ok"
    record = delivered(scripted_smtp({command: [good, action]}, keywords=keywords), mail(1), mail(2), mail(3))
    assert [(result.mail.id, whole(result)) for result in record.results] == [(1, None)]
    assert record.entered == [1]
    assert record.error is not None
    assert record.error.failure.error_class is ErrorClass.HOST


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (TakeThenDrop(), "no_reply"),
        (Silence(), "no_reply"),
        (Drip(every_s=0.01), "no_reply"),
        (b"garbage\r\n", "unreadable_reply"),
        (b"250-ok\r\n550 no\r\n", "unreadable_reply"),
        (b"250 " + b"x" * 9000 + b"\r\n", "unreadable_reply"),
        ("354 Go on", "unexpected_reply"),
        ("150 Hm", "unexpected_reply"),
        (Drop(b"25"), "no_reply"),
    ],
)
def test_without_a_readable_answer_to_the_dot_the_mail_is_in_doubt(
    scripted_smtp: StartScripted, keywords: Keywords, action: Action, reason: str
) -> None:
    server = scripted_smtp({".": ["250 Ok", action, "250 Ok"]}, keywords=keywords)
    record = delivered(server, mail(1), mail(2), mail(3), timeout_s=1, deadline_s=0.5)
    doubt = (Stage.ACCEPTED, ErrorClass.IN_DOUBT, reason)
    # The third stood behind the second. It is answered if the second had an answer, even though a senseless one.
    behind = [(3, None if reason == "unexpected_reply" else doubt)] if chunked(keywords) else []
    assert [(result.mail.id, whole(result)) for result in record.results] == [(1, None), (2, doubt), *behind]
    assert record.entered == ([1, 2, 3] if chunked(keywords) else [1, 2])
    assert record.error is not None
    assert record.error.failure.error_class is ErrorClass.HOST


def test_a_slow_answer_to_the_dot_is_waited_for_longer_than_the_timeout(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    server = scripted_smtp({".": Delay(1.2, "250 Ok")}, keywords=keywords)
    record = delivered(server, mail(1), timeout_s=1, deadline_s=10)
    assert whole(record.results[0]) is None


class _DropsInContent(ScriptedSmtp):
    """Reads a little of a big content, then says `last_words` and closes."""

    last_words = b""

    def _command(self, dialogue, line):  # type: ignore[no-untyped-def]
        if line != "DATA" and not line.endswith("LAST"):
            return super()._command(dialogue, line)
        dialogue.stream.sendall(b"354 Go on\r\n" if line == "DATA" else b"")
        dialogue.stream.recv(1000)
        dialogue.stream.sendall(self.last_words)
        return False


BIG = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 200_000


def test_a_connection_lost_within_the_content_is_free_to_retry(keywords: Keywords) -> None:
    with _DropsInContent(keywords=[word for word in keywords if not word.startswith("SIZE")]) as server:
        record = delivered(server, mail(1, content=BIG), mail(2))
    (result,) = record.results
    assert result.failure is not None
    assert (result.failure.stage, result.failure.error_class) == (Stage.ACCEPTED, ErrorClass.HOST)
    assert record.entered == [1]
    assert record.error is not None


# What is refused before a byte is sent


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (mail(1, content=b"x" * 1_000_001 + b"\r\n"), "too_big"),
        (mail(1, content=b"Subject: x\r\n\r\na\nb\r\n"), "bare_line_end"),
        (mail(1, content=b"Subject: x\r\n\r\na\rb\r\n"), "bare_line_end"),
        (mail(1, content=b"Subject: x\r\n\r\nno end"), "bare_line_end"),
        (mail(1, content=b"Subject: x\r\n\r\n\xc3\xbc\r\n"), "eightbit_needed"),
        (mail(1, mail_from="jos\u00e9@example.com"), "smtputf8_needed"),
        (mail(1, mail_from="a@example.com>\r\nRCPT TO:<evil@example.com"), "bad_address"),
        (Mail(1, "a@example.com", (), b"Subject: x\r\n\r\n\r\n"), "no_recipients"),
    ],
)
def test_an_unfit_mail_is_refused_without_a_byte_to_the_server(
    scripted_smtp: StartScripted, keywords: Keywords, one: Mail, reason: str
) -> None:
    server = scripted_smtp(keywords=keywords)
    record = delivered(server, one, mail(2))
    failure = record.results[0].failure
    assert failure is not None
    assert (failure.error_class, failure.reason) == (ErrorClass.MESSAGE_HARD, reason)
    assert each(record.results[1]) == ["sent"]
    assert sum(line.startswith("MAIL") for line in server.commands) == 1
    assert record.entered == [2]


def test_a_recipient_that_needs_smtputf8_fails_alone(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    server = scripted_smtp(keywords=keywords)
    injected = "a@example.com>\r\nRCPT TO:<evil@example.com"
    record = delivered(server, mail(1, "jos\u00e9@example.com", "amy@example.com", injected), mail(2, injected))
    outcomes = {result.mail.id: each(result) for result in record.results}
    assert outcomes == {1: ["smtputf8_needed", "sent", "bad_address"], 2: ["bad_address"]}
    assert not any("evil" in line for line in server.commands)


def test_smtputf8_and_8bitmime_are_used_where_needed_and_offered(
    scripted_smtp: StartScripted, keywords: Keywords
) -> None:
    server = scripted_smtp(keywords=[*keywords, "SMTPUTF8", "8BITMIME"])
    eightbit = mail(2, content="Subject: x\r\n\r\n\u00fc\r\n".encode())
    record = delivered(server, mail(1, "jos\u00e9@example.com"), eightbit, mail(3))
    assert [each(result) for result in record.results] == [["sent"]] * 3
    assert [line.partition("> SIZE=")[2].partition(" ")[2] for line in server.commands if "MAIL" in line] == [
        "SMTPUTF8",
        "BODY=8BITMIME",
        "",
    ]


# Watching and probing


def test_an_observer_sees_the_stages_of_a_mail(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    session = smtp_session(scripted_smtp(keywords=keywords))
    session.open()
    steps: list[Step] = []
    deliver(session, [mail(1)], steps.append)
    assert [(step.stage, step.ok) for step in steps] == [
        (Stage.SENDER, True),
        (Stage.RECIPIENT, True),
        (Stage.DATA, True),
        (Stage.ACCEPTED, True),
    ]
    assert steps[-1].reply is not None
    assert steps[-1].reply.text == "2.0.0 Ok: queued as 4ABC12345"
    assert steps[1].facts == {"address": "to@example.com"}


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ({"MAIL": "550 5.1.7 No"}, Stage.SENDER),
        ({"RCPT": "550 5.1.1 No"}, Stage.RECIPIENT),
        ({"DATA": "554 5.7.1 No"}, Stage.DATA),
        ({".": "554 5.7.1 No"}, Stage.ACCEPTED),
        ({".": TakeThenDrop()}, Stage.ACCEPTED),
        ({"MAIL": Drop()}, Stage.SENDER),
        ({"RCPT": "421 4.3.0 Bye"}, Stage.RECIPIENT),
    ],
)
def test_an_observer_sees_where_it_ended(
    scripted_smtp: StartScripted, keywords: Keywords, script: Script, stage: Stage
) -> None:
    if chunked(keywords) and "DATA" in script:
        script = {"BDAT": script["DATA"]}
    session = smtp_session(scripted_smtp(script, keywords=keywords))
    session.open()
    steps: list[Step] = []
    deliver(session, [mail(1)], steps.append)
    assert [step.stage for step in steps if step.ok is False] == [stage]
    assert steps[-1].stage is stage
    assert steps[-1].failure is not None


def test_a_probe_goes_as_far_as_the_recipient(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    server = scripted_smtp({"RCPT TO:<bob@": "550 5.1.1 No such user"}, keywords=keywords)
    session = smtp_session(server)
    session.open()
    steps: list[Step] = []
    session.probe(mail(1), steps.append)
    with pytest.raises(SessionError) as refused:
        session.probe(mail(1, "bob@example.com", "amy@example.com"), steps.append)
    assert refused.value.failure.reason == "recipient_unknown"
    assert [(step.stage, step.ok) for step in steps] == [
        (Stage.SENDER, True),
        (Stage.RECIPIENT, True),
        (Stage.SENDER, True),
        (Stage.RECIPIENT, False),
        (Stage.RECIPIENT, True),
    ]
    record = deliver(session, [mail(2)])  # the session is still good
    assert each(record.results[0]) == ["sent"]
    assert server.commands.count("RSET") == 2
    assert len(server.taken) == 1


def test_a_refused_sender_ends_a_probe(scripted_smtp: StartScripted) -> None:
    session = smtp_session(scripted_smtp({"MAIL": "530 5.7.0 Authentication required"}))
    session.open()
    with pytest.raises(SessionError) as refused:
        session.probe(mail(1))
    session.close()
    assert refused.value.failure.reason == "auth_required"


def test_an_error_of_the_caller_closes_the_connection(scripted_smtp: StartScripted, keywords: Keywords) -> None:
    server = scripted_smtp(keywords=keywords)
    session = smtp_session(server)
    session.open()

    def fail(mail: Mail) -> None:
        raise RuntimeError("the journal is full")

    with pytest.raises(RuntimeError):
        session.deliver([mail(1), mail(2)], before_data=fail, on_result=lambda result: None)
    assert session._wire is None
    assert server.taken == []


# Bytes


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"", b".\r\n.", b"\r\n", b"..."]), max_size=20))
def test_dot_stuffing_is_undone_by_its_rule(parts: list[bytes]) -> None:
    content = b"\r\n".join(parts) + b"\r\n"
    stuffed = dot_stuffed(content)
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed
    lines = stuffed.split(b"\r\n")
    assert b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines) == content


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_thousand_mails_arrive_each_as_it_was(smtp_server: Callable[..., SmtpServer], pipelining: bool) -> None:
    server = smtp_server(pipelining=pipelining, refused={"nobody@example.com": "550 5.1.1 Unknown"})
    mails = []
    for n in range(1100):
        recipients = ("nobody@example.com",) if n % 7 == 3 else (f"to{n}@example.com",)
        recipients += ("nobody@example.com",) if n % 5 == 0 else ()
        content = f"Subject: {n}\r\n\r\n".encode() + b".\r\n..\r\n.x\r\n" * (n % 9) + b"y" * (n % 900) + b"\r\n"
        mails.append(mail(n, *recipients, content=content))
    session = smtp_session(server)
    session.open()
    record = deliver(session, mails)
    assert record.error is None
    assert [result.mail.id for result in record.results] == list(range(1100))
    sent = [result.mail for result in record.results if "sent" in each(result)]
    assert len(sent) == 1100 - len([n for n in range(1100) if n % 7 == 3])
    assert [received.content for received in server.received] == [one.content for one in sent]
    assert [received.recipients for received in server.received] == [
        tuple(who for who in one.recipients if who != "nobody@example.com") for one in sent
    ]


class _Strict(ScriptedSmtp):
    """Refuses DATA without a recipient, as most servers do."""

    def _command(self, dialogue, line):  # type: ignore[no-untyped-def]
        if line == "DATA" and not dialogue.recipients:
            dialogue.stream.sendall(b"554 5.5.1 No valid recipients\r\n")
            return True
        return super()._command(dialogue, line)


FATES: Script = {
    "MAIL FROM:<later": "451 4.3.0 Later",
    "MAIL FROM:<never": "553 5.1.7 Never",
    "RCPT TO:<later": "450 4.2.1 Later",
    "RCPT TO:<never": "550 5.1.1 Never",
    "RCPT TO:<many": "452 4.5.3 Too many recipients",
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["good", "good", "later", "never"]),
            st.lists(st.sampled_from(["good", "good", "later", "never", "many", "jos\u00e9"]), min_size=1, max_size=4),
        ),
        max_size=6,
    ),
    st.sampled_from([ScriptedSmtp, _Strict]),
)
@settings(max_examples=60, deadline=None)
def test_all_ways_come_to_the_same(fates: list[tuple[str, list[str]]], server_class: type[ScriptedSmtp]) -> None:
    mails = [
        mail(n, *(f"{fate}{place}@example.com" for place, fate in enumerate(people)), mail_from=f"{sender}@example.com")
        for n, (sender, people) in enumerate(fates)
    ]
    seen = []
    for keywords in WAYS.values():
        with server_class(FATES, keywords=keywords) as server:
            record = delivered(server, *mails)
        assert record.error is None
        outcomes = {result.mail.id: (whole(result), each(result)) for result in record.results}
        assert sorted(outcomes) == [one.id for one in mails]
        assert len(record.results) == len(mails)
        # Plain, "too many recipients" starts a new transaction at once; pipelined, the group was already sent.
        arrived = [(who, data) for people, data in taken(server) for who in people]
        # Chunked, what the server refuses was on its way, and recipients that it wants apart go behind what is.
        entered = sorted({int(data.split()[2]) for _, data in arrived} & set(record.entered))
        seen.append((outcomes, entered, sorted(arrived) if chunked(keywords) else arrived))
    assert seen[0] == seen[1]
    assert seen[2] == (seen[0][0], seen[0][1], sorted(seen[0][2]))
    for one in mails:
        failure, recipients = seen[0][0][one.id]
        fate = one.mail_from.partition("@")[0]
        if failure is None:
            expected = {"good": "sent", "later": "recipient_deferred", "never": "recipient_unknown"}
            expected |= {"many": "too_many_recipients", "jos\u00e9": "smtputf8_needed"}
            assert recipients == [expected[who.partition("@")[0][:-1]] for who in one.recipients]
        else:
            assert (fate, failure[2]) in {("later", "message_deferred"), ("never", "sender_refused")}


class _ReadsSlowly(ScriptedSmtp):
    """Takes a big content in pieces, with a pause after each: in all longer than the timeout."""

    def _command(self, dialogue, line):  # type: ignore[no-untyped-def]
        if line != "DATA":
            return super()._command(dialogue, line)
        dialogue.stream.sendall(b"354 Go on\r\n")
        tail = b""
        for _ in range(16):
            tail = tail[-5:] + self._exactly(dialogue.stream, len(BIG) // 16)
            self.stopping.wait(0.1)
        while not tail.endswith(b"\r\n.\r\n"):
            tail = tail[-5:] + dialogue.stream.recv(65536)
        dialogue.stream.sendall(b"250 Ok\r\n")
        return True

    @staticmethod
    def _exactly(stream, count):  # type: ignore[no-untyped-def]
        found = b""
        while len(found) < count:
            more = stream.recv(count - len(found))
            if not more:
                raise ConnectionError
            found += more
        return found


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "tls"])
def test_a_large_mail_may_take_longer_than_the_timeout_while_the_server_goes_on_reading(
    encrypted: bool, authority: TestAuthority
) -> None:
    context = authority.server_context() if encrypted else None
    with _ReadsSlowly(context=context, tls_from_start=encrypted) as server:
        secured = {"security": "tls", "ca_certificate": authority.pem} if encrypted else {}
        session = smtp_session(server, timeout_s=1, deadline_s=20, **secured)
        session.open()
        record = deliver(session, [mail(1, content=BIG)])
    assert record.error is None
    assert whole(record.results[0]) is None


def test_a_large_mail_that_the_server_stops_reading_ends_at_the_timeout() -> None:
    class _Stops(ScriptedSmtp):
        def _command(self, dialogue, line):  # type: ignore[no-untyped-def]
            if line != "DATA":
                return super()._command(dialogue, line)
            dialogue.stream.sendall(b"354 Go on\r\n")
            self.stopping.wait()
            return False

    with _Stops() as server:
        session = smtp_session(server, timeout_s=1, deadline_s=60)
        session.open()
        begun = time.monotonic()
        record = deliver(session, [mail(1, content=BIG)])
        assert time.monotonic() - begun < 30  # of the attempt's 60
    assert whole(record.results[0]) == (Stage.ACCEPTED, ErrorClass.HOST, "timed_out")
