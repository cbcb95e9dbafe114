"""Before a test, SendGrid is asked whether it knows the sender; real mail does not ask."""

import pytest
from pydantic import SecretStr

from emailcfg.providers.base import Mail, SessionError, Stage, Step
from emailcfg.providers.sendgrid import SendGridSession
from emailcfg.schema import SendGrid
from tests.emailcfg.providers.conftest import deliver, opened
from tests.servers.sendgrid import KEY, Answer, SendGridServer, refusal

LISTS = ["GET /v3/verified_senders", "GET /v3/whitelabel/domains"]
Found = dict[str, bool] | None


def mail(number: int = 1) -> Mail:
    content = b"From: from@example.com\r\nTo: to@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"
    return Mail(number, "from@example.com", ("to@example.org",), content)


def session_with(server: SendGridServer) -> SendGridSession:
    return SendGridSession(SendGrid(enabled=True, api_key=SecretStr(KEY)), api_url=server.url, deadline_s=5)


def sender_step(server: SendGridServer) -> Step:
    """The SENDER step of a watched delivery from from@example.com, which is then accepted."""
    session = session_with(server)
    opened(session)
    server.requests.clear()
    steps: list[Step] = []
    record = deliver(session, [mail()], steps.append)
    assert record.results[0].failure is None
    assert steps[0].stage is Stage.SENDER
    return steps[0]


@pytest.mark.parametrize(
    ("senders", "domains", "ok", "words"),
    [
        ({"From@Example.com": True}, {}, True, "is a verified sender"),
        ({}, {"example.com": True}, True, "example.com is an authenticated domain"),
        (None, {"example.com": True}, True, "example.com is an authenticated domain"),
        ({"other@example.org": True}, {"acme.example": True}, None, "Verified are: other@example.org, acme.example."),
        ({}, {}, None, "The account has verified none."),
        ({"from@example.com": False}, {}, None, "is not yet a verified sender"),
        ({}, {"example.com": False}, None, "is not yet a verified sender"),
        (None, None, None, "could not be told"),
        ({}, None, None, "could not be told"),
        (None, {}, None, "could not be told"),
        ({}, {f"d{n}.example": True for n in range(30)}, None, "could not be told"),  # more than one page
        ({f"{n}@d.example": True for n in range(60)}, {}, None, "could not be told"),
    ],
)
def test_a_watched_mail_tells_what_is_known_of_its_sender_and_is_sent(
    senders: Found, domains: Found, ok: bool | None, words: str, sendgrid_server: SendGridServer
) -> None:
    sendgrid_server.senders, sendgrid_server.domains = senders, domains
    step = sender_step(sendgrid_server)
    assert step.ok is ok
    assert words in step.detail
    assert len(sendgrid_server.sent) == 1


def test_the_domain_above_the_senders_may_vouch_for_it_so_nothing_is_claimed(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.senders, sendgrid_server.domains = {}, {"com": True}
    assert "could not be told" in sender_step(sendgrid_server).detail


def test_a_dry_run_fails_for_a_sender_that_is_in_neither_list(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.senders, sendgrid_server.domains = {"news@example.com": True}, {"acme.example": True}
    session = session_with(sendgrid_server)
    session.open()
    steps: list[Step] = []
    with pytest.raises(SessionError) as caught:
        session.probe(mail(), steps.append)
    session.close()
    assert (caught.value.failure.stage, caught.value.failure.reason) == (Stage.SENDER, "sender_not_verified")
    assert steps[-1].facts["verified_senders"] == ["news@example.com"]
    assert steps[-1].facts["authenticated_domains"] == ["acme.example"]
    assert "POST /v3/mail/send" not in sendgrid_server.requests


def test_a_dry_run_goes_on_where_the_key_may_not_read_the_lists(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.next_answers = [Answer(200, {})]
    session = session_with(sendgrid_server)
    session.open()
    steps: list[Step] = []
    session.probe(mail(), steps.append)
    session.close()
    assert [(step.stage, step.ok) for step in steps] == [
        (Stage.SENDER, None),
        (Stage.RECIPIENT, None),
        (Stage.DATA, True),
    ]


def test_mail_that_nobody_watches_asks_nothing(sendgrid_server: SendGridServer) -> None:
    session = session_with(sendgrid_server)
    opened(session)
    deliver(session, [mail(1), mail(2)])
    assert sendgrid_server.requests == ["GET /v3/scopes", "POST /v3/mail/send", "POST /v3/mail/send"]


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, "The provided authorization grant is invalid"),
        refusal(404, "not found"),
        refusal(500, "internal"),
        Answer(200, b"<html>"),
        Answer(200, b"[" * 60000),
        Answer(200, b" " * 70000),
        Answer(200, {"results": "none"}),
        Answer(200, [1, {"domain": 7, "valid": "yes"}, None]),
    ],
    ids=["401", "404", "500", "html", "nested", "huge", "wrong-type", "odd-rows"],
)
def test_whatever_the_lists_answer_the_mail_is_sent(answer: Answer, sendgrid_server: SendGridServer) -> None:
    sendgrid_server.lists_answer = answer
    assert sender_step(sendgrid_server).ok is None
    assert sendgrid_server.requests == [*LISTS, "POST /v3/mail/send"]


def test_a_list_that_repeats_the_key_is_kept_without_it(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.senders, sendgrid_server.domains = {f"{KEY}@example.org": True}, {KEY.upper(): True}
    step = sender_step(sendgrid_server)
    assert "[removed]" in step.detail
    assert KEY.lower() not in f"{step.detail} {step.facts}".lower()
