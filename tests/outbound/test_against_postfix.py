"""The ladder against a real Postfix: green on both ports, and its refusals explained."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from outbound import remedies, testrun, testsend
from outbound.testsend import Plan
from tests.outbound.making import ANA, a_config
from tests.servers.postfix import INBOX_DOMAIN, PASSWORD, USER, Postfix, missing

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    with Postfix() as server:
        yield server


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def outcome_of(
    postfix: Postfix, *, port: int, security: str, to: str = f"ben@{INBOX_DOMAIN}", dry_run: bool = False, **smtp: Any
) -> TestSend:
    config = a_config(port, security=security, ca_certificate=postfix.ca_pem, **smtp)
    plan = Plan(config, TestSend.Source.FORM, None, to, dry_run=dry_run)
    return testrun.run(testsend.prepare(plan, ANA))


LOGIN = {"username": USER, "password": PASSWORD}


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_every_rung_is_green(postfix: Postfix, security: str) -> None:
    port = postfix.submission if security == "starttls" else postfix.smtps
    test = outcome_of(postfix, port=port, security=security, **LOGIN)
    assert test.state == "accepted", (test.explanation, postfix.log)
    assert all(step["ok"] for step in test.steps["steps"])
    assert postfix.wait_for_mail()["To"] == f"ben@{INBOX_DOMAIN}"


def test_a_wrong_password_is_explained(postfix: Postfix) -> None:
    before = len(postfix.login_attempts)
    test = outcome_of(postfix, port=postfix.submission, security="starttls", username=USER, password="wrong horse")
    assert test.explanation is not None
    assert test.explanation["code"] == "login-refused", test.explanation
    assert "wrong horse" not in str(test.steps)
    assert postfix.login_attempts[before:] == [USER, USER]  # by PLAIN, and once more by LOGIN
    assert test.alternatives == []


@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_a_dry_run_logs_in_by_the_method_that_is_set_and_sends_nothing(postfix: Postfix, mechanism: str) -> None:
    before = len(postfix.login_attempts)
    test = outcome_of(
        postfix, port=postfix.submission, security="starttls", dry_run=True, auth_mechanism=mechanism, **LOGIN
    )
    assert test.state == "passed", (test.explanation, postfix.log)
    login = next(step for step in test.steps["steps"] if step["name"] == "login")
    assert login["facts"]["mechanism"] == mechanism.upper()
    assert len(postfix.login_attempts) == before + 1
    states = {step["name"]: step["state"] for step in test.steps["steps"]}
    assert (states["sender"], states["recipient"], states["data"]) == ("ok", "ok", "skipped")


def test_a_refusal_to_relay_is_explained(postfix: Postfix) -> None:
    test = outcome_of(postfix, port=postfix.submission, security="starttls", to="bob@elsewhere.example", dry_run=True)
    assert test.explanation is not None
    assert test.explanation["code"] == "relay-denied", test.explanation


def test_the_other_encryption_is_found(postfix: Postfix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remedies, "USUAL", ((postfix.smtps, "tls"), (postfix.submission, "starttls")))
    test = outcome_of(postfix, port=postfix.submission, security="tls", **LOGIN)
    assert test.explanation is not None
    assert test.explanation["code"] == "smtp-tls-on-plain-port"
    assert {"smtp.security": "starttls"} in [one["changes"] for one in test.alternatives]
    assert {"smtp.port": postfix.smtps} in [one["changes"] for one in test.alternatives]


def test_without_encryption_nothing_is_taken_and_the_reason_is_said(postfix: Postfix) -> None:
    test = outcome_of(postfix, port=postfix.submission, security="none", dry_run=True)
    assert test.explanation is not None
    assert test.explanation["code"] == "starttls-required", test.explanation
