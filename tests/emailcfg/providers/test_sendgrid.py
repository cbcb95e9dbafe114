"""SendGrid's API over real HTTP: the key, the payload, and each answer's meaning for the queue."""

import base64
import socket
import ssl
import time
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from pydantic import SecretStr

from emailcfg.providers.base import ErrorClass, Mail, SessionError, Stage, Step
from emailcfg.providers.sendgrid import SendGridSession
from emailcfg.schema import SendGrid
from tests.emailcfg.providers.conftest import deliver, mail, opened
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.sendgrid import KEY, Answer, SendGridServer, refusal


def session_with(server: SendGridServer, key: str = KEY, *, click_tracking: bool = False) -> SendGridSession:
    config = SendGrid(enabled=True, api_key=SecretStr(key), click_tracking=click_tracking)
    return SendGridSession(config, api_url=server.url, deadline_s=5)


def rich_mail() -> Mail:
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["From"] = "Grüße GmbH <hello@example.com>"
    message["To"] = "Ada <ada@example.org>"
    message["Reply-To"] = "Token <t0ken@reply.example.com>"
    message["Subject"] = "Bitte bestätigen ✓"
    message["Message-ID"] = "<abc@example.com>"
    message["List-Unsubscribe"] = "<https://example.com/u>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("Grüße\n.dot\n")
    message.add_alternative("<p>Grüße</p>\n", subtype="html")
    message.add_attachment(b"\x00PDF", maintype="application", subtype="pdf", filename="rechnung.pdf")
    message.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="data.csv")
    return Mail(7, "hello@example.com", ("ada@example.org", "bob@example.org"), message.as_bytes())


def test_the_payload_says_what_the_mail_says(sendgrid_server: SendGridServer) -> None:
    session = session_with(sendgrid_server)
    steps = opened(session)
    assert [(step.stage, step.ok) for step in steps] == [
        (Stage.RESOLVE, True),
        (Stage.CONNECT, True),
        (Stage.TLS, None),
        (Stage.KEY, True),
    ]
    assert steps[-1].facts["scopes"] == ["mail.send", "sender_verification_eligible"]
    record = deliver(session, [rich_mail()])
    assert record.entered == [7]
    assert record.results[0].failure is None
    assert record.results[0].provider_id == "sg-0001"
    assert record.results[0].reply is not None
    assert record.results[0].reply.code == 202
    (sent,) = sendgrid_server.sent
    assert sent["from"] == {"email": "hello@example.com", "name": "Grüße GmbH"}
    assert sent["reply_to"] == {"email": "t0ken@reply.example.com", "name": "Token"}
    assert sent["subject"] == "Bitte bestätigen ✓"
    assert sent["personalizations"] == [
        {"to": [{"email": "ada@example.org", "name": "Ada"}]},
        {"to": [{"email": "bob@example.org"}]},
    ]
    assert sent["content"] == [
        {"type": "text/plain", "value": "Grüße\n.dot\n"},
        {"type": "text/html", "value": "<p>Grüße</p>\n"},
    ]
    assert [(part["filename"], base64.b64decode(part["content"])) for part in sent["attachments"]] == [
        ("rechnung.pdf", b"\x00PDF"),
        ("data.csv", b"a,b\n"),
    ]
    assert sent["headers"] == {
        "Message-ID": "<abc@example.com>",
        "List-Unsubscribe": "<https://example.com/u>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
    }
    assert sent["tracking_settings"] == {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
    }


@pytest.mark.parametrize("lines", [1, 10_000], ids=["small", "large"])
def test_a_mail_that_starts_with_a_key_fails_alone(sendgrid_server: SendGridServer, lines: int) -> None:
    text = "A line of a mail.\r\n" * lines
    mails = [
        mail(1, content=f"From: a@example.com\r\n\r\n{KEY}\r\n{text}".encode()),
        mail(2, content=f"From: a@example.com\r\n\r\n{text}".encode()),
    ]
    session = session_with(sendgrid_server)
    opened(session)
    record = deliver(session, mails)
    assert [result.failure and result.failure.reason for result in record.results] == ["api_key_in_content", None]
    assert record.entered == [2]
    (sent,) = sendgrid_server.sent
    assert sent["content"] == [{"type": "text/plain", "value": text.replace("\r\n", "\n")}]


def test_what_the_api_refuses_empty_is_handed_over_as_a_space(sendgrid_server: SendGridServer) -> None:
    """Mail may have neither subject nor text (RFC 5322); the API's schema asks for one character of each."""
    content = b"From: hello@example.com\r\nTo: ada@example.org\r\nSubject: \r\n\r\n"
    session = session_with(sendgrid_server)
    opened(session)
    record = deliver(session, [Mail(8, "hello@example.com", ("ada@example.org",), content)])
    assert record.results[0].failure is None
    (sent,) = sendgrid_server.sent
    assert (sent["subject"], sent["content"]) == (" ", [{"type": "text/plain", "value": " "}])


@pytest.mark.parametrize(
    ("answer", "error_class", "reason", "goes_on"),
    [
        (refusal(401, "The provided authorization grant is invalid"), ErrorClass.CONFIGURATION, "key_refused", False),
        (refusal(401, "Maximum credits exceeded"), ErrorClass.RATE, "quota_exceeded", False),
        (
            refusal(401, "Authenticated user is not authorized to send mail"),
            ErrorClass.CONFIGURATION,
            "key_not_permitted",
            False,
        ),
        (refusal(403, "access forbidden"), ErrorClass.CONFIGURATION, "key_not_permitted", False),
        (
            refusal(403, "The from address does not match a verified Sender Identity."),
            ErrorClass.SENDER,
            "sender_not_verified",
            True,
        ),
        (refusal(429, "too many requests"), ErrorClass.RATE, "rate_limited", False),
        (refusal(400, "Bad Request"), ErrorClass.MESSAGE_HARD, "message_refused", True),
        (refusal(413, "Payload too large"), ErrorClass.MESSAGE_HARD, "too_big", True),
        (refusal(404, "not found"), ErrorClass.DEFECT, "request_refused", False),
        (refusal(405, "method not allowed"), ErrorClass.DEFECT, "request_refused", False),
        (refusal(406, "missing accept"), ErrorClass.DEFECT, "request_refused", False),
        (refusal(415, "unsupported media type"), ErrorClass.DEFECT, "request_refused", False),
        (refusal(500, "internal"), ErrorClass.IN_DOUBT, "server_error", False),
        (Answer(503, b"<html>down</html>"), ErrorClass.IN_DOUBT, "server_error", False),
        (Answer(200, b"<html>Welcome to the hotel</html>"), ErrorClass.IN_DOUBT, "unexpected_reply", False),
        (Answer(302, b"", {"Location": "http://127.0.0.1:9/"}), ErrorClass.CONFIGURATION, "redirected", False),
        (Answer(400, b"[" * 60000), ErrorClass.MESSAGE_HARD, "message_refused", True),
    ],
)
def test_each_answer_has_its_class(
    sendgrid_server: SendGridServer, answer: Answer, error_class: ErrorClass, reason: str, goes_on: bool
) -> None:
    session = session_with(sendgrid_server)
    session.open()
    sendgrid_server.next_answers.append(answer)
    record = deliver(session, [mail(1, content=rich_mail().content), mail(2, content=rich_mail().content)])
    failure = record.results[0].failure
    assert failure is not None
    assert (failure.error_class, failure.reason) == (error_class, reason)
    assert failure.reply is not None
    assert failure.reply.code == answer.status
    assert len(failure.reply.text) <= 1024
    assert (record.error is None) is goes_on
    assert len(sendgrid_server.sent) == (1 if goes_on else 0)


def test_a_limit_says_how_long_to_wait(sendgrid_server: SendGridServer) -> None:
    def waits(headers: dict[str, str]) -> float | None:
        session = session_with(sendgrid_server)
        session.open()
        sendgrid_server.next_answers.append(refusal(429, "too many requests", headers))
        failure = deliver(session, [rich_mail()]).results[0].failure
        assert failure is not None
        return failure.retry_after_s

    assert waits({"Retry-After": "120"}) == 120
    reset = waits({"X-RateLimit-Reset": str(int(time.time()) + 600)})
    assert reset is not None
    assert 500 < reset <= 600
    assert waits({}) is None


@pytest.mark.parametrize(
    ("key", "scopes_answer", "ok", "reason"),
    [
        ("SG.unknown-unknown-unknown.x", None, False, "key_refused"),
        ("SG.reader", None, False, "scope_missing"),
        (KEY, refusal(403, "access forbidden"), None, ""),
        (KEY, Answer(404, b"nothing here"), None, ""),
        (KEY, refusal(500, "internal"), False, "server_error"),
        (KEY, Answer(200, b"<html>"), False, "unexpected_reply"),
        (KEY, Answer(200, b"[" * 60000), False, "unexpected_reply"),
    ],
)
def test_the_key_is_looked_at_when_the_session_opens(
    sendgrid_server: SendGridServer, key: str, scopes_answer: Answer | None, ok: bool | None, reason: str
) -> None:
    sendgrid_server.keys["SG.reader"] = ["stats.read"]
    sendgrid_server.scopes_answer = scopes_answer
    config = SendGrid.model_construct(enabled=True, api_key=SecretStr(key), region="global", click_tracking=False)
    session = SendGridSession(config, api_url=sendgrid_server.url, deadline_s=5)
    step = opened(session)[-1]
    session.close()
    assert (step.stage, step.ok) == (Stage.KEY, ok)
    assert (step.failure.reason if step.failure else "") == reason
    if reason == "scope_missing":
        assert step.facts["scopes"] == ["stats.read"]


def test_an_answer_that_repeats_the_key_is_shown_without_it(sendgrid_server: SendGridServer) -> None:
    session = session_with(sendgrid_server)
    session.open()
    sendgrid_server.next_answers.append(refusal(400, f"Bad header Authorization: Bearer {KEY}\r\nnext"))
    failure = deliver(session, [rich_mail()]).results[0].failure
    assert failure is not None
    assert KEY not in failure.words
    assert failure.words == "400 Bad header Authorization: Bearer [removed]\\x0d\\x0anext"
    assert KEY not in repr(session)


def test_scopes_that_repeat_the_key_are_shown_without_it(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.scopes_answer = Answer(200, {"scopes": ["mail.send", f"Bearer {KEY}", "x" * 60 + KEY]})
    session = session_with(sendgrid_server)
    steps = opened(session)
    session.close()
    assert steps[-1].ok
    assert KEY[:40] not in repr(steps)


def test_a_key_that_no_header_can_carry_is_not_repeated(sendgrid_server: SendGridServer) -> None:
    config = SendGrid(enabled=True, api_key=SecretStr(KEY)).model_copy(update={"api_key": SecretStr(KEY + "\n")})
    session = SendGridSession(config, api_url=sendgrid_server.url, deadline_s=5)
    steps: list[Step] = []
    with pytest.raises(SessionError) as caught:
        session.open(steps.append)
    assert KEY not in repr(caught.value.failure)
    assert KEY not in repr(steps)


def test_a_probe_sends_nothing(sendgrid_server: SendGridServer) -> None:
    session = session_with(sendgrid_server)
    session.open()
    steps: list[Step] = []
    sendgrid_server.next_answers.append(Answer(200, b""))
    session.probe(rich_mail(), steps.append)
    session.close()
    assert [(step.stage, step.ok) for step in steps] == [
        (Stage.SENDER, None),
        (Stage.RECIPIENT, None),
        (Stage.DATA, True),
    ]
    assert sendgrid_server.sent == []


def _raw_api(after_request: bytes, *, silent: bool = False, tls: ssl.SSLContext | None = None) -> RawServer:
    """Answers the scopes properly, and mail/send with raw bytes and the end of the connection, or with silence."""
    scopes = b'{"scopes": ["mail.send"]}'

    def handle(connection: socket.socket) -> None:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline().strip().lower()) != b"":
                    if header.startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                stream.read(length)
                if line.startswith(b"GET"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(scopes), scopes))
                    continue
                connection.sendall(after_request)
                if silent:
                    server.stopping.wait()
                return

    server = RawServer(handle)
    return server


def test_https_is_verified_by_name_and_by_the_trust_file(authority: TestAuthority, tmp_path: Path) -> None:
    trust = tmp_path / "ca.pem"
    trust.write_text(authority.pem)
    config = SendGrid(enabled=True, api_key=SecretStr(KEY))
    accepted = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m-1\r\nContent-Length: 0\r\n\r\n"
    with _raw_api(accepted, tls=authority.server_context("localhost")) as server:

        def session(host: str, trust_file: str | None) -> SendGridSession:
            url = f"https://{host}:{server.port}"
            return SendGridSession(config, api_url=url, deadline_s=5, trust_file=trust_file)

        good = session("localhost", str(trust))
        steps = {step.stage: step for step in opened(good)}
        assert steps[Stage.TLS].facts["version"] == good.tls == "TLSv1.3"
        assert deliver(good, [rich_mail()]).results[0].provider_id == "m-1"
        reasons = []
        for host, trust_file in [("localhost", None), ("127.0.0.1", str(trust)), ("localhost", str(tmp_path / "no"))]:
            failure = opened(session(host, trust_file))[-1].failure
            assert failure is not None
            assert (failure.stage, failure.error_class) == (Stage.TLS, ErrorClass.CONFIGURATION)
            reasons.append(failure.reason)
    assert reasons[0] in ("certificate_unknown_issuer", "certificate_self_signed")
    assert reasons[1:] == ["certificate_wrong_name", "trust_unreadable"]


@pytest.mark.parametrize(
    ("bytes_back", "silent"),
    [(b"", False), (b"", True), (b"SSH-2.0-OpenSSH\r\n\r\n", False), (b"HTTP/1.1 2", False)],
    ids=["drop", "silence", "garbage", "cut short"],
)
def test_no_readable_answer_leaves_the_mail_in_doubt(bytes_back: bytes, silent: bool) -> None:
    with _raw_api(bytes_back, silent=silent) as server:
        config = SendGrid(enabled=True, api_key=SecretStr(KEY))
        session = SendGridSession(config, api_url=f"http://127.0.0.1:{server.port}", deadline_s=1)
        session.open()
        record = deliver(session, [rich_mail(), mail(8, content=rich_mail().content)])
    assert record.entered == [7]
    assert [result.mail.id for result in record.results] == [7]
    failure = record.results[0].failure
    assert failure is not None
    assert failure.error_class is ErrorClass.IN_DOUBT
    assert record.error is not None
    assert record.error.failure.error_class is ErrorClass.HOST


@pytest.mark.parametrize(
    ("after_the_head", "silent"),
    [
        (b"Content-Length: 10\r\n\r\n", True),
        (b"Content-Length: 10\r\n\r\nOk", False),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", False),
        (b"\r\n" + b"x" * 1_000_000, True),
    ],
    ids=["silence", "cut short", "garbage", "without end"],
)
def test_a_status_that_was_read_counts_whatever_becomes_of_the_body(after_the_head: bytes, silent: bool) -> None:
    head = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: m-1\r\n"
    with _raw_api(head + after_the_head, silent=silent) as server:
        config = SendGrid(enabled=True, api_key=SecretStr(KEY))
        session = SendGridSession(config, api_url=f"http://127.0.0.1:{server.port}", deadline_s=1)
        session.open()
        record = deliver(session, [rich_mail(), mail(8, content=rich_mail().content)])  # each over its own connection
        session.close()
    assert [result.failure for result in record.results] == [None, None]
    assert {result.provider_id for result in record.results} == {"m-1"}
    assert record.error is None


def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"X")
            if server.stopping.wait(0.02):
                return

    with RawServer(drip) as server:
        config = SendGrid(enabled=True, api_key=SecretStr(KEY))
        session = SendGridSession(config, api_url=f"http://127.0.0.1:{server.port}", deadline_s=0.3)
        with pytest.raises(SessionError) as raised:
            session.open()
    assert raised.value.failure.stage is Stage.KEY
    assert raised.value.failure.reason == "timed_out"


def test_a_connection_the_server_closed_while_idle_is_made_again(sendgrid_server: SendGridServer) -> None:
    session = session_with(sendgrid_server)
    session.open()
    sendgrid_server.next_answers.append(Answer(202, b"", {"Connection": "close", "X-Message-Id": "last"}))
    record = deliver(session, [rich_mail(), rich_mail()])
    assert [result.failure for result in record.results] == [None, None]
    assert [result.provider_id for result in record.results] == ["last", "sg-0001"]


def test_a_refused_connection_is_the_hosts() -> None:
    with RawServer(lambda connection: None) as server:
        port = server.port
    session = SendGridSession(
        SendGrid(enabled=True, api_key=SecretStr(KEY)), api_url=f"http://127.0.0.1:{port}", deadline_s=2
    )
    with pytest.raises(SessionError) as raised:
        session.open()
    assert (raised.value.failure.stage, raised.value.failure.reason) == (Stage.CONNECT, "connection_refused")
    assert raised.value.failure.error_class is ErrorClass.HOST
