"""Every rule through real sockets: servers that answer exactly so, reached by the sessions that carry real mail."""

import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from emailcfg.diagnosis.explain import Context, Explanation, explain, learnt_from
from emailcfg.diagnosis.ladder import State, climb
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import Failure, Mail, Result, Session, SessionError, Stage, Step
from emailcfg.providers.sendgrid import SendGridSession
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import SendGrid, Smtp
from tests.emailcfg.diagnosis import samples
from tests.emailcfg.diagnosis.samples import Sample
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Action, Drip, Drop, ScriptedSmtp, Silence, TakeThenDrop
from tests.servers.sendgrid import KEY, Answer, SendGridServer, refusal

Scripted = Callable[..., ScriptedSmtp]
ANY = NetworkPolicy(ports=None)
CONTENT = b"From: news@example.com\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"


def failure_of(session: Session, *, to: str = "bob@example.org") -> tuple[Failure, list[Step]]:
    """Opens, delivers one mail, and returns the first failure with all steps."""
    steps: list[Step] = []
    results: list[Result] = []
    mail = Mail(1, "news@example.com", (to,), CONTENT)
    try:
        session.open(steps.append)
        session.deliver([mail], before_data=lambda mail: None, on_result=results.append, observer=steps.append)
    except SessionError as error:
        if not results:
            return error.failure, steps
    finally:
        session.close()
    (result,) = results
    failure = result.recipients[0].failure or result.failure
    assert failure is not None, "the server refused nothing"
    return failure, steps


def steps_of(session: Session) -> list[Step]:
    """Opens and delivers one mail, which the server takes; the steps."""
    steps: list[Step] = []
    results: list[Result] = []
    session.open(steps.append)
    mail = Mail(1, "news@example.com", ("bob@example.org",), CONTENT)
    session.deliver([mail], before_data=lambda mail: None, on_result=results.append, observer=steps.append)
    session.close()
    assert results[0].failure is None
    assert results[0].recipients[0].failure is None
    return steps


def smtp(port: int, **more: Any) -> Smtp:
    given = {"host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 1}
    return Smtp.model_validate({**given, **more})


def explained(settings: Smtp, *, policy: NetworkPolicy = ANY, to: str = "bob@example.org", **more: Any) -> Explanation:
    failure, steps = failure_of(SmtpSession(settings, policy=policy, **more), to=to)
    context = Context(
        provider="smtp",
        host=settings.host,
        port=settings.port,
        sender="news@example.com",
        recipient=to,
        learnt=learnt_from(steps),
    )
    return explain(failure, context=context)


@pytest.mark.parametrize("sample", samples.SMTP, ids=lambda sample: f"{sample.rule}-{sample.reply[:9]}")
def test_a_servers_reply_is_explained_by_its_own_rule(sample: Sample, scripted_smtp: Scripted) -> None:
    server = scripted_smtp({sample.key: sample.reply}, keywords=["AUTH PLAIN LOGIN", "STARTTLS"])
    login = {"username": "ana", "password": SecretStr("hunter2-secret")} if sample.stage is Stage.LOGIN else {}
    security = "starttls" if sample.stage is Stage.TLS else "none"
    failure, steps = failure_of(SmtpSession(smtp(server.port, security=security, **login), policy=ANY))
    given = {"host": "mail.example.com", **sample.context}
    told = explain(failure, context=Context(provider="smtp", learnt=learnt_from(steps), **given))  # type: ignore[arg-type]
    assert told.code == sample.rule
    assert told.words == sample.reply


@pytest.mark.parametrize(("rule", "stage", "status", "message"), [row for row in samples.HTTP if row[2] != 202])
def test_an_answer_of_sendgrid_is_explained_by_its_own_rule(
    rule: str, stage: Stage, status: int, message: str, sendgrid_server: SendGridServer
) -> None:
    failure = refused_by(sendgrid_server, stage, status, message)
    assert explain(failure, context=Context(provider="sendgrid", host="api.sendgrid.com")).code == rule


def refused_by(server: SendGridServer, stage: Stage, status: int, message: str) -> Failure:
    """The failure of a session with a SendGrid that answers so."""
    if stage is Stage.KEY:
        server.scopes_answer = refusal(status, message)
    else:
        server.next_answers = [refusal(status, message)]
    session = sendgrid(server.url)
    if status < 500:
        return failure_of(session)[0]
    session.open()  # a real mail would be in doubt; the check of its form is not
    with pytest.raises(SessionError) as caught:
        session.probe(Mail(1, "news@example.com", ("bob@example.org",), CONTENT))
    session.close()
    return caught.value.failure


def test_what_sendgrid_takes_is_accepted_and_not_called_delivered(sendgrid_server: SendGridServer) -> None:
    ladder = climb(steps_of(sendgrid(sendgrid_server.url)), mode="sendgrid", finished=True)
    assert ladder.ok is True
    assert "accepted is not yet delivered" in ladder.summary


def sendgrid(url: str, **more: Any) -> SendGridSession:
    return SendGridSession(SendGrid(enabled=True, api_key=SecretStr(KEY)), api_url=url, deadline_s=5, **more)


def test_a_5xx_of_sendgrid_after_a_mail_went_out_leaves_it_in_doubt(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.next_answers = [Answer(503, {})]
    failure, _ = failure_of(sendgrid(sendgrid_server.url))
    assert explain(failure, context=Context(provider="sendgrid")).code == "outcome-unknown"


def test_a_key_without_permission_names_those_it_has(sendgrid_server: SendGridServer) -> None:
    sendgrid_server.keys = {KEY: ("stats.read", "alerts.read")}
    failure, steps = failure_of(sendgrid(sendgrid_server.url))
    told = explain(failure, context=Context(provider="sendgrid", learnt=learnt_from(steps)))
    assert told.code == "sendgrid-key-scope"
    assert "stats.read, alerts.read" in told.cause


def test_a_proxy_that_answers_for_sendgrid_is_named_by_its_issuer(authority: TestAuthority) -> None:
    def handshake(connection: socket.socket) -> None:
        with authority.server_context().wrap_socket(connection, server_side=True):
            pass

    with RawServer(handshake) as server:
        failure, _ = failure_of(sendgrid(f"https://localhost:{server.port}"))
    assert explain(failure, context=Context(provider="sendgrid", host="api.sendgrid.com")).code == "proxy-inspects-tls"


# Names and connections


@pytest.mark.parametrize(
    ("number", "rule"), [(socket.EAI_NONAME, "host-not-found"), (socket.EAI_AGAIN, "dns-unavailable")]
)
def test_a_name_without_an_address(number: int, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*given: Any, **more: Any) -> list[Any]:
        raise socket.gaierror(number, "from the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert explained(smtp(587, host="smtp.exmaple.com")).code == rule


def test_a_closed_port() -> None:
    with RawServer(lambda connection: None) as server:
        port = server.port
    told = explained(smtp(port))
    assert told.code == "connection-refused"
    assert f"port {port}" in told.title


def test_a_port_that_drops_packets() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # the queue is full: further connections get no answer
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            assert explained(smtp(full.getsockname()[1])).code == "connect-timeout"
        finally:
            for one in waiting:
                one.close()


def test_a_network_without_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: socket.socket, address: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert explained(smtp(587)).code == "network-unreachable"


def test_ipv6_that_fails_where_ipv4_works_is_told_and_mail_leaves(
    scripted_smtp: Scripted, two_versions: Callable[..., str], closed_port: int
) -> None:
    server = scripted_smtp()
    host = two_versions(closed_port, server.port)
    ladder = climb(steps_of(SmtpSession(smtp(server.port, host=host), policy=ANY)), mode="none", finished=True)
    assert ladder.ok is True
    (connect,) = [rung for rung in ladder.rungs if rung.stage is Stage.CONNECT]
    told = connect.explanation
    assert told is not None
    assert (connect.state, told.code, told.title) == (State.OK, "ip-version-fails", "IPv6 fails, IPv4 works.")
    assert host in told.cause
    assert re.search(r"Each new connection loses (less than 1|\d+) ms before", told.cause)
    assert "“IPv4 only” as “IP version”" in told.next_step
    assert [rung.stage for rung in ladder.rungs if rung.explanation] == [Stage.CONNECT]


def test_a_port_and_an_address_that_the_operator_forbids() -> None:
    assert explained(smtp(4000), policy=NetworkPolicy()).code == "port-not-allowed"
    assert explained(smtp(4000), policy=NetworkPolicy(nets=(), ports=None)).code == "host-not-allowed"


@pytest.mark.parametrize(
    ("greeting", "rule"),
    [
        (b"* OK [CAPABILITY IMAP4rev1 SASL-IR] Dovecot ready.\r\n", "mailbox-port"),
        (b"+OK Dovecot ready.\r\n", "mailbox-port"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "web-server-answered"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not-a-mail-server"),
        (b"\x15\x03\x03\x00\x02\x02\x46\r\n", "plain-on-tls-port"),
        (Drop(), "closed-before-greeting"),
        (Silence(), "plain-on-tls-port"),
    ],
)
def test_what_answers_is_no_mail_server(greeting: Action, rule: str, scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp({"connect": greeting}).port)).code == rule


def test_plain_words_to_a_port_that_waits_for_tls(scripted_smtp: Scripted, authority: TestAuthority) -> None:
    server = scripted_smtp(context=authority.server_context(), tls_from_start=True)
    assert explained(smtp(server.port)).code == "plain-on-tls-port"


def test_a_server_that_drips_ends_and_is_called_slow(scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp({"EHLO": Drip()}).port)).code == "server-too-slow"


def test_a_connection_that_breaks_in_the_middle(scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp({"MAIL": Drop()}).port)).code == "connection-lost"


def test_a_connection_that_breaks_at_quit_takes_nothing_back(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"QUIT": Drop()})
    ladder = climb(steps_of(SmtpSession(smtp(server.port), policy=ANY)), mode="none", finished=True)
    assert (ladder.ok, len(server.taken)) == (True, 1)


@pytest.mark.parametrize("end", [TakeThenDrop(), Silence(), b"hello\r\n"])
def test_no_readable_answer_after_the_dot_leaves_the_outcome_unknown(end: Action, scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp({".": end}).port), deadline_s=1).code == "outcome-unknown"


def test_an_address_that_the_server_can_not_carry(scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp().port), to="josé@example.org").code == "address-needs-smtputf8"


OFFERS = {
    "aiosmtpd": "SIZE 33554432\n8BITMIME\nSMTPUTF8\nHELP",
    "postfix": "PIPELINING\nSIZE 10240000\nVRFY\nETRN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING",
    "exchange": "SIZE 37748736\nPIPELINING\nDSN\nENHANCEDSTATUSCODES\nX-ANONYMOUSTLS\n8BITMIME\nBINARYMIME\nXRDST",
    "exim": "SIZE 52428800\nLIMITS MAILMAX=1000 RCPTMAX=50000\n8BITMIME\nPIPELINING\nPIPECONNECT\nHELP",
    "gmail": "SIZE 35882577\n8BITMIME\nENHANCEDSTATUSCODES\nPIPELINING\nCHUNKING\nSMTPUTF8",
}


@pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS)
def test_what_a_server_offers_is_not_taken_for_the_cause(offers: str, scripted_smtp: Scripted) -> None:
    server = scripted_smtp(keywords=offers.split("\n"))
    assert explained(smtp(server.port, security="starttls")).code == "starttls-not-offered"
    login = smtp(server.port, username="ana", password=SecretStr("hunter2-secret"))
    assert explained(login).code == "login-not-offered"


@pytest.mark.parametrize(
    ("offer", "rule"),
    [
        ("", "login-not-offered"),
        ("XOAUTH2", "login-method-not-shared"),
        ("NTLM GSSAPI", "login-method-not-shared"),
        ("CRAM-MD5", "login-method-not-shared"),
    ],
)
def test_a_server_without_a_usable_login_is_told_with_what_it_offers(
    offer: str, rule: str, scripted_smtp: Scripted
) -> None:
    server = scripted_smtp(keywords=[f"AUTH {offer}"] if offer else [])
    told = explained(smtp(server.port, username="ana", password=SecretStr("hunter2-secret")))
    assert told.code == rule
    if offer:
        assert f"The server offers {', '.join(offer.split())}." in told.cause
    assert not [command for command in server.commands if command.startswith("AUTH")]


@pytest.mark.parametrize(
    "answer",
    [
        "535 5.7.8 Authentication mechanism not supported",
        "535 5.7.0 PLAIN authentication mechanism is unsupported",
        "534 5.7.9 Authentication mechanism not available",
    ],
)
def test_a_login_method_that_is_switched_off_is_told_with_what_else_is_offered(
    answer: str, scripted_smtp: Scripted
) -> None:
    server = scripted_smtp({"AUTH PLAIN": answer}, keywords=["AUTH PLAIN LOGIN XOAUTH2"])
    told = explained(smtp(server.port, username="ana", password=SecretStr("hunter2-secret")))
    assert told.code == "login-method-not-shared"
    assert "PLAIN was tried. The server offers PLAIN, LOGIN, XOAUTH2." in told.cause
    assert len([command for command in server.commands if command.startswith("AUTH")]) == 1  # one attempt, no more


# Encryption


def test_tls_from_the_start_on_a_plain_port(scripted_smtp: Scripted) -> None:
    told = explained(smtp(scripted_smtp().port, security="tls"))
    assert told.code == "smtp-tls-on-plain-port"
    assert "STARTTLS" in told.next_step


def test_a_server_without_starttls(scripted_smtp: Scripted) -> None:
    assert explained(smtp(scripted_smtp().port, security="starttls")).code == "starttls-not-offered"


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    with ScriptedSmtp(context=context, tls_from_start=True) as server:
        yield server.port


def self_signed() -> ssl.SSLContext:
    """A server whose certificate is its own authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


def test_certificates_that_vouch_for_nothing(authority: TestAuthority) -> None:
    with tls_server(self_signed()) as port:
        assert explained(smtp(port, security="tls")).code == "certificate-self-signed"
    with tls_server(authority.server_context()) as port:
        told = explained(smtp(port, security="tls"))
    assert told.code == "certificate-issuer-unknown"
    assert "trustme" in told.cause  # the issuer's name


def test_a_certificate_for_another_name_names_those_it_is_for(authority: TestAuthority) -> None:
    with tls_server(authority.server_context("mx.example.com", "smtp.example.com")) as port:
        told = explained(smtp(port, security="tls", ca_certificate=authority.pem))
    assert told.code == "certificate-wrong-name"
    assert "mx.example.com, smtp.example.com" in told.cause


def test_certificates_out_of_their_time_name_the_day(authority: TestAuthority) -> None:
    now = datetime.now(UTC)
    old = authority.server_context(not_before=now - timedelta(90), not_after=now - timedelta(3))
    with tls_server(old) as port:
        told = explained(smtp(port, security="tls", ca_certificate=authority.pem))
    assert told.code == "certificate-expired"
    assert f"{now - timedelta(3):%Y-%m-%d}" in told.cause
    assert f"{now:%Y-%m-%d}" in told.cause
    early = authority.server_context(not_before=now + timedelta(3), not_after=now + timedelta(90))
    with tls_server(early) as port:
        told = explained(smtp(port, security="tls", ca_certificate=authority.pem))
    assert told.code == "certificate-not-yet-valid"


def test_a_server_with_unsafe_ciphers_only(authority: TestAuthority) -> None:
    context = authority.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    with tls_server(context) as port:
        assert explained(smtp(port, security="tls", ca_certificate=authority.pem)).code == "tls-too-old"


def test_a_handshake_that_breaks_off() -> None:
    with RawServer(lambda connection: connection.recv(100) and None) as server:
        assert explained(smtp(server.port, security="tls")).code == "tls-failed"


def test_trusted_authorities_that_can_not_be_read(scripted_smtp: Scripted, tmp_path: Path) -> None:
    damaged = tmp_path / "authorities.pem"
    damaged.write_text("no certificate")
    with ScriptedSmtp() as server:
        assert explained(smtp(server.port, security="tls"), trust_file=str(damaged)).code == "trust-unreadable"
