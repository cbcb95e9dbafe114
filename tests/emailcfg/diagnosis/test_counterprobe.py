"""Which change would have worked: tried against real servers, without a password and without a mail."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from pydantic import SecretStr

from emailcfg.diagnosis.counterprobe import find_alternatives
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import ErrorClass, Failure, Reply, SessionError, Stage
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import IpVersion, Smtp
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Drip, ScriptedSmtp, ehlo
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


def test_ports_that_the_operator_added_are_tried_too(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    tls, starttls = speaks("tls"), speaks("starttls")
    configured = closed_port()
    policy = NetworkPolicy(ports=frozenset({configured, tls.port, starttls.port}))
    found = find_alternatives(settings(authority, configured), REFUSED, policy=policy, usual=[])
    assert sorted(alternative.changes["smtp.port"] for alternative in found) == sorted([tls.port, starttls.port])  # type: ignore[type-var]


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


# IPv4 and IPv6 apart

Hosts = Callable[[int | None, int | None], str]
BLOCKED = Failure(Stage.GREETING, ErrorClass.HOST, "greeting_refused", Reply(554, "5.7.1 No service for you", "5.7.1"))
GUIDELINES = "5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and authentication."
NO_NAME = Failure(Stage.ACCEPTED, ErrorClass.CONFIGURATION, "address_without_name", Reply(550, GUIDELINES, "5.7.1"))


def relay(host: str, **more: object) -> Smtp:
    return Smtp.model_validate({"host": host, "security": "none", **more})


def changes(smtp: Smtp, failure: Failure, used: IpVersion = "6") -> list[object]:
    found = find_alternatives(smtp, failure, policy=ANY, used=used, usual=[])
    return [dict(alternative.changes) for alternative in found]


def test_where_ipv6_is_refused_with_the_greeting_and_ipv4_is_not_ipv4_is_offered(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = scripted_smtp({"connect": "554 5.7.1 No service for you"}), scripted_smtp()
    smtp = relay(two_versions(six.port, four.port))
    (found,) = find_alternatives(smtp, BLOCKED, policy=ANY, used="6", usual=[])
    assert found.changes == {"smtp.ip_version": "4"}
    assert found.sentence == (
        "Over IPv4, two-versions.localhost answers on port 587 without encryption. Over IPv6 it failed twice."
    )


def test_where_ipv4_is_refused_and_ipv6_is_not_ipv6_is_offered(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = scripted_smtp(), scripted_smtp({"connect": "554 5.7.1 No service for you"})
    smtp = relay(two_versions(six.port, four.port))
    assert changes(smtp, BLOCKED, "4") == [{"smtp.ip_version": "6"}]


def test_a_trouble_that_has_passed_is_not_put_down_to_the_ip_version(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = scripted_smtp(), scripted_smtp()
    assert changes(relay(two_versions(six.port, four.port)), BLOCKED) == []


def test_where_both_versions_are_refused_none_is_offered(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = (scripted_smtp({"connect": "554 5.7.1 No service for you"}) for _ in range(2))
    assert changes(relay(two_versions(six.port, four.port)), BLOCKED) == []
    assert four.connections == 1


def test_a_host_of_one_version_has_no_other_to_try(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    server = scripted_smtp({"connect": "554 5.7.1 No service for you"})
    assert changes(relay(two_versions(server.port, None)), BLOCKED) == []


@pytest.mark.parametrize("stage", [Stage.SENDER, Stage.RECIPIENT, Stage.ACCEPTED])
def test_a_refusal_of_the_ipv6_address_offers_ipv4_at_whatever_step_it_comes(
    stage: Stage, scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = scripted_smtp(), scripted_smtp()
    failure = Failure(stage, NO_NAME.error_class, NO_NAME.reason, NO_NAME.reply)
    smtp = relay(two_versions(six.port, four.port))
    (found,) = find_alternatives(smtp, failure, policy=ANY, used="6", usual=[])
    assert found.changes == {"smtp.ip_version": "4"}
    assert found.sentence.endswith("its refusal is about this machine's IPv6 address.")
    assert six.connections == 0


def test_a_refusal_of_something_else_tries_no_other_version(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    six, four = scripted_smtp(), scripted_smtp()
    unknown = Failure(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD, "recipient_unknown", Reply(550, "5.1.1 no", "5.1.1"))
    assert changes(relay(two_versions(six.port, four.port)), unknown) == []
    assert (six.connections, four.connections) == (0, 0)


def test_a_version_that_is_set_and_can_not_connect_gives_way_to_the_other(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    four = scripted_smtp()
    smtp = relay(two_versions(closed_port(), four.port), ip_version="6")
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open()
    assert changes(smtp, caught.value.failure, "any") == [{"smtp.ip_version": "4"}]


def test_a_version_that_is_set_and_that_the_host_does_not_have_gives_way_to_both(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    smtp = relay(two_versions(None, scripted_smtp().port), ip_version="6")
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open()
    assert changes(smtp, caught.value.failure, "any") == [{"smtp.ip_version": "any"}]


def test_other_ports_are_tried_by_the_version_that_is_set(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Hosts
) -> None:
    server = scripted_smtp()
    smtp = relay(two_versions(server.port, closed_port()), ip_version="4", port=closed_port())
    found = find_alternatives(smtp, BLOCKED, policy=ANY, used="4", usual=[(server.port, "none")])
    assert [dict(one.changes) for one in found] == [{"smtp.ip_version": "6"}]  # and no other port over IPv4
    smtp = relay(two_versions(closed_port(), server.port), ip_version="4", port=closed_port())
    found = find_alternatives(smtp, REFUSED, policy=ANY, usual=[(server.port, "none")])
    assert {"smtp.port": server.port} in [dict(one.changes) for one in found]


def test_a_server_that_offers_another_login_method_than_the_one_set_is_no_alternative(
    authority: TestAuthority, speaks: Callable[..., ScriptedSmtp]
) -> None:
    server = speaks("tls", "AUTH LOGIN")
    for mechanism, count in (("plain", 0), ("login", 1), ("auto", 1)):
        smtp = settings(authority, closed_port(), auth_mechanism=mechanism)
        assert len(find_alternatives(smtp, REFUSED, policy=ANY, usual=[(server.port, "tls")])) == count
