"""The health check: opens the session of the active configuration, sends no mail, and tells only what changed."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from emailcfg.models import ActiveConfig, AuditEvent, Secret, TestSend
from emailcfg.network import NetworkPolicy
from outbound import healthcheck, testrun
from outbound.healthcheck import NothingToCheck
from tests.outbound.making import ANA, a_config, activate
from tests.servers.certificates import TestAuthority
from tests.servers.scripted import ScriptedSmtp
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def told() -> list[str]:
    return list(AuditEvent.objects.filter(action__startswith="health.").order_by("pk").values_list("action", flat=True))


def test_a_check_logs_in_and_sends_nothing(smtp_server: Callable[..., SmtpServer], authority: TestAuthority) -> None:
    server = smtp_server(security="starttls", users={"ana": "right horse"})
    login = {"username": "ana", "password": "right horse"}
    activate(a_config(server.port, security="starttls", ca_certificate=authority.pem, **login))
    test = healthcheck.run(ANA)
    assert (test.state, test.source, test.recipient) == ("passed", "health", "")
    assert server.login_attempts == ["ana"]
    assert server.received == []
    standing = healthcheck.standing()
    assert standing is not None
    assert standing.ok


def test_only_a_change_is_told(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    server = scripted_smtp()
    activate(a_config(server.port))
    healthcheck.run(ANA)
    healthcheck.run(ANA)
    assert told() == []
    server.script["connect"] = "554 5.7.1 Go away"
    healthcheck.run(ANA)
    healthcheck.run(ANA)
    assert told() == ["health.failed"]
    standing = healthcheck.standing()
    assert standing is not None
    assert not standing.ok
    assert standing.sentence == "The health check failed: The server refuses this machine's network address."
    assert standing.since == TestSend.objects.filter(state="failed").order_by("pk")[0].started_at
    TestSend.objects.update(started_at=timezone.now() - timedelta(hours=1))  # five a minute are the limit
    server.script["connect"] = "220 mail.test ESMTP"
    healthcheck.run(ANA)
    assert told() == ["health.failed", "health.recovered"]


def test_a_secret_that_does_not_open_fails_the_check_before_anything_is_reached(
    scripted_smtp: Callable[..., ScriptedSmtp],
) -> None:
    server = scripted_smtp()
    activate(a_config(server.port, username="ana", password="right horse"))
    Secret.objects.update(ciphertext="not a token")
    test = healthcheck.run(ANA)
    assert test.state == "failed"
    assert test.explanation is not None
    assert "can't be decrypted" in test.explanation["title"]
    assert server.commands == []
    assert told() == ["health.failed"]


def test_without_an_active_configuration_there_is_nothing_to_check() -> None:
    with pytest.raises(NothingToCheck):
        healthcheck.run(ANA)
    assert healthcheck.standing() is None


def test_a_check_is_no_proof_that_mail_is_taken(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    from emailcfg import tested

    active = activate(a_config(scripted_smtp().port))
    healthcheck.run(ANA)
    assert active.revision is not None
    assert tested.of(active.revision.content_hash) is None


def test_once_a_day_and_not_on_the_day_of_an_activation(
    scripted_smtp: Callable[..., ScriptedSmtp], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(testrun, "start", lambda prepared, then: started.append(prepared.test.pk))
    activate(a_config(scripted_smtp().port))
    now = timezone.now()
    assert not healthcheck.daily(now)
    ActiveConfig.objects.update(activated_at=now - timedelta(days=1, seconds=1))
    assert healthcheck.daily(now)
    assert not healthcheck.daily(now)
    TestSend.objects.update(started_at=now - timedelta(days=1, seconds=1))
    assert healthcheck.daily(now)
    assert len(started) == 2


def test_the_command_says_it_in_its_exit_code(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    server = scripted_smtp()
    activate(a_config(server.port))
    out = StringIO()
    call_command("healthcheck", "--json", stdout=out)
    assert json.loads(out.getvalue())["ok"] is True
    server.script["connect"] = "554 5.7.1 Go away"
    with pytest.raises(CommandError, match="refuses this machine"):
        call_command("healthcheck", stdout=StringIO())
