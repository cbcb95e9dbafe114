"""The delivery contract row by row: from the request to the states, through real servers."""

import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from outbound.models import Attempt, Breaker, Message, Recipient
from outbound.submit import Submission, submit
from tests.outbound.engine.running import running, until
from tests.outbound.making import a_config, a_request, a_sendgrid_config, activate, queued
from tests.servers.raw import RawServer
from tests.servers.scripted import Delay, Drip, Drop, ScriptedSmtp, Silence, TakeThenDrop, ehlo
from tests.servers.sendgrid import Answer, SendGridServer, refusal

pytestmark = pytest.mark.django_db(transaction=True)

Scripted = Callable[..., ScriptedSmtp]
WAYS = [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")]


def in_its_way(script: dict[str, Any], keywords: tuple[str, ...]) -> dict[str, Any]:
    """Chunked, the answer to the first chunk of a mail stands where that to DATA does otherwise."""
    if "CHUNKING" in keywords and "DATA" in script:
        return {"BDAT": script["DATA"]}
    return script


def _message() -> Message:
    return Message.objects.order_by("pk")[0]


def _was_tried() -> bool:
    return Attempt.objects.exists() and not Message.objects.filter(state="sending").exists()


def _deliver(*to: str) -> Message:
    """Accepts one message, lets the engine try it once, and returns it."""
    submit([Submission(a_request(*to))])
    with running():
        until(_was_tried)
    return _message()


def _states() -> dict[str, str]:
    return {one.address: one.state for one in Recipient.objects.all()}


SOFT_HOST = [
    {"connect": Drop()},
    {"connect": "421 4.3.2 Too many connections"},
    {"connect": "554 5.3.2 Not now"},
    {"connect": b"HTTP/1.1 400 Bad Request\r\n"},
    {"EHLO": "421 4.3.0 Closing"},
    {"EHLO": Drop()},
    {"MAIL": "421 4.3.0 Closing"},
    {"RCPT": "421 4.3.0 Closing"},
    {"DATA": "421 4.3.0 Closing"},
    {"DATA": Drop()},
]


@pytest.mark.parametrize("keywords", WAYS, ids=["plain", "pipelined", "chunked"])
@pytest.mark.parametrize("script", SOFT_HOST, ids=str)
def test_a_failing_host_defers(scripted_smtp: Scripted, script: dict[str, Any], keywords: tuple[str, ...]) -> None:
    if "EHLO" not in script:
        script = {**in_its_way(script, keywords), "EHLO": ehlo(*keywords)}
    server = scripted_smtp(script)
    activate(a_config(server.port))
    before = timezone.now()
    message = _deliver()
    assert message.state == "deferred"
    assert message.attempts == 1
    assert message.due_at is not None
    assert timedelta(seconds=48) <= message.due_at - before <= timedelta(seconds=75)
    assert _states() == {"bob@example.com": "deferred"}
    assert Attempt.objects.get().error_class == "host"
    assert not server.taken


def test_a_host_that_is_down_stops_the_queue_after_three_failures() -> None:
    activate(a_config(1))  # nothing listens there
    queued(20)
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: not Message.objects.filter(state="sending").exists())
    assert Message.objects.filter(state="deferred").count() == 3
    assert Message.objects.filter(state="queued", attempts=0).count() == 17
    breaker = Breaker.objects.get()
    assert (breaker.error_class, breaker.reason) == ("host", "connection_refused")


def test_a_server_that_drips_ends_at_the_deadline(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"MAIL": Drip()})
    activate(a_config(server.port))
    assert _deliver().state == "deferred"


CONFIGURATION: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"AUTH": "535 5.7.8 Username and Password not accepted"}, {"login": True}, "535 5.7.8"),
    ({"AUTH": "534 5.7.9 Application-specific password required"}, {"login": True}, "534 5.7.9"),
    ({"EHLO": ehlo()}, {"login": True}, "no login"),
    ({"EHLO": ehlo("PIPELINING")}, {"security": "starttls"}, "PIPELINING"),
    ({"MAIL": "530 5.7.0 Authentication required"}, {}, "530 5.7.0"),
    ({"MAIL": "530 5.7.57 Client not authenticated to send mail"}, {}, "5.7.57"),
]


@pytest.mark.parametrize(("script", "options", "words"), CONFIGURATION, ids=lambda value: str(value)[:40])
def test_a_configuration_error_holds_the_queue_and_fails_nothing(
    scripted_smtp: Scripted, script: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    options = dict(options)
    if options.pop("login", False):
        options |= {"username": "ana", "password": "secret word"}
        script = {"EHLO": ehlo("AUTH PLAIN"), **script}
    server = scripted_smtp(script)
    activate(a_config(server.port, **options))
    queued(30)
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: Message.objects.filter(state="queued").count() == 30)
    assert {message.attempts for message in Message.objects.all()} == {0}
    breaker = Breaker.objects.get()
    assert breaker.error_class == "configuration"
    assert words in breaker.sentence
    if "AUTH" in script or options:
        assert server.connections == 1  # one try, not one for each connection or message


def test_a_refusal_of_all_mail_stops_also_what_is_claimed_and_not_loaded_yet(scripted_smtp: Scripted) -> None:
    refusal = "530 5.7.0 Authentication required"
    server = scripted_smtp({"MAIL": ["250 2.1.0 Ok"] * 20 + [refusal]})
    activate(a_config(server.port, max_connections=1))
    queued(500)  # one claim, of which some hundreds are loaded at a time
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: Message.objects.filter(state="queued", attempts=0).count() == 480)
    assert Message.objects.filter(state="sent").count() == 20
    assert sum(line.startswith("MAIL") for line in server.commands) == 21


def test_after_the_cause_is_gone_a_probe_frees_the_queue(scripted_smtp: Scripted, settings: Any) -> None:
    settings.RETRY_FIRST_S = 0.3
    refusals = ["535 5.7.8 No", "535 5.7.8 No", "235 2.7.0 Accepted"]
    server = scripted_smtp({"EHLO": ehlo("AUTH PLAIN"), "AUTH": refusals})
    activate(a_config(server.port, username="ana", password="secret word"))
    queued(20)
    with running():
        until(lambda: Message.objects.filter(state="sent").count() == 20)
    breaker = Breaker.objects.get()
    assert not breaker.is_open
    assert breaker.closed_at is not None
    assert sum(line.startswith("AUTH") for line in server.commands) >= 3


RATE = [
    {"EHLO": ehlo("AUTH PLAIN"), "AUTH": "454 4.7.0 Too many login attempts"},
    {".": "550 5.4.5 Daily user sending limit exceeded"},
    {".": "454 Throttling failure: Maximum sending rate exceeded"},
]


@pytest.mark.parametrize("script", RATE, ids=str)
def test_a_limit_makes_the_whole_queue_wait(scripted_smtp: Scripted, script: dict[str, Any]) -> None:
    server = scripted_smtp(script)
    login = {"username": "ana", "password": "secret word"} if "AUTH" in script else {}
    activate(a_config(server.port, **login))
    queued(10)
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: Message.objects.filter(state="queued").count() == 10)
    breaker = Breaker.objects.get()
    assert breaker.error_class == "rate"
    assert breaker.next_probe_at is not None
    assert breaker.next_probe_at > timezone.now() + timedelta(minutes=10)


def test_a_refused_sender_holds_only_its_own_mail(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"MAIL FROM:<old@acme.example>": "550 5.1.8 Sender address rejected"})
    activate(a_config(server.port, general={"sender_email": "old@acme.example"}))
    old = queued(5)
    activate(a_config(server.port, general={"sender_email": "new@acme.example"}))
    new = queued(5)
    with running():
        until(lambda: Message.objects.filter(pk__in=new, state="sent").count() == 5)
        until(lambda: Message.objects.filter(pk__in=old, state="queued").count() == 5)
    assert Breaker.objects.get(is_open=True).sender == "old@acme.example"
    assert {message.attempts for message in Message.objects.filter(pk__in=old)} == {0}


def test_probes_for_a_refused_sender_grow_rare_while_other_mail_leaves(scripted_smtp: Scripted, settings: Any) -> None:
    settings.RETRY_FIRST_S = 0.4  # so the probes come after 0.4, 2 and 6 seconds
    refusal = Delay(0.1, "550 5.1.8 Sender address rejected")
    server = scripted_smtp({"MAIL FROM:<old@acme.example>": refusal})
    activate(a_config(server.port, general={"sender_email": "old@acme.example"}))
    queued(2)
    activate(a_config(server.port, general={"sender_email": "new@acme.example"}))

    def third_failure() -> bool:
        queued(1)
        return Breaker.objects.filter(sender="old@acme.example", failures=3).exists()

    with running():
        until(third_failure)
    breaker = Breaker.objects.get(sender="old@acme.example")
    assert breaker.next_probe_at is not None
    assert breaker.next_probe_at - timezone.now() > timedelta(seconds=4)
    assert sum(line.startswith("MAIL FROM:<old") for line in server.commands) <= 4


@pytest.mark.parametrize("keywords", WAYS, ids=["plain", "pipelined", "chunked"])
def test_recipients_are_judged_apart(scripted_smtp: Scripted, keywords: tuple[str, ...]) -> None:
    server = scripted_smtp(
        {
            "RCPT TO:<gone@example.com>": "550 5.1.1 No such user",
            "RCPT TO:<full@example.com>": "452 4.2.2 Over quota",
        },
        keywords=keywords,
    )
    activate(a_config(server.port))
    message = _deliver("bob@example.com", "gone@example.com", "full@example.com")
    assert _states() == {"bob@example.com": "sent", "gone@example.com": "failed", "full@example.com": "deferred"}
    assert message.state == "deferred"
    gone = Recipient.objects.get(address="gone@example.com")
    assert (gone.code, gone.text) == (550, "550 5.1.1 No such user")
    assert server.taken[0].recipients == ["bob@example.com"]


def test_after_a_partial_success_only_the_others_are_tried_again(scripted_smtp: Scripted, settings: Any) -> None:
    settings.RETRY_FIRST_S = 0.2
    server = scripted_smtp({"RCPT TO:<grey@example.com>": ["451 4.7.1 Greylisted", "250 Ok"]})
    activate(a_config(server.port))
    submit([Submission(a_request("bob@example.com", "grey@example.com"))])
    with running():
        until(lambda: _message().state == "sent")
    assert [taken.recipients for taken in server.taken] == [["bob@example.com"], ["grey@example.com"]]
    assert set(_states().values()) == {"sent"}
    assert _message().attempts == 2


def test_all_recipients_gone_fails_the_message(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"RCPT": "550 5.1.1 No such user"})
    activate(a_config(server.port))
    message = _deliver("a@example.com", "b@example.com")
    assert (message.state, message.due_at) == ("failed", None)
    assert set(_states().values()) == {"failed"}


def test_some_sent_and_some_failed_is_partly_sent(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"RCPT TO:<gone@example.com>": "550 5.1.1 No such user"})
    activate(a_config(server.port))
    assert _deliver("bob@example.com", "gone@example.com").state == "partial"


def test_too_many_recipients_are_sent_in_a_second_transaction_at_once(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"RCPT TO:<c@example.com>": ["452 4.5.3 Too many recipients", "250 Ok"]})
    activate(a_config(server.port))
    message = _deliver("a@example.com", "b@example.com", "c@example.com")
    assert message.state == "sent"
    assert [taken.recipients for taken in server.taken] == [["a@example.com", "b@example.com"], ["c@example.com"]]


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ({"DATA": "451 4.3.0 Later"}, "deferred"),
        ({".": "451 4.3.0 Later"}, "deferred"),
        ({"DATA": "554 5.7.1 No"}, "failed"),
        ({".": "552 5.3.4 Too big"}, "failed"),
        ({".": "554 5.6.0 Spam"}, "failed"),
        ({".": "550 5.7.1 Refused by policy"}, "failed"),
        ({"EHLO": ehlo("SIZE 100")}, "failed"),
        ({".": "251 Forwarded"}, "sent"),
        ({".": "250 2.0.0 Ok"}, "sent"),
    ],
    ids=str,
)
@pytest.mark.parametrize("keywords", WAYS, ids=["plain", "pipelined", "chunked"])
def test_the_answer_to_the_data_decides(
    scripted_smtp: Scripted, script: dict[str, Any], state: str, keywords: tuple[str, ...]
) -> None:
    server = scripted_smtp(in_its_way(script, keywords), keywords=keywords)
    activate(a_config(server.port))
    assert _deliver().state == state
    assert not Breaker.objects.filter(is_open=True).exists()


@pytest.mark.parametrize("keywords", WAYS[1:], ids=["pipelined", "chunked"])
def test_a_refusal_in_mid_pipeline_belongs_to_its_own_message(
    scripted_smtp: Scripted, keywords: tuple[str, ...]
) -> None:
    server = scripted_smtp({"RCPT TO:<user7@example.com>": "550 5.1.1 No such user"}, keywords=keywords)
    activate(a_config(server.port, max_connections=1))
    ids = queued(20)
    with running():
        until(lambda: not Message.objects.exclude(state__in=("sent", "failed")).exists())
    assert [message.pk for message in Message.objects.filter(state="failed")] == [ids[7]]
    assert sum(bool(taken.recipients) for taken in server.taken) == 19


CHUNKED = ("PIPELINING", "CHUNKING")


def test_what_a_server_took_before_it_went_down_in_mid_window_is_sent_and_only_one_message_is_to_blame(
    scripted_smtp: Scripted,
) -> None:
    """The third stood behind the one that met the failure; the fourth, too large to stand with others, was drawn."""
    server = scripted_smtp({".": ["250 Ok", "421 4.3.0 Going down", "250 Ok"]}, keywords=CHUNKED)
    activate(a_config(server.port, max_connections=1))
    ids = queued(3)
    ids += [one.id for one in submit([Submission(a_request(text="All work and no play\n" * 20_000))])]
    ids += queued(3)
    with running():
        until(lambda: Message.objects.filter(state="sent").count() == 6)
    blamed = Message.objects.get(state="deferred")
    assert blamed.pk == ids[1]
    assert [attempt.message_id for attempt in Attempt.objects.filter(error_class="host")] == [ids[1]]
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


def test_a_limit_in_mid_window_makes_the_queue_wait_and_counts_for_no_message(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({".": ["250 Ok", "550 5.4.5 Daily user sending limit exceeded"]}, keywords=CHUNKED)
    activate(a_config(server.port, max_connections=1))
    queued(10)
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: Message.objects.filter(state="queued").count() == 9)
    assert set(Message.objects.filter(state="queued").values_list("attempts", flat=True)) == {0}
    assert Breaker.objects.get().error_class == "rate"


def test_what_was_in_flight_when_the_connection_broke_is_in_doubt_and_the_rest_goes_on(
    scripted_smtp: Scripted,
) -> None:
    server = scripted_smtp({".": ["250 Ok", TakeThenDrop(), "250 Ok"]}, keywords=CHUNKED)
    activate(a_config(server.port, max_connections=1))
    ids = queued(12)
    with running():
        until(lambda: not Message.objects.filter(state__in=("queued", "sending")).exists())
    doubted = [message.pk for message in Message.objects.filter(state="in_doubt").order_by("pk")]
    assert doubted in (ids[1:4], ids[1:5])  # five: it left between the first two answers
    assert Message.objects.filter(state="sent").count() == 12 - len(doubted)
    assert not Breaker.objects.filter(is_open=True).exists()


DOUBTS = [
    {".": TakeThenDrop()},
    {".": b"\xff\xfe nonsense\r\n"},
    {".": "354 Go on"},
    {".": Silence()},
]


@pytest.mark.parametrize("script", DOUBTS, ids=str)
@pytest.mark.parametrize(
    ("policy", "keywords"), [("retry", ()), ("hold", ()), ("retry", CHUNKED)], ids=["retry", "hold", "chunked"]
)
def test_without_an_answer_after_the_dot_a_message_is_in_doubt(
    scripted_smtp: Scripted, settings: Any, script: dict[str, Any], policy: str, keywords: tuple[str, ...]
) -> None:
    settings.IN_DOUBT = policy
    server = scripted_smtp(script, keywords=keywords)
    activate(a_config(server.port))
    message = _deliver()
    assert message.state == "in_doubt"
    assert message.doubts == 1
    assert (message.due_at is not None) == (policy == "retry")
    assert _states() == {"bob@example.com": "in_doubt"}
    assert Attempt.objects.get().error_class == "in_doubt"


def test_a_message_in_doubt_is_repeated_with_its_message_id_and_at_most_three_copies(
    scripted_smtp: Scripted, settings: Any
) -> None:
    settings.RETRY_FIRST_S = 0.05
    server = scripted_smtp({".": TakeThenDrop()})
    activate(a_config(server.port))
    submit([Submission(a_request())])
    with running():
        until(lambda: _message().doubts == 3)
        until(lambda: _message().state == "in_doubt")
    assert _message().due_at is None
    assert len(server.taken) == 3
    for copy in server.taken:
        assert _message().message_id.encode() in copy.data


def test_soft_failures_become_final_after_five_days(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"RCPT": "451 4.3.0 Later"})
    activate(a_config(server.port))
    queued(1)
    Message.objects.update(expires_at=timezone.now() + timedelta(seconds=10))
    with running():
        until(lambda: _message().state == "failed")
    assert _message().cause == "expired"


def _sendgrid(server: SendGridServer, settings: Any) -> None:
    settings.SENDGRID_API_URL = server.url
    activate(a_sendgrid_config())


def test_mail_leaves_through_sendgrid(sendgrid_server: SendGridServer, settings: Any) -> None:
    _sendgrid(sendgrid_server, settings)
    message = _deliver()
    assert message.state == "sent"
    assert Attempt.objects.get().provider_id == "sg-0001"
    assert sendgrid_server.sent[0]["personalizations"][0]["to"] == [{"email": "bob@example.com"}]


def test_a_queue_leaves_through_many_sendgrid_sessions_once(sendgrid_server: SendGridServer, settings: Any) -> None:
    """These sessions block, so each delivers in a thread of its own and takes from what all share."""
    _sendgrid(sendgrid_server, settings)
    queued(150)
    with running():
        until(lambda: Message.objects.filter(state="sent").count() == 150)
    addresses = [one["personalizations"][0]["to"][0]["email"] for one in sendgrid_server.sent]
    assert sorted(addresses) == sorted(f"user{n}@example.com" for n in range(150))
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


def test_an_activation_while_sendgrid_answers_waits_for_the_answer(
    sendgrid_server: SendGridServer, scripted_smtp: Scripted, settings: Any
) -> None:
    _sendgrid(sendgrid_server, settings)
    queued(150)
    server = scripted_smtp(keywords=("PIPELINING",))
    with running():
        until(lambda: len(sendgrid_server.sent) >= 10)
        activate(a_config(server.port))
        until(lambda: Message.objects.filter(state="sent").count() == 150)
    assert len(sendgrid_server.sent) + len(server.taken) == 150
    assert server.taken
    assert not Message.objects.filter(doubts__gt=0).exists()


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [
        (refusal(401, "The provided authorization grant is invalid, expired, or revoked"), "configuration"),
        (refusal(403, "access forbidden"), "configuration"),
        (refusal(401, "Maximum credits exceeded"), "rate"),
        (refusal(429, "too many requests", {"Retry-After": "120"}), "rate"),
        (refusal(404, "not found"), "defect"),
        (refusal(405, "method not allowed"), "defect"),
        (refusal(406, "not acceptable"), "defect"),
        (refusal(415, "unsupported media type"), "defect"),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_what_concerns_all_mail_through_sendgrid_holds_the_queue(
    sendgrid_server: SendGridServer, settings: Any, answer: Answer, error_class: str
) -> None:
    _sendgrid(sendgrid_server, settings)
    sendgrid_server.next_answers = [answer] * 50
    queued(12)
    with running():
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        until(lambda: Message.objects.filter(state="queued").count() == 12)
    breaker = Breaker.objects.get()
    assert breaker.error_class == error_class
    assert breaker.next_probe_at is not None
    if answer.headers:
        assert timedelta(seconds=100) < breaker.next_probe_at - timezone.now() <= timedelta(seconds=120)


@pytest.mark.parametrize(("status", "state"), [(400, "failed"), (413, "failed"), (500, "in_doubt"), (503, "in_doubt")])
def test_what_concerns_one_mail_through_sendgrid_does_not(
    sendgrid_server: SendGridServer, settings: Any, status: int, state: str
) -> None:
    _sendgrid(sendgrid_server, settings)
    sendgrid_server.next_answers = [refusal(status, "no")]
    assert _deliver().state == state
    assert not Breaker.objects.filter(is_open=True).exists()


def test_sendgrid_that_does_not_answer_leaves_the_mail_in_doubt(settings: Any) -> None:
    settings.ATTEMPT_DEADLINE_S = 1.0

    def silent_after_the_request(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            if data.startswith(b"GET"):
                body = b'{"scopes": ["mail.send"]}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with RawServer(silent_after_the_request) as server:
        settings.SENDGRID_API_URL = f"http://127.0.0.1:{server.port}"
        activate(a_sendgrid_config())
        assert _deliver().state == "in_doubt"
