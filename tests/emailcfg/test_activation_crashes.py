"""What fails or dies in the middle of an activation leaves the old configuration running, whole."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from emailcfg import activation, revisions
from emailcfg.models import Activation, AuditEvent, ConfigRevision, ServiceInstance
from emailcfg.network import NetworkPolicy
from outbound import auth, queue
from outbound.models import Message
from tests.emailcfg.making import ANA, a_config, a_revision, activated, tamper
from tests.outbound.engine.running import running, until
from tests.outbound.making import a_config as a_relay
from tests.outbound.making import activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)

LOCKED = OperationalError("database is locked")


@pytest.fixture
def broken_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database fails between the move of the pointer and its log row."""
    with monkeypatch.context() as patch:
        patch.setattr(Activation.objects, "create", _locked)
        yield


def _locked(**_: Any) -> None:
    raise LOCKED


def facts() -> tuple[Any, ...]:
    active = activation.current()
    return active.generation, active.revision_id, active.fallback_id, active.confirm_state, Activation.objects.count()


def test_a_failure_in_the_middle_changes_nothing(broken_log: None, monkeypatch: pytest.MonkeyPatch) -> None:
    revision, before = a_revision(), facts()
    with pytest.raises(OperationalError):
        activation.activate(revision.number, expected_generation=0, actor=ANA)
    assert facts() == before
    assert not AuditEvent.objects.filter(action="revision.activate").exists()


# Saves and activates in one transaction, and is killed after the first of both.
_KILLED = """
import os, signal, sys
from pathlib import Path
import django
from django.conf import settings
database, keys, fingerprint = sys.argv[1:]
settings.DATABASES["default"]["NAME"] = database
settings.ENCRYPTION_KEY_FILES, settings.FINGERPRINT_KEY_FILE = [Path(keys)], Path(fingerprint)
django.setup()
from django.db import transaction
from emailcfg import activation
from tests.emailcfg.making import a_revision, activated
activation.move = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
with transaction.atomic():
    activated(a_revision(smtp__timeout_s=8))
"""


@pytest.mark.slow
def test_killed_between_the_revision_and_the_pointer_it_leaves_neither(settings: Any) -> None:
    activated(a_revision())
    before, numbers = facts(), list(ConfigRevision.objects.values_list("number", flat=True))
    files = [str(settings.ENCRYPTION_KEY_FILES[0]), str(settings.FINGERPRINT_KEY_FILE)]
    command = [sys.executable, "-c", _KILLED, str(connection.settings_dict["NAME"]), *files]
    killed = subprocess.run(
        command, env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert facts() == before
    assert list(ConfigRevision.objects.values_list("number", flat=True)) == numbers
    assert activated(a_revision(smtp__timeout_s=9)).generation == before[0] + 1


def test_an_answer_that_was_lost_is_given_again(admin_client: Client) -> None:
    revision = a_revision()
    done = activation.activate(revision.number, expected_generation=0, actor=ANA, request_id="one")
    body = {"expected_generation": 0, "request_id": "one", "reason": "Once more", "how": "good"}
    again = admin_client.post(f"/configuration/revisions/{revision.number}/activate/", body)
    assert (again.status_code, activation.current().generation) == (303, done.active.generation)


def test_while_the_database_is_locked_the_answer_is_503_with_the_time_to_try_again(
    admin_client: Client, broken_log: None
) -> None:
    admin_client.raise_request_exception = False
    revision, before = a_revision(), facts()
    page = f"/configuration/revisions/{revision.number}/activate/"
    answer = admin_client.post(page, {"expected_generation": 0, "reason": "Now", "request_id": "one", "how": "good"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Nothing was changed" in answer.content.decode()
    token = auth.create(name="ci", scopes=auth.SCOPES, actor=ANA)
    answer = admin_client.post(
        f"/api/v1/config/revisions/{revision.number}/activate",
        json.dumps({"expected_generation": 0}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "database_unavailable")
    assert facts() == before


def test_a_database_that_fails_before_any_view_is_answered_alike(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin_client.raise_request_exception = False

    def fails(*_: Any, **__: Any) -> None:
        raise LOCKED

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", fails)
    assert admin_client.get("/status/").status_code == 503


def test_altered_bytes_are_refused_by_the_service_and_the_last_good_configuration_goes_on(
    settings: Any, tmp_path: Path, smtp_server: Any
) -> None:
    settings.DATA_DIR, settings.NETWORK_POLICY = tmp_path, NetworkPolicy(ports=None)
    good: SmtpServer = smtp_server()
    other: SmtpServer = smtp_server()
    first = activate(a_relay(good.port))
    assert first.revision is not None
    second = revisions.save(
        config=a_relay(good.port, timeout_s=9), base=first.revision, description="Altered", actor=ANA
    )
    with running():
        until(lambda: ServiceInstance.objects.filter(generation=first.generation).exists())
        queue.pause(actor=ANA)
        (waiting,) = queued()
        bent = {**second.payload, "smtp": {**second.payload["smtp"], "port": other.port}}
        tamper(second, payload=bent)
        # As somebody who owns the database could: past the program, which refuses to activate it.
        with pytest.raises(activation.NotActivatable, match="altered outside"):
            activation.activate(second.number, expected_generation=first.generation, actor=ANA)
        type(first).objects.update(revision=second, generation=first.generation + 1)
        until(lambda: ServiceInstance.objects.filter(state="rejected").exists())
        assert "altered outside" in ServiceInstance.objects.get(state="rejected").error
        queue.resume(actor=ANA)
        until(lambda: Message.objects.get(pk=waiting).state == "sent")
        type(first).objects.update(revision=first.revision, generation=first.generation + 2)
        (one,) = queued()
        until(lambda: Message.objects.get(pk=one).state == "sent")
    assert len(good.received) == 2
    assert other.received == []
    assert revisions.get(second.number).payload == bent  # never repaired on a read


def test_a_revision_that_can_not_be_saved_activates_nothing() -> None:
    activated(a_revision())
    before = facts()
    with pytest.raises(revisions.RevisionError):
        revisions.save(config=a_config(), base=activation.current().revision, description="no", actor=ANA)
    assert facts() == before
