"""Liveness and readiness."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from adminapp import health
from emailcfg import activation
from emailcfg.models import ConfigRevision, Secret, ServiceInstance
from outbound import instances, queue
from outbound.models import Message
from tests.outbound.log_making import a_message, an_open_breaker
from tests.outbound.making import ANA, a_config, activate

pytestmark = pytest.mark.django_db


def checks(client: Client, *, status: int) -> dict[str, dict[str, object]]:
    response = client.get("/readyz")
    assert response.status_code == status, response.content
    body = json.loads(response.content)
    assert body["ready"] is (status == 200)
    return body["checks"]


def a_service(state: str = ServiceInstance.State.RUNNING) -> ServiceInstance:
    instance = instances.register("outbound")
    instances.beat(instance, state=state, generation=0)
    return instance


def test_a_claimed_installation_with_a_service_is_ready_before_anything_is_configured(
    claimed: object, client: Client
) -> None:
    a_service()
    found = checks(client, status=200)
    assert list(found) == [
        "database",
        "setup",
        "keys",
        "active_revision",
        "queue",
        "processes",
        "breaker",
        "pause",
        "disk",
    ]
    assert found["active_revision"]["detail"] == "No revision is active yet: no mail is accepted."
    assert found["processes"]["detail"] == "0 web and 1 outbound processes run."


def test_an_installation_without_an_administrator_is_alive_but_not_ready(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert checks(client, status=503)["setup"] == {"ok": False, "detail": "No administrator is registered yet."}


def test_a_service_that_stopped_or_fell_silent_does_not_count(claimed: object, client: Client) -> None:
    a_service(ServiceInstance.State.STOPPED)
    silent = a_service()
    ServiceInstance.objects.filter(pk=silent.pk).update(last_seen=timezone.now() - timedelta(seconds=16))
    assert "no mail leaves" in str(checks(client, status=503)["processes"]["detail"])


def test_a_missing_key_file_is_named_without_its_folder(
    claimed: object, client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "ring.keys"]
    found = checks(client, status=503)
    assert "ring.keys" in str(found["keys"]["detail"])
    assert str(tmp_path) not in str(found)


def test_a_key_file_that_others_can_read_is_named_without_its_folder(
    claimed: object, client: Client, settings: Settings, tmp_path: Path
) -> None:
    ring = tmp_path / "ring.keys"
    ring.write_bytes(Fernet.generate_key())
    ring.chmod(0o644)
    settings.ENCRYPTION_KEY_FILES = [ring]
    found = checks(client, status=503)
    assert "other users" in str(found["keys"]["detail"])
    assert str(tmp_path) not in str(found)


def test_an_active_revision_that_can_not_be_read_is_named(claimed: object, client: Client) -> None:
    a_service()
    active = activation.current()
    active.revision = ConfigRevision.objects.create(
        schema_version=1, payload={"general": 7}, content_hash="x", description="broken", author_name="ana"
    )
    active.save()
    detail = checks(client, status=503)["active_revision"]["detail"]
    assert detail == f"r{active.revision.number} is active and can't be read. Status says why. No mail leaves."
    assert not Secret.objects.exists()


def test_key_files_that_are_gone_concern_the_active_revision_only_if_it_has_a_secret(
    claimed: object, client: Client, settings: Settings, tmp_path: Path
) -> None:
    a_service()
    without, with_password = activate(a_config()), a_config(username="ana", password="secret word")
    ring = settings.ENCRYPTION_KEY_FILES
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone.keys"]
    assert checks(client, status=503)["active_revision"] == {"ok": True, "detail": f"r{without.revision_id} is active."}
    settings.ENCRYPTION_KEY_FILES = ring
    activate(with_password)
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone.keys"]
    assert checks(client, status=503)["active_revision"]["ok"] is False


def test_a_pause_is_told_and_is_no_fault(claimed: object, client: Client) -> None:
    a_service()
    activate(a_config())
    assert checks(client, status=200)["pause"]["detail"] == "Sending is not paused."
    queue.pause(actor=ANA, reason="Moving the relay")
    assert checks(client, status=200)["pause"]["detail"] == "Sending is paused: mail is accepted and waits."


def test_a_database_that_fails_is_said_and_not_raised(
    claimed: object, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServiceInstance._meta, "db_table", "gone")
    monkeypatch.setattr(health, "CHECKS", {"processes": health.processes})
    assert checks(client, status=503) == {"processes": {"ok": False, "detail": "The database does not answer."}}


def test_an_open_breaker_and_a_full_disk_are_named_without_the_servers_words(
    claimed: object, client: Client, settings: Settings
) -> None:
    a_service()
    an_open_breaker(0, sentence="535 ana@acme.example is locked")
    settings.DISK_RESERVE_MB = 10**9
    found = checks(client, status=503)
    assert found["breaker"] == {
        "ok": False,
        "detail": "All mail is held: configuration, login_refused. Status says why.",
    }
    assert found["disk"]["ok"] is False
    assert "ana@acme.example" not in str(found)


def test_mail_that_waits_for_a_quarter_of_an_hour_is_a_fault(claimed: object, client: Client) -> None:
    a_service()
    activate(a_config())
    waiting = a_message("queued", due_at=timezone.now() - timedelta(minutes=14))
    assert checks(client, status=200)["queue"]["ok"]
    Message.objects.filter(pk=waiting.pk).update(due_at=timezone.now() - timedelta(minutes=15))
    detail = str(checks(client, status=503)["queue"]["detail"])
    assert detail.startswith("The oldest message that could leave waits since 900 seconds")
