"""A test send from its start to its end, through real servers: its steps, why it failed, and what would have worked."""

import re
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydantic import SecretStr
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from emailcfg.actor import Actor
from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.providers.sendgrid import BASE_URLS
from emailcfg.schema import EmailConfig
from outbound import remedies, silent_tests, testrun, testsend, transcript
from outbound.testsend import Plan
from tests.outbound.making import ANA, a_config
from tests.servers.certificates import TestAuthority
from tests.servers.scripted import Drip, ScriptedSmtp
from tests.servers.sendgrid import KEY, SendGridServer, refusal
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db

SmtpServers = Callable[..., SmtpServer]
TO = "ben@acme.example"


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def a_plan(config: EmailConfig, **more: Any) -> Plan:
    return Plan(config, TestSend.Source.FORM, None, TO, **more)


def outcome_of(config: EmailConfig, **more: Any) -> TestSend:
    return testrun.run(testsend.prepare(a_plan(config, **more), ANA))


def rung(test: TestSend, name: str) -> dict[str, Any]:
    return next(step for step in test.steps["steps"] if step["name"] == name)


def test_the_facts_of_each_step_are_kept(smtp_server: SmtpServers, authority: TestAuthority) -> None:
    server = smtp_server(security="starttls", users={"ana": "right horse"})
    test = outcome_of(
        a_config(server.port, security="starttls", ca_certificate=authority.pem, username="ana", password="right horse")
    )
    assert test.state == "accepted"
    assert rung(test, "resolve")["facts"]["addresses"] == ["127.0.0.1"]
    assert rung(test, "tls")["facts"]["certificate"]["names"] == ["localhost", "127.0.0.1"]
    assert rung(test, "tls")["facts"]["version"].startswith("TLSv1.")
    assert rung(test, "ehlo")["facts"]["size"] == 33_554_432
    assert rung(test, "login")["facts"]["mechanisms"] == ["LOGIN", "PLAIN"]


def test_a_dry_run_sends_no_mail_and_a_login_check_asks_for_no_recipient(scripted_smtp: Callable[..., Any]) -> None:
    server: ScriptedSmtp = scripted_smtp()
    assert outcome_of(a_config(server.port), dry_run=True).state == "passed"
    assert not server.taken
    server.commands.clear()
    test = outcome_of(a_config(server.port), login_only=True)
    assert test.state == "passed"
    assert [command.split()[0] for command in server.commands] == ["EHLO", "QUIT"]
    assert test.steps["summary"] == "The service is reached and takes the login. No mail was sent."
    assert rung(test, "recipient")["state"] == "skipped"


@pytest.mark.parametrize(
    ("script", "words"),
    [({}, "chunk received"), ({"BDAT": "502 5.5.1 Not implemented"}, "End with a dot")],
    ids=["spoken", "offered only"],
)
def test_a_test_goes_the_way_of_real_mail_in_chunks(
    scripted_smtp: Callable[..., ScriptedSmtp], script: dict[str, Any], words: str
) -> None:
    server = scripted_smtp(script, keywords=["PIPELINING", "CHUNKING"])
    test = outcome_of(a_config(server.port))
    assert test.state == "accepted", test.explanation
    assert [rung(test, name)["state"] for name in ("sender", "recipient", "data", "accepted")] == ["ok"] * 4
    assert words in rung(test, "data")["detail"]
    assert [line[:4] for line in server.commands].count("BDAT") == (1 if script else 2)
    assert len(server.taken) == 1


def test_a_server_that_drips_ends_at_the_deadline_with_a_sentence(
    scripted_smtp: Callable[..., Any], settings: Settings
) -> None:
    settings.ATTEMPT_DEADLINE_S = 0.5
    server = scripted_smtp({"EHLO": Drip(b"250-still here", 0.05)})
    test = outcome_of(a_config(server.port, timeout_s=60), dry_run=True)
    assert test.state == "failed"
    assert test.explanation is not None
    assert test.explanation["code"] == "server-too-slow"
    assert rung(test, "ehlo")["ms"] < 5000


def test_a_name_with_two_addresses_shows_which_failed_and_which_worked(
    scripted_smtp: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server: ScriptedSmtp = scripted_smtp()
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0)),  # nothing listens there
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both)
    test = outcome_of(a_config(server.port, host="mail.acme.example"), dry_run=True)
    assert test.state == "passed"
    assert rung(test, "resolve")["facts"]["addresses"] == ["::1", "127.0.0.1"]
    outcomes = [(one["address"], one["outcome"]) for one in rung(test, "connect")["facts"]["tried"]]
    assert outcomes[0][0] == "::1"
    assert outcomes[0][1] in ("connection_refused", "unreachable")  # the latter without IPv6
    assert outcomes[1] == ("127.0.0.1", "connected")
    assert rung(test, "connect")["finding"]["code"] == "ip-version-fails"
    assert "IPv6 fails, IPv4 works." in transcript.text(test)
    assert re.search(r"Tried: ::1: (refused|no way there) after .* 127\.0\.0\.1: connected", transcript.text(test))


def test_the_encryption_that_would_have_worked_is_found(smtp_server: SmtpServers, authority: TestAuthority) -> None:
    server = smtp_server(security="tls", users={"ana": "right horse"})
    test = outcome_of(
        a_config(
            server.port,
            security="starttls",
            timeout_s=1,
            ca_certificate=authority.pem,
            username="ana",
            password="right horse",
        )
    )
    assert test.state == "failed"
    assert [remedy["changes"] for remedy in test.alternatives] == [{"smtp.security": "tls"}]
    assert test.alternatives[0]["holds_for"] == {"smtp.host": "127.0.0.1"}
    assert server.login_attempts == []


def test_the_port_that_would_have_worked_is_found(
    smtp_server: SmtpServers, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    server = smtp_server(security="tls")
    monkeypatch.setattr(remedies, "USUAL", ((server.port, "tls"),))
    test = outcome_of(a_config(closed_port, security="starttls", ca_certificate=authority.pem))
    assert test.explanation is not None
    assert test.explanation["code"] == "connection-refused"
    assert [remedy["changes"] for remedy in test.alternatives] == [{"smtp.port": server.port, "smtp.security": "tls"}]
    assert "Would work: " in transcript.text(test)


def test_while_alternatives_are_tried_the_failure_is_shown_already(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    seen: list[tuple[str, Any]] = []

    def find(*args: Any, **options: Any) -> list[Any]:
        row = TestSend.objects.get()
        seen.append((row.state, row.steps["probing"]))
        assert rung(row, "connect")["finding"]["code"] == "connection-refused"
        return []

    monkeypatch.setattr(remedies, "find", find)
    test = outcome_of(a_config(closed_port))
    assert seen == [("running", testrun.PROBING)]
    assert "probing" not in test.steps


def test_after_a_refused_password_no_other_port_is_tried(
    smtp_server: SmtpServers, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = smtp_server(security="starttls", users={"ana": "right horse"})
    other = smtp_server(security="tls")
    monkeypatch.setattr(remedies, "USUAL", ((other.port, "tls"),))
    test = outcome_of(
        a_config(server.port, security="starttls", ca_certificate=authority.pem, username="ana", password="wrong")
    )
    assert test.explanation is not None
    assert test.explanation["code"] == "login-refused"
    assert test.alternatives == []


def test_the_login_method_that_would_have_worked_is_found_by_one_more_attempt(
    scripted_smtp: Callable[..., ScriptedSmtp],
) -> None:
    server = scripted_smtp(
        {
            "AUTH PLAIN": "535 5.7.8 Error: authentication failed",
            "AUTH LOGIN": "334 VXNlcm5hbWU6",
            "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Accepted"] * 2,
        },
        keywords=["AUTH PLAIN LOGIN"],
    )
    login = {"username": "ana", "password": "right horse"}
    test = outcome_of(a_config(server.port, **login))
    assert test.explanation is not None
    assert test.explanation["code"] == "login-refused"
    (found,) = test.alternatives
    assert (found["changes"], found["works_until"]) == ({"smtp.auth_mechanism": "login"}, "login")
    assert found["holds_for"] == {"smtp.host": "127.0.0.1"}
    attempts = [line for line in server.commands if line.startswith("AUTH")]
    assert [line.split()[1] for line in attempts] == ["PLAIN", "LOGIN"]
    assert outcome_of(a_config(server.port, auth_mechanism="login", **login)).state == "accepted"


def test_the_health_check_makes_no_second_attempt_at_the_login(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    server = scripted_smtp({"AUTH": "535 5.7.8 no"}, keywords=["AUTH PLAIN LOGIN"])
    test = outcome_of(a_config(server.port, username="ana", password="right horse"), login_only=True)
    assert test.state == "failed"
    assert len([line for line in server.commands if line.startswith("AUTH")]) == 1


@pytest.mark.parametrize("key", ["connect", "."])
def test_the_ip_version_that_would_have_worked_is_found(
    key: str,
    scripted_smtp: Callable[..., ScriptedSmtp],
    two_versions: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remedies, "USUAL", ())
    refusal = "550 5.7.1 [2001:db8::25] This message does not meet IPv6 sending guidelines regarding PTR records"
    six, four = scripted_smtp({key: refusal}), scripted_smtp()
    host = two_versions(six.port, four.port)
    test = outcome_of(a_config(six.port, host=host))
    assert test.explanation is not None
    assert test.explanation["code"] == "address-without-name"
    assert [remedy["changes"] for remedy in test.alternatives] == [{"smtp.ip_version": "4"}]
    assert outcome_of(a_config(six.port, host=host, ip_version="4")).state == "accepted"
    assert len(four.taken) == 1


def test_a_change_that_the_environment_fixes_is_named_with_its_variable(
    smtp_server: SmtpServers, monkeypatch: pytest.MonkeyPatch, settings: Settings, closed_port: int
) -> None:
    server = smtp_server()
    monkeypatch.setattr(remedies, "USUAL", ((server.port, "none"),))
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": str(closed_port)}
    (found,) = outcome_of(a_config(1)).alternatives
    assert found["changes"] == {"smtp.port": server.port}
    assert found["pinned_by"] == ["EMAILCFG__SMTP__PORT"]


def test_a_key_of_sendgrids_other_region_is_found_there(
    sendgrid_server: SendGridServer, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as other:
        here = SendGridServer(other)
        here.keys = {}
        settings.SENDGRID_API_URL = here.url
        monkeypatch.setattr(remedies, "REGIONS", {"global": here.url, "eu": sendgrid_server.url})
        test = outcome_of(sendgrid_config())
    assert test.alternatives[0]["changes"] == {"sendgrid.region": "eu"}
    assert test.explanation is not None
    assert test.explanation["code"] == "sendgrid-other-region"


def test_an_address_the_operator_set_has_no_other_region(sendgrid_server: SendGridServer, settings: Settings) -> None:
    assert remedies.REGIONS is BASE_URLS
    sendgrid_server.keys = {}
    settings.SENDGRID_API_URL = sendgrid_server.url
    test = outcome_of(sendgrid_config())
    assert test.explanation is not None
    assert test.explanation["code"] == "sendgrid-key"
    assert test.alternatives == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_sender_that_sendgrid_has_not_verified_is_told_with_those_it_has(
    dry_run: bool, sendgrid_server: SendGridServer, settings: Settings
) -> None:
    settings.SENDGRID_API_URL = sendgrid_server.url
    sendgrid_server.senders, sendgrid_server.domains = {"news@shop.example": True}, {"shop.example": True}
    sendgrid_server.next_answers = [refusal(403, "The from address does not match a verified Sender Identity.")]
    test = outcome_of(sendgrid_config(), dry_run=dry_run)
    assert test.state == "failed"
    assert test.explanation is not None
    assert test.explanation["code"] == "sendgrid-sender-identity"
    assert "account: news@shop.example, shop.example." in test.explanation["cause"]
    assert rung(test, "sender")["ok"] is (False if dry_run else None)


def sendgrid_config() -> EmailConfig:
    return EmailConfig.model_validate(
        {
            "general": {"sender_email": "no-reply@acme.example"},
            "delivery": {"selected": "sendgrid"},
            "sendgrid": {"enabled": True, "api_key": SecretStr(KEY)},
        }
    )


def test_a_second_click_joins_the_running_test(smtp_server: SmtpServers) -> None:
    plan = a_plan(a_config(smtp_server().port))
    first = testsend.prepare_once(plan, ANA)
    assert isinstance(first, testsend.Prepared)
    second = testsend.prepare_once(plan, ANA)
    assert isinstance(second, TestSend)
    assert second.pk == first.test.pk
    testrun.run(first)
    assert isinstance(testsend.prepare_once(plan, ANA), testsend.Prepared)


@pytest.mark.parametrize(
    ("general", "said"),
    [
        ({"suppress_all": True}, ["suppresses all mail"]),
        ({"divert_to": "trial@acme.example"}, ["diverts all mail", "trial@acme.example"]),
        ({}, []),
    ],
)
def test_a_green_test_says_where_real_mail_would_go_another_way(
    smtp_server: SmtpServers, general: dict[str, Any], said: list[str]
) -> None:
    server = smtp_server()
    test = outcome_of(a_config(server.port, general=general, host="127.0.0.1"))
    assert test.state == TestSend.State.ACCEPTED
    assert [mail.recipients for mail in server.wait_for(1)] == [(TO,)]
    caveats = " ".join(test.steps["caveats"])
    assert all(words in caveats for words in said)
    assert bool(caveats) == bool(said)


def test_the_transcript_tells_every_step_and_its_facts(smtp_server: SmtpServers) -> None:
    server = smtp_server(refused={TO: "550 5.1.1 No such user here"})
    test = outcome_of(a_config(server.port))
    told = transcript.text(test)
    assert "FAILED Recipient" in told
    assert "server: 550 5.1.1 No such user here" in told
    assert "Largest message (SIZE): 32 MB" in told
    assert "[recipient-unknown]" in told


def test_what_the_operator_pinned_is_tested_as_it_runs(smtp_server: SmtpServers, settings: Settings) -> None:
    server = smtp_server()
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": str(server.port)}
    test = outcome_of(a_config(1))
    assert test.state == "accepted"
    assert test.server == f"127.0.0.1:{server.port}"
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": "none"}
    with pytest.raises(testsend.TestRefused, match="EMAILCFG__SMTP__PORT"):
        outcome_of(a_config(1))


def test_a_test_whose_process_died_is_told_to_be_interrupted_in_lists_too(smtp_server: SmtpServers) -> None:
    dead, living = (testsend.prepare(a_plan(a_config(smtp_server().port)), ANA).test for _ in range(2))
    TestSend.objects.filter(pk=dead.pk).update(beat_at=timezone.now() - timedelta(minutes=3))
    assert silent_tests.settle_all() == 1
    assert {test.pk: test.state for test in TestSend.objects.all()} == {dead.pk: "interrupted", living.pk: "running"}


def test_five_tests_a_minute_are_for_each_person(smtp_server: SmtpServers) -> None:
    plan = a_plan(a_config(smtp_server().port), dry_run=True)
    for _ in range(5):
        testsend.prepare(plan, ANA)
    with pytest.raises(testsend.TooManyTests, match="Wait a minute"):
        testsend.prepare(plan, ANA)
    testsend.prepare(plan, Actor(name="ben@acme.example"))
    TestSend.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    testsend.prepare(plan, ANA)
