"""Opening an SMTP session: every stage, its facts, and what each fault is called."""

import base64
import errno
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from emailcfg.network import NetworkPolicy
from emailcfg.providers import connect
from emailcfg.providers.base import ErrorClass, Failure, SessionError, Stage, Step
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import Smtp
from tests.emailcfg.providers.conftest import deliver, mail, opened, smtp_session
from tests.servers.certificates import TestAuthority
from tests.servers.raw import RawServer
from tests.servers.scripted import Drip, Drop, Script, ScriptedSmtp, Silence, ehlo
from tests.servers.smtp import SmtpServer

StartScripted = Callable[..., ScriptedSmtp]
LOGIN = {"username": "ada", "password": "open sesame"}


def failure_of(session: SmtpSession) -> Failure:
    """The failure that opening ends in; the session leaves no connection behind."""
    failure = opened(session)[-1].failure
    assert failure is not None
    assert session._wire is None
    return failure


def opened_and_closed(session: SmtpSession) -> dict[Stage, Step]:
    """The steps of an opening that succeeds, by stage."""
    steps = {step.stage: step for step in opened(session)}
    session.close()
    return steps


def said(failure: Failure) -> tuple[Stage, ErrorClass, str]:
    return failure.stage, failure.error_class, failure.reason


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_session_logs_in_and_delivers(
    smtp_server: Callable[..., SmtpServer], authority: TestAuthority, security: str
) -> None:
    server = smtp_server(security=security, users={"ada@example.com": "pässwörd / % #"})
    session = smtp_session(
        server,
        security=security,
        username="ada@example.com",
        password="pässwörd / % #",
        ca_certificate="" if security == "none" else authority.pem,
    )
    steps = opened(session)
    assert [step.failure for step in steps] == [None] * len(steps)
    order = [Stage.TLS, Stage.GREETING] if security == "tls" else [Stage.GREETING, Stage.TLS]
    assert [step.stage for step in steps] == [Stage.RESOLVE, Stage.CONNECT, *order, Stage.EHLO, Stage.LOGIN]
    assert session.tls == ("" if security == "none" else "TLSv1.3")
    record = deliver(session, [mail(1), mail(2)])
    assert [result.failure for result in record.results] == [None, None]
    assert record.entered == [1, 2]
    first, second = server.wait_for(2)
    assert first.content == b"Subject: mail 1\r\n\r\n.body 1\r\n"
    assert second.login == "ada@example.com"
    assert record.results[1].provider_id == "TEST000002"
    assert server.login_attempts == ["ada@example.com"]


def test_the_facts_of_each_stage_are_reported(scripted_smtp: StartScripted, authority: TestAuthority) -> None:
    server = scripted_smtp(
        {"EHLO": [ehlo("STARTTLS"), ehlo("SIZE 1000", "AUTH PLAIN LOGIN", "PIPELINING", "8BITMIME", "SMTPUTF8", "")]},
        context=authority.server_context(),
    )
    session = smtp_session(server, security="starttls", ca_certificate=authority.pem, ehlo_hostname="me.example.org")
    steps = {step.stage: step for step in opened(session)}
    session.close()
    assert steps[Stage.RESOLVE].facts["addresses"] == ["127.0.0.1"]
    (tried,) = steps[Stage.CONNECT].facts["tried"]  # type: ignore[misc]
    assert (tried["address"], tried["outcome"]) == ("127.0.0.1", "connected")
    tls = steps[Stage.TLS].facts
    assert tls["version"] == "TLSv1.3"
    certificate: Any = tls["certificate"]
    assert certificate["names"] == ["localhost", "127.0.0.1"]
    assert "trustme" in certificate["issuer"]
    assert certificate["days_left"] > 0
    assert steps[Stage.EHLO].facts == {
        "ehlo_name": "me.example.org",
        "size": 1000,
        "auth": ["PLAIN", "LOGIN"],
        "pipelining": True,
        "smtputf8": True,
        "eightbitmime": True,
        "starttls": False,
    }
    assert steps[Stage.LOGIN].ok is None
    assert [line for line in server.commands if line != "STARTTLS"] == ["EHLO me.example.org"] * 2 + ["QUIT"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            {"connect": "554 5.7.1 You are not allowed to connect"},
            (Stage.GREETING, ErrorClass.HOST, "greeting_refused"),
        ),
        ({"connect": "421 4.3.2 Too many connections"}, (Stage.GREETING, ErrorClass.HOST, "service_closing")),
        (
            {"connect": "421 4.7.0 mx.example.com Error: too many connections from 203.0.113.9"},
            (Stage.GREETING, ErrorClass.RATE, "rate_limited"),
        ),
        ({"connect": "450 Busy"}, (Stage.GREETING, ErrorClass.HOST, "greeting_deferred")),
        ({"connect": b"* OK Dovecot ready.\r\n"}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": b"HTTP/1.1 400 Bad Request\r\n"}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": b"220-a\r\n550 b\r\n"}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": b"220 " + b"x" * 9000 + b"\r\n"}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": b"220 " + b"x" * 100_000}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": b"220-x\r\n" * 101}, (Stage.GREETING, ErrorClass.HOST, "unreadable_reply")),
        ({"connect": Drop()}, (Stage.GREETING, ErrorClass.HOST, "connection_lost")),
        ({"connect": Drop(b"22")}, (Stage.GREETING, ErrorClass.HOST, "connection_lost")),
        ({"EHLO": "421 4.7.0 Try again later, closing connection. (EHLO)"}, (Stage.EHLO, ErrorClass.HOST, "*")),
        ({"EHLO": "450 4.3.2 Later"}, (Stage.EHLO, ErrorClass.HOST, "ehlo_deferred")),
        (
            {"EHLO": "504 5.5.2 Helo command rejected: need fully-qualified hostname"},
            (Stage.EHLO, ErrorClass.CONFIGURATION, "ehlo_refused"),
        ),
        ({"EHLO": "502 5.5.1 Not implemented"}, (Stage.EHLO, ErrorClass.CONFIGURATION, "ehlo_refused")),
        ({"EHLO": Drop()}, (Stage.EHLO, ErrorClass.HOST, "connection_lost")),
    ],
)
def test_a_greeting_or_ehlo_that_fails_keeps_its_words(
    scripted_smtp: StartScripted, script: Script, expected: tuple[Stage, ErrorClass, str]
) -> None:
    failure = failure_of(smtp_session(scripted_smtp(script)))
    assert said(failure)[:2] == expected[:2]
    assert expected[2] in ("*", failure.reason)
    action = next(iter(script.values()))
    if isinstance(action, str):
        assert failure.words == action


LOGIN_TABLE = [
    ("535 5.7.8 Username and Password not accepted", ErrorClass.CONFIGURATION, "login_refused"),
    ("534 5.7.9 Application-specific password required", ErrorClass.CONFIGURATION, "login_refused"),
    ("530 5.7.0 Must issue a STARTTLS command first", ErrorClass.CONFIGURATION, "encryption_required"),
    ("538 5.7.11 Encryption required", ErrorClass.CONFIGURATION, "encryption_required"),
    ("550 5.7.30 Basic authentication is not supported", ErrorClass.CONFIGURATION, "basic_auth_retired"),
    ("535 5.7.139 Authentication unsuccessful", ErrorClass.CONFIGURATION, "login_refused"),
    ("503 5.5.1 AUTH command used when not advertised", ErrorClass.CONFIGURATION, "auth_not_accepted"),
    ("504 5.7.4 Unrecognized authentication type", ErrorClass.CONFIGURATION, "auth_not_accepted"),
    ("454 4.7.0 Too many login attempts", ErrorClass.RATE, "login_limited"),
    ("432 4.3.2 Concurrent connections limit exceeded", ErrorClass.RATE, "login_limited"),
    ("421 4.7.0 Too many errors", ErrorClass.RATE, "rate_limited"),
    ("421 4.3.0 Going down", ErrorClass.HOST, "service_closing"),
    ("451 4.3.0 Later", ErrorClass.HOST, "login_deferred"),
]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("reply", "error_class", "reason"), LOGIN_TABLE)
def test_a_refused_login_has_its_class_and_is_tried_once(
    scripted_smtp: StartScripted, mechanism: str, reply: str, error_class: ErrorClass, reason: str
) -> None:
    script = {"AUTH PLAIN": reply} if mechanism == "PLAIN" else {"AUTH": "334 VXNlcm5hbWU6", "base64": reply}
    server = scripted_smtp(script, keywords=[f"AUTH CRAM-MD5 {mechanism}"])
    failure = failure_of(smtp_session(server, **LOGIN))
    assert said(failure) == (Stage.LOGIN, error_class, reason)
    assert failure.words == reply
    assert sum(line.startswith("AUTH") for line in server.commands) == 1


@pytest.mark.parametrize("offered", [[], ["AUTH XOAUTH2 CRAM-MD5"]])
def test_without_a_mechanism_we_can_use_nothing_is_sent(scripted_smtp: StartScripted, offered: list[str]) -> None:
    server = scripted_smtp(keywords=offered)
    failure = failure_of(smtp_session(server, **LOGIN))
    assert said(failure) == (Stage.LOGIN, ErrorClass.CONFIGURATION, "auth_not_offered")
    assert ("XOAUTH2, CRAM-MD5" in failure.detail) is bool(offered)
    assert server.commands == ["EHLO app.example.com"]


def test_a_login_by_the_mechanism_login_sends_user_and_password(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(
        {"AUTH LOGIN": "334 VXNlcm5hbWU6", "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Ok"]}, keywords=["AUTH=LOGIN"]
    )
    session = smtp_session(server, **LOGIN)
    session.open()
    session.close()
    assert server.commands[2:4] == [base64.b64encode(word).decode() for word in (b"ada", b"open sesame")]


def test_a_server_that_does_not_know_its_own_plain_is_logged_in_to_by_login(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(
        {
            "AUTH PLAIN": "504 5.5.4 Unrecognized authentication type",
            "AUTH LOGIN": "334 VXNlcm5hbWU6",
            "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Ok"],
        },
        keywords=["AUTH PLAIN LOGIN"],
    )
    session = smtp_session(server, **LOGIN)
    login = opened(session)[-1]
    session.close()
    assert (login.stage, login.ok) == (Stage.LOGIN, True)
    assert login.facts["mechanism"] == "LOGIN"
    assert "PLAIN was refused: 504 5.5.4 Unrecognized authentication type" in login.detail


@pytest.mark.parametrize("keywords", [["AUTH PLAIN"], ["AUTH PLAIN LOGIN"]])
def test_a_504_that_no_other_method_follows_is_the_failure(keywords: list[str], scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"AUTH": "504 5.5.4 Unrecognized authentication type"}, keywords=keywords)
    login = opened(smtp_session(server, **LOGIN))[-1]
    assert login.failure is not None
    assert login.failure.reason == "auth_not_accepted"
    assert len([line for line in server.commands if line.startswith("AUTH")]) == len(keywords[0].split()) - 1


@pytest.mark.parametrize(
    ("mechanism", "keywords", "spoken"),
    [
        ("auto", "AUTH LOGIN PLAIN", "AUTH PLAIN"),
        ("plain", "AUTH LOGIN PLAIN", "AUTH PLAIN"),
        ("login", "AUTH LOGIN PLAIN", "AUTH LOGIN"),
        ("login", "AUTH CRAM-MD5 LOGIN", "AUTH LOGIN"),
    ],
)
def test_the_login_method_that_is_set_is_the_one_that_is_used(
    mechanism: str, keywords: str, spoken: str, scripted_smtp: StartScripted
) -> None:
    script: Script = {"AUTH LOGIN": "334 VXNlcm5hbWU6", "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Ok"]}
    server = scripted_smtp(script, keywords=[keywords])
    assert opened_and_closed(smtp_session(server, auth_mechanism=mechanism, **LOGIN))[Stage.LOGIN].ok
    (attempt,) = [line for line in server.commands if line.startswith("AUTH")]
    assert attempt.startswith(spoken)


@pytest.mark.parametrize(("mechanism", "offered"), [("plain", "LOGIN"), ("login", "PLAIN"), ("login", "PLAIN XOAUTH2")])
def test_a_method_that_is_set_and_not_offered_is_not_replaced_by_another(
    mechanism: str, offered: str, scripted_smtp: StartScripted
) -> None:
    server = scripted_smtp(keywords=[f"AUTH {offered}"])
    failure = failure_of(smtp_session(server, auth_mechanism=mechanism, **LOGIN))
    assert said(failure) == (Stage.LOGIN, ErrorClass.CONFIGURATION, "mechanism_not_offered")
    assert not [line for line in server.commands if line.startswith("AUTH")]


def test_a_method_that_is_set_and_answered_with_504_is_not_replaced_by_another(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"AUTH PLAIN": "504 5.5.4 Unrecognized"}, keywords=["AUTH PLAIN LOGIN"])
    assert failure_of(smtp_session(server, auth_mechanism="plain", **LOGIN)).reason == "auth_not_accepted"
    assert len([line for line in server.commands if line.startswith("AUTH")]) == 1


def test_a_server_that_repeats_the_password_is_quoted_without_it(scripted_smtp: StartScripted) -> None:
    user, password = "ada@example.com", "s3cret/& ü"
    forms = [
        password,
        password.upper(),
        base64.b64encode(password.encode()).decode(),
        base64.b64encode(f"\0{user}\0{password}".encode()).decode(),
        quote(password),
        quote(password, safe=""),
    ]
    server = scripted_smtp(
        {"AUTH": "535-5.7.8 No: " + "\r\n535 5.7.8 ".join([" ".join(forms), "again " + forms[3]])},
        keywords=["AUTH PLAIN"],
    )
    session = smtp_session(server, username=user, password=password)
    steps = opened(session)
    assert steps[-1].failure is not None
    assert steps[-1].failure.words == "535 5.7.8 No: " + " ".join(["[removed]"] * 6) + " again [removed]"
    shown = repr(steps) + repr(session) + repr(session.__dict__) + str(vars(session)["_redact"])
    assert not any(form in shown for form in forms)


def test_what_a_server_says_is_decoded_escaped_and_cut(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"connect": b"554 \x1b[31mgr\xfc\xc3\xbc\x00 " + b"x" * 2000 + b"\r\n"})
    failure = failure_of(smtp_session(server))
    assert failure.reply is not None
    assert failure.reply.text.startswith("\\x1b[31mgr�ü\\x00 xxx")
    assert len(failure.reply.text) == 1024


# Encryption


def test_starttls_that_is_not_offered_or_refused_ends_the_session(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp(keywords=["AUTH PLAIN"])
    failure = failure_of(smtp_session(server, security="starttls", **LOGIN))
    assert said(failure) == (Stage.TLS, ErrorClass.CONFIGURATION, "starttls_not_offered")
    server = scripted_smtp({"STARTTLS": "454 4.7.0 TLS not available"}, keywords=["STARTTLS", "AUTH PLAIN"])
    failure = failure_of(smtp_session(server, security="starttls", **LOGIN))
    assert said(failure) == (Stage.TLS, ErrorClass.CONFIGURATION, "starttls_refused")
    assert not any(line.startswith("AUTH") for line in server.commands)


def test_what_is_injected_before_the_handshake_is_thrown_away(
    scripted_smtp: StartScripted, authority: TestAuthority
) -> None:
    injected = b"220 Go ahead\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 Welcome\r\n"
    server = scripted_smtp(
        {"STARTTLS": injected, "EHLO": [ehlo("STARTTLS"), ehlo("AUTH XOAUTH2")]}, context=authority.server_context()
    )
    failure = failure_of(smtp_session(server, security="starttls", ca_certificate=authority.pem, **LOGIN))
    assert said(failure) == (Stage.LOGIN, ErrorClass.CONFIGURATION, "auth_not_offered")
    assert not any(line.startswith("AUTH") for line in server.commands)


NOW = datetime.now(UTC)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("names", "validity", "trusted", "reason"),
    [
        (["localhost", "127.0.0.1"], {}, False, "certificate_unknown_issuer"),
        (["mail.example.net"], {}, True, "certificate_wrong_name"),
        (
            ["127.0.0.1"],
            {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=2)},
            True,
            "certificate_expired",
        ),
        (
            ["127.0.0.1"],
            {"not_before": NOW + timedelta(days=9), "not_after": NOW + timedelta(days=20)},
            True,
            "certificate_not_yet_valid",
        ),
    ],
)
def test_a_certificate_that_is_not_accepted_is_named_and_shown(
    scripted_smtp: StartScripted,
    authority: TestAuthority,
    security: str,
    names: list[str],
    validity: dict[str, datetime],
    trusted: bool,
    reason: str,
) -> None:
    server = scripted_smtp(
        keywords=["STARTTLS"],
        context=authority.server_context(*names, **validity),
        tls_from_start=security == "tls",
    )
    session = smtp_session(server, security=security, ca_certificate=authority.pem if trusted else "")
    steps = opened(session)
    failure = steps[-1].failure
    assert failure is not None
    assert failure.stage is Stage.TLS
    assert failure.error_class is ErrorClass.CONFIGURATION
    # Depending on what else the client trusts, OpenSSL names the missing issuer or the chain's own end.
    assert failure.reason in ({reason, "certificate_self_signed"} if not trusted else {reason})
    presented: Any = steps[-1].facts["certificate"]
    assert presented["names"] == names
    assert len(presented["fingerprint"].split(":")) == 32
    assert (presented["days_left"] < 0) is (reason == "certificate_expired")
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.commands)


def test_a_servers_own_certificate_may_be_trusted_as_it_stands(
    scripted_smtp: StartScripted, authority: TestAuthority
) -> None:
    server = scripted_smtp(context=authority.server_context(), tls_from_start=True)
    leaf = ssl.get_server_certificate((server.host, server.port))
    session = smtp_session(server, security="tls", ca_certificate=leaf)
    session.open()
    session.close()


def test_tls_to_a_plain_port_and_an_old_protocol_are_told_apart(
    scripted_smtp: StartScripted, authority: TestAuthority
) -> None:
    failure = failure_of(smtp_session(scripted_smtp(), security="tls"))
    assert said(failure) == (Stage.TLS, ErrorClass.CONFIGURATION, "not_tls")
    old = authority.server_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(lambda connection: old.wrap_socket(connection, server_side=True).close()) as server:
        failure = failure_of(smtp_session(server, security="tls", ca_certificate=authority.pem))
    assert said(failure) == (Stage.TLS, ErrorClass.CONFIGURATION, "tls_too_old")


def test_a_connection_dropped_in_the_handshake_is_the_hosts(scripted_smtp: StartScripted) -> None:
    with RawServer(lambda connection: None) as server:
        failure = failure_of(smtp_session(server, security="tls"))
    assert said(failure) == (Stage.TLS, ErrorClass.HOST, "connection_lost")


# Network


def test_an_unknown_name_is_the_configurations_fault() -> None:
    session = SmtpSession(
        Smtp(enabled=True, host="no-such-host.invalid", port=25, security="none"), policy=NetworkPolicy(), deadline_s=20
    )
    failure = failure_of(session)
    assert failure.stage is Stage.RESOLVE
    # A machine without name servers answers "temporary failure", which is not the configuration's fault.
    assert (failure.error_class, failure.reason) in {
        (ErrorClass.CONFIGURATION, "name_not_found"),
        (ErrorClass.HOST, "name_server_failed"),
    }


@pytest.mark.parametrize(
    ("error", "error_class", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), ErrorClass.CONFIGURATION, "name_not_found"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), ErrorClass.HOST, "name_server_failed"),
        (UnicodeError("label too long"), ErrorClass.CONFIGURATION, "name_not_found"),
    ],
)
def test_a_resolvers_answers_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: Exception, error_class: ErrorClass, reason: str
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(connect.socket, "getaddrinfo", fail)
    session = SmtpSession(Smtp(enabled=True, host="mail.example.com", security="none"), policy=NetworkPolicy())
    assert said(failure_of(session)) == (Stage.RESOLVE, error_class, reason)


def test_a_refused_port_is_the_hosts() -> None:
    with RawServer(lambda connection: None) as server:
        pass
    assert said(failure_of(smtp_session(server))) == (Stage.CONNECT, ErrorClass.HOST, "connection_refused")


def test_every_address_is_tried_and_noted(monkeypatch: pytest.MonkeyPatch, scripted_smtp: StartScripted) -> None:
    server = scripted_smtp()
    with RawServer(lambda connection: None) as closed:
        pass
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", server.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed.port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
    ]
    monkeypatch.setattr(connect.socket, "getaddrinfo", lambda *args, **kwargs: found)
    session = smtp_session(server, host="mail.example.com", timeout_s=1, deadline_s=4)
    steps = {step.stage: step for step in opened(session)}
    session.close()
    tried: Any = steps[Stage.CONNECT].facts["tried"]
    assert [attempt["outcome"] for attempt in tried[1:]] == ["connection_refused", "connected"]
    assert tried[0]["outcome"] in ("unreachable", "timed_out")


@pytest.mark.parametrize(("version", "reached"), [("any", "6"), ("6", "6"), ("4", "4")])
def test_the_ip_version_that_is_set_is_the_one_that_is_used(
    version: str, reached: str, scripted_smtp: StartScripted, two_versions: Callable[..., str]
) -> None:
    servers = {"6": scripted_smtp(), "4": scripted_smtp()}
    host = two_versions(servers["6"].port, servers["4"].port)
    steps = opened_and_closed(smtp_session(servers["6"], host=host, ip_version=version))
    assert {name: server.connections for name, server in servers.items()} == {**{"4": 0, "6": 0}, reached: 1}
    assert len(steps[Stage.CONNECT].facts["tried"]) == 1  # type: ignore[arg-type]
    assert "other_version" not in steps[Stage.CONNECT].facts


def test_a_host_without_an_address_of_the_version_that_is_set_is_the_configurations_fault(
    scripted_smtp: StartScripted, two_versions: Callable[..., str]
) -> None:
    server = scripted_smtp()
    session = smtp_session(server, host=two_versions(None, server.port), ip_version="6")
    failure = failure_of(session)
    assert said(failure) == (Stage.RESOLVE, ErrorClass.CONFIGURATION, "ip_version_missing")
    assert failure.detail == "No IPv6 address, only 127.0.0.1."
    assert server.connections == 0


def test_a_version_that_fails_before_the_other_works_is_noted_with_what_it_cost(
    scripted_smtp: StartScripted, two_versions: Callable[..., str], closed_port: int
) -> None:
    server = scripted_smtp()
    step = opened_and_closed(smtp_session(server, host=two_versions(closed_port, server.port)))[Stage.CONNECT]
    noted: Any = step.facts["other_version"]
    assert (noted["fails"], noted["works"], noted["reason"]) == ("IPv6", "IPv4", "connection_refused")
    assert noted["ms"] == step.facts["tried"][0]["ms"]  # type: ignore[index]


def test_where_one_address_of_a_version_fails_and_another_works_no_version_is_blamed(
    monkeypatch: pytest.MonkeyPatch, scripted_smtp: StartScripted, closed_port: int
) -> None:
    server = scripted_smtp()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed_port, server.port)]
    monkeypatch.setattr(connect.socket, "getaddrinfo", lambda *args, **kwargs: found)
    steps = opened_and_closed(smtp_session(server, host="mail.example.com"))
    assert "other_version" not in steps[Stage.CONNECT].facts


def test_a_kernel_without_ipv6_does_not_keep_ipv4_from_being_tried(
    monkeypatch: pytest.MonkeyPatch, scripted_smtp: StartScripted, two_versions: Callable[..., str]
) -> None:
    server = scripted_smtp()
    host = two_versions(server.port, server.port)
    real = socket.socket

    def make(family: int = -1, *given: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *given, **more)

    monkeypatch.setattr(connect.socket, "socket", make)
    steps = opened_and_closed(smtp_session(server, host=host))
    assert steps[Stage.CONNECT].facts["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("169.254.169.254", 25, "address_not_allowed"),
        ("::ffff:169.254.169.254", 25, "address_not_allowed"),
        ("127.0.0.1", 22, "port_not_allowed"),
    ],
)
def test_forbidden_addresses_and_ports_are_not_connected_to(host: str, port: int, reason: str) -> None:
    session = SmtpSession(Smtp(enabled=True, host=host, port=port, security="none"), policy=NetworkPolicy())
    assert said(failure_of(session)) == (Stage.CONNECT, ErrorClass.CONFIGURATION, reason)


# Time


@pytest.mark.parametrize("stage", ["connect", "EHLO", "AUTH"])
def test_a_server_that_drips_ends_at_the_deadline(scripted_smtp: StartScripted, stage: str) -> None:
    server = scripted_smtp({stage: Drip(every_s=0.01)}, keywords=["AUTH PLAIN"])
    failure = failure_of(smtp_session(server, deadline_s=0.4, **LOGIN))
    assert (failure.error_class, failure.reason) == (ErrorClass.HOST, "timed_out")


def test_a_handshake_that_drips_ends_at_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KB, then a byte at a time
        while not server.stopping.wait(0.02):
            connection.sendall(b"\x02")

    with RawServer(drip) as server:
        failure = failure_of(smtp_session(server, security="tls", timeout_s=60, deadline_s=0.4))
    assert said(failure) == (Stage.TLS, ErrorClass.HOST, "timed_out")


def test_lines_without_end_stop_at_the_deadline(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"EHLO": Drip(b"250-more\r\n", every_s=0.01)})
    failure = failure_of(smtp_session(server, deadline_s=0.4))
    assert (failure.stage, failure.reason) == (Stage.EHLO, "timed_out")


def test_the_timeout_holds_for_one_reply(scripted_smtp: StartScripted) -> None:
    server = scripted_smtp({"EHLO": Silence()})
    failure = failure_of(smtp_session(server, timeout_s=1, deadline_s=60))
    assert (failure.stage, failure.reason) == (Stage.EHLO, "timed_out")


# Names


@pytest.mark.parametrize(
    ("configured", "default", "greeted"),
    [
        ("mx.example.org", "app.example.com", "EHLO mx.example.org"),
        ("", "app.example.com", "EHLO app.example.com"),
        ("", "", "EHLO [127.0.0.1]"),
        ("bücher.example", "", "EHLO xn--bcher-kva.example"),
        ("2001:db8::7", "", "EHLO [IPv6:2001:db8::7]"),
    ],
)
def test_the_ehlo_name(scripted_smtp: StartScripted, configured: str, default: str, greeted: str) -> None:
    server = scripted_smtp()
    smtp = Smtp(enabled=True, host=server.host, port=server.port, security="none", ehlo_hostname=configured)
    session = SmtpSession(smtp, policy=NetworkPolicy(ports=None), ehlo_default=default)
    session.open()
    session.close()
    assert server.commands[0] == greeted


def test_a_closed_session_does_not_deliver(scripted_smtp: StartScripted) -> None:
    session = smtp_session(scripted_smtp())
    session.open()
    session.close()
    with pytest.raises(SessionError):
        session.deliver([mail()], before_data=lambda mail: None, on_result=lambda result: None)
