"""The daily check from a real server to the Status page: told when it changes, without a mail."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from emailcfg.models import ActiveConfig, AuditEvent, TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.schema import EmailConfig
from outbound import healthcheck, testrun
from tests.emailcfg.making import a_process
from tests.outbound.making import ANA, a_config, activate
from tests.servers.certificates import TestAuthority
from tests.servers.sendgrid import KEY, SendGridServer
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db


def told() -> list[str]:
    return list(AuditEvent.objects.filter(action__startswith="health.").order_by("pk").values_list("action", flat=True))


def test_a_password_changed_at_the_server_shows_on_status_until_it_is_right_again(
    admin_client: Client, smtp_server: Callable[..., SmtpServer], authority: TestAuthority, settings: Settings
) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    server = smtp_server(security="starttls", users={"ana": "right horse"})
    login = {"username": "ana", "password": "right horse"}
    active = activate(a_config(server.port, security="starttls", ca_certificate=authority.pem, **login))
    a_process("service", "running", active.generation)

    alert = f"<span>The daily check of r{active.revision_id} failed: User name or password were refused</span>"

    def status() -> str:
        page: str = admin_client.get("/status/").content.decode()
        return page

    healthcheck.run(ANA)
    assert "The mail service is reached and takes the login." in status()
    assert told() == []
    server.users["ana"] = "another horse"
    for _ in range(2):
        healthcheck.run(ANA)
        page = status()
        assert "The health check failed: User name or password were refused" in page
        assert page.count(alert) == 1  # however often it was checked
    assert told() == ["health.failed"]
    server.users["ana"] = "right horse"
    healthcheck.run(ANA)
    page = status()
    assert "The mail service is reached and takes the login." in page
    assert alert not in page
    assert told() == ["health.failed", "health.recovered"]
    assert server.received == []


def test_the_button_shows_each_step_of_a_check_and_status_the_outcome(
    admin_client: Client, smtp_server: Callable[..., SmtpServer], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    monkeypatch.setattr(testrun, "start", lambda prepared, then: then(testrun.run(prepared)))
    assert "Check now" not in admin_client.get("/status/").content.decode()  # nothing is active
    active = activate(a_config(smtp_server().port))
    before = admin_client.get("/status/").content.decode()
    assert f"r{active.revision_id} was not checked yet." in before
    assert "Check now" in before
    shown = admin_client.post("/status/check/", follow=True)
    page = shown.content.decode()
    assert shown.redirect_chain[0][0].startswith("/configuration/tests/")
    assert "The service is reached and takes the login. No mail was sent." in page
    assert "Health check of" in page
    assert "The mail service is reached and takes the login." in admin_client.get("/status/").content.decode()


def test_a_check_of_sendgrid_looks_at_the_key_and_sends_nothing(
    sendgrid_server: SendGridServer, settings: Settings
) -> None:
    settings.SENDGRID_API_URL = sendgrid_server.url
    data = a_config().model_dump()
    data["delivery"], data["sendgrid"] = {"selected": "sendgrid"}, {"enabled": True, "api_key": KEY}
    activate(EmailConfig.model_validate(data))
    assert healthcheck.run(ANA).state == "passed"
    assert told() == []
    sendgrid_server.keys = {}
    for _ in range(2):
        test = healthcheck.run(ANA)
        assert (test.state, (test.explanation or {})["code"]) == ("failed", "sendgrid-key")
    assert told() == ["health.failed"]
    sendgrid_server.keys = {KEY: ("mail.send",)}
    healthcheck.run(ANA)
    assert told() == ["health.failed", "health.recovered"]
    assert sendgrid_server.sent == []
    assert set(sendgrid_server.requests) == {"GET /v3/scopes"}


@pytest.mark.django_db(transaction=True)
def test_of_several_processes_one_checks(
    smtp_server: Callable[..., SmtpServer], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    activate(a_config(smtp_server().port))
    now, gate = timezone.now(), Barrier(4)
    ActiveConfig.objects.update(activated_at=now - timedelta(days=1, seconds=1))
    monkeypatch.setattr(testrun, "start", lambda prepared, then: None)

    def process(number: int) -> bool:
        try:
            gate.wait(10)
            return healthcheck.daily(now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(process, range(4))) == [False, False, False, True]
    assert TestSend.objects.filter(source="health").count() == 1
