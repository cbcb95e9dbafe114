"""Which change would have worked: tried against real servers, without a password and without a mail."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from pydantic import SecretStr

from emailcfg.diagnosis.counterprobe import find_alternatives, other_region
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import ErrorClass, Failure, Reply, SessionError, Stage
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import SendGrid, Smtp
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Drip, ScriptedSmtp, ehlo
from tests.servers.sendgrid import KEY, SendGridServer
from tests.servers.smtp import SmtpServer

ANY = NetworkPolicy(ports=None)
REFUSED = Failure(Stage.CONNECT, ErrorClass.HOST, "connection_refused")


@pytest.fixture
def speaks(authority: TestAuthority, scripted_smtp: Callable[..., ScriptedSmtp]) -> Callable[..., ScriptedSmtp]:
    """A server with TLS from the start or STARTTLS that offers a login."""

    def start(security: str, *keywords: str) -> ScriptedSmtp:
        offered = keywords or ("AUTH PLAIN LOGIN",)
        context = authority.server_context()
        if security == "tls":
            return scripted_smtp(keywords=offered, context=context, tls_from_start=True)
        return scripted_smtp({"EHLO": [ehlo("STARTTLS"), ehlo(*offered)]}, context=context)

    return start


def settings(authority: TestAuthority, port: int, **more: object) -> Smtp:
    given = {"host": "localhost", "port": port, "username": "ana", "password": SecretStr("hunter2-secret")}
    return Smtp.model_validate({**given, "ca_certificate": authority.pem, **more})


def closed_port() -> int:
    with RawServer(lambda connection: None) as server:
        return server.port


def test_other_ports_that_work_are_named_with_their_changes(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    tls, starttls = speaks("tls"), speaks("starttls")
    smtp = settings(authority, closed_port())
    found = find_alternatives(
        smtp, REFUSED, policy=ANY, usual=[(tls.port, "tls"), (starttls.port, "starttls"), (closed_port(), "tls")]
    )
    assert [alternative.changes for alternative in found] == [
        {"smtp.port": tls.port, "smtp.security": "tls"},
        {"smtp.port": starttls.port},
    ]
    assert found[0].works_until is Stage.EHLO
    assert found[0].sentence == f"localhost answers on port {tls.port} with TLS from the start and offers a login."


def test_neither_password_nor_mail_is_ever_sent(authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]) -> None:
    servers = [speaks("tls"), speaks("starttls")]
    usual = [(servers[0].port, "tls"), (servers[1].port, "starttls")]
    assert find_alternatives(settings(authority, closed_port()), REFUSED, policy=ANY, usual=usual)  # type: ignore[arg-type]
    for server in servers:
        verbs = {command.split(" ")[0] for command in server.commands}
        assert verbs <= {"EHLO", "STARTTLS", "QUIT"}


def test_the_other_encryption_on_the_same_port_comes_first(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("starttls")
    smtp = settings(authority, server.port, security="tls")
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open()
    (found,) = find_alternatives(smtp, caught.value.failure, policy=ANY, usual=[])
    assert found.changes == {"smtp.security": "starttls"}


def test_a_server_without_a_usable_login_is_no_alternative(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("tls", "AUTH XOAUTH2")
    smtp = settings(authority, closed_port())
    assert find_alternatives(smtp, REFUSED, policy=ANY, usual=[(server.port, "tls")]) == []


def test_a_server_with_an_untrusted_certificate_is_no_alternative(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("tls")
    smtp = settings(authority, closed_port(), ca_certificate="")
    assert find_alternatives(smtp, REFUSED, policy=ANY, usual=[(server.port, "tls")]) == []


def test_without_encryption_is_offered_only_where_no_password_could_leak(
    authority: TestAuthority, scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    server = scripted_smtp()
    failure = Failure(Stage.TLS, ErrorClass.CONFIGURATION, "starttls_not_offered")
    with_login = settings(authority, server.port)
    without = settings(authority, server.port, username="", password=None)
    assert find_alternatives(with_login, failure, policy=ANY, usual=[]) == []
    (found,) = find_alternatives(without, failure, policy=ANY, usual=[])
    assert found.changes == {"smtp.security": "none"}


def test_a_certificate_problem_never_talks_out_of_encryption(
    authority: TestAuthority, smtp_server: Callable[..., SmtpServer]
) -> None:
    server = smtp_server(security="starttls")
    smtp = settings(authority, server.port, username="", password=None, ca_certificate="", security="starttls")
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open()
    assert caught.value.failure.reason == "certificate_unknown_issuer"
    assert find_alternatives(smtp, caught.value.failure, policy=ANY, usual=[]) == []


def test_a_server_that_asks_for_encryption_gets_starttls_first(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("starttls")
    failure = Failure(Stage.SENDER, ErrorClass.CONFIGURATION, "encryption_required", Reply(530, "5.7.0 STARTTLS"))
    smtp = settings(authority, server.port, security="none", username="", password=None)
    (found,) = find_alternatives(smtp, failure, policy=ANY, usual=[])
    assert found.changes == {"smtp.security": "starttls"}


@pytest.mark.parametrize(
    "failure",
    [
        Failure(Stage.RESOLVE, ErrorClass.CONFIGURATION, "name_not_found"),
        Failure(Stage.LOGIN, ErrorClass.CONFIGURATION, "login_refused", Reply(535, "no")),
        Failure(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD, "recipient_unknown", Reply(550, "no")),
    ],
    ids=lambda failure: failure.reason,
)
def test_where_no_port_could_help_nothing_is_tried(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp], failure: Failure
) -> None:
    server = speaks("tls")
    smtp = settings(authority, closed_port())
    assert find_alternatives(smtp, failure, policy=ANY, usual=[(server.port, "tls")]) == []
    assert server.connections == 0


def test_ports_and_addresses_the_policy_forbids_are_not_tried(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("tls")
    smtp = settings(authority, closed_port())
    for policy in (NetworkPolicy(), NetworkPolicy(nets=(), ports=None)):
        assert find_alternatives(smtp, REFUSED, policy=policy, usual=[(server.port, "tls")]) == []
    assert server.connections == 0


def test_a_name_of_the_certificate_is_offered_only_from_the_same_organisation(
    authority: TestAuthority, scripted_smtp: Callable[..., ScriptedSmtp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers chooses the names in its certificate, so a stranger's name must not reach the form."""
    context = authority.server_context("mail.example.com", "mail.attacker.example")
    server = scripted_smtp(keywords=["AUTH PLAIN"], context=context, tls_from_start=True)
    here = socket.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: here)  # names that no DNS knows
    smtp = settings(authority, server.port, host="smtp.example.com", security="tls")
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open()
    names = ["*.example.com", "mail.attacker.example", "mail.example.com", "smtp.example.com"]
    (found,) = find_alternatives(smtp, caught.value.failure, policy=ANY, certificate_names=names)
    assert caught.value.failure.reason == "certificate_wrong_name"
    assert found.changes == {"smtp.host": "mail.example.com"}


def test_servers_that_drip_or_stay_silent_end_at_the_deadline(authority: TestAuthority) -> None:
    with ExitStack() as running:
        drips = running.enter_context(ScriptedSmtp({"connect": Drip()}))
        silent = running.enter_context(RawServer(lambda connection: connection.recv(1) and None))
        started = time.monotonic()
        found = find_alternatives(
            settings(authority, closed_port()),
            REFUSED,
            policy=ANY,
            usual=[(drips.port, "starttls"), (silent.port, "tls"), (silent.port, "starttls")],
            each_s=0.4,
            total_s=0.6,
        )
    assert found == []
    assert time.monotonic() - started < 10


def test_an_eu_key_on_the_global_host_is_found_at_the_other_one(sendgrid_server: SendGridServer) -> None:
    config = SendGrid(enabled=True, api_key=SecretStr(KEY), region="global")
    reply = Reply(401, "The provided authorization grant is invalid, expired, or revoked")
    failure = Failure(Stage.KEY, ErrorClass.CONFIGURATION, "key_refused", reply)
    urls = {"eu": sendgrid_server.url, "global": "http://127.0.0.1:9"}
    found = other_region(config, failure, base_urls=urls)
    assert found is not None
    assert found.changes == {"sendgrid.region": "eu"}
    assert sendgrid_server.requests == ["GET /v3/scopes"]
    sendgrid_server.keys.clear()
    assert other_region(config, failure, base_urls=urls) is None


def test_exhausted_credits_are_no_reason_to_show_the_key_to_another_host(sendgrid_server: SendGridServer) -> None:
    config = SendGrid(enabled=True, api_key=SecretStr(KEY), region="global")
    failure = Failure(Stage.KEY, ErrorClass.RATE, "quota_exceeded", Reply(401, "Maximum credits exceeded"))
    assert other_region(config, failure, base_urls={"eu": sendgrid_server.url}) is None
    assert sendgrid_server.requests == []
