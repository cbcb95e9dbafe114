"""The daily check from a real server to the Status page: told when it changes, without a mail."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from emailcfg.models import AuditEvent
from emailcfg.network import NetworkPolicy
from outbound import healthcheck
from tests.emailcfg.making import a_process
from tests.outbound.making import ANA, a_config, activate
from tests.servers.certificates import TestAuthority
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
    assert "The daily check works" in status()
    assert told() == []
    server.users["ana"] = "another horse"
    for _ in range(2):
        healthcheck.run(ANA)
        page = status()
        assert "The daily check fails" in page
        assert page.count(alert) == 1  # however often it was checked
    assert told() == ["health.failed"]
    server.users["ana"] = "right horse"
    healthcheck.run(ANA)
    page = status()
    assert "The daily check works" in page
    assert alert not in page
    assert told() == ["health.failed", "health.recovered"]
    assert server.received == []
