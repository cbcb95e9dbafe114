"""An activation for a while that breaks sending: it returns by itself, and every message leaves through the old one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from pydantic import SecretStr

from emailcfg import activation, revisions
from emailcfg.encryption import KeyRing
from emailcfg.models import Activation, ActiveConfig
from emailcfg.schema import EmailConfig
from outbound import queue, transport
from outbound.engine import reports
from outbound.models import Message
from tests.outbound.engine.running import running, until
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)


def for_a_while(config: EmailConfig) -> ActiveConfig:
    """Saved and activated for ten minutes."""
    active = activation.current()
    revision = revisions.save(config=config, base=active.revision, description="A broken one", actor=ANA)
    return activation.activate(
        revision.number, expected_generation=active.generation, actor=ANA, confirm_within_s=600
    ).active


def returned() -> Activation | None:
    return Activation.objects.filter(kind="return").first()


def wrong_password(server: SmtpServer) -> EmailConfig:
    return a_config(server.port, username="ana", password=SecretStr("not the right one"))


@pytest.mark.parametrize("how_they_come", ["at once", "one after the other"])
def test_a_refused_login_returns_once_ten_messages_are_concerned(
    smtp_server: Callable[..., SmtpServer], how_they_come: str
) -> None:
    good, strict = smtp_server(), smtp_server(users={"ana": "the right one"})
    first = activate(a_config(good.port))
    with running():
        broken = for_a_while(wrong_password(strict))
        if how_they_come == "at once":
            ids = queued(12)
        else:
            ids = []
            for _ in range(9):
                ids += queued(1)
            until(lambda: bool(strict.login_attempts))
            assert returned() is None  # of so few it is too early to judge
            ids += queued(3)
        until(lambda: returned() is not None)
        until(lambda: Message.objects.filter(state="sent").count() == 12)
    log = returned()
    assert log is not None
    assert (log.revision_id, log.previous_id) == (first.revision_id, broken.revision_id)
    assert "failed because of the configuration" in log.reason
    assert "535" in log.reason
    assert "not the right one" not in log.reason
    assert len(good.received) == len(ids) == 12
    assert strict.received == []
    assert len(strict.login_attempts) < 5  # no hammering: wrong logins lock accounts


def test_few_messages_wait_for_the_deadline_and_then_leave(smtp_server: Callable[..., SmtpServer]) -> None:
    good, strict = smtp_server(), smtp_server(users={"ana": "the right one"})
    activate(a_config(good.port))
    with running():
        for_a_while(wrong_password(strict))
        queued(3)
        until(lambda: bool(strict.login_attempts))
        assert returned() is None
        ActiveConfig.objects.update(confirm_deadline=activation.database_time())
        until(lambda: Message.objects.filter(state="sent").count() == 3)
    log = returned()
    assert log is not None
    assert log.reason == "Nobody confirmed in time."
    assert len(good.received) == 3


def test_what_every_process_refuses_returns(
    smtp_server: Callable[..., SmtpServer], tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has other keys than the one who activated, as after half a move to another machine."""
    good = smtp_server()
    first = activate(a_config(good.port))
    other = tmp_path / "other.keys"
    other.write_bytes(Fernet.generate_key() + b"\n")
    other.chmod(0o600)
    ring = KeyRing.read([other], settings.FINGERPRINT_KEY_FILE)
    with running():
        until(lambda: bool(activation.current().revision_id))
        monkeypatch.setattr(
            transport.secrets, "open_all", lambda config, _, real=transport.secrets.open_all: real(config, ring)
        )
        broken = for_a_while(wrong_password(good))
        (waiting,) = queued()
        until(lambda: returned() is not None)
        until(lambda: Message.objects.get(pk=waiting).state == "sent")
    log = returned()
    assert log is not None
    assert (log.revision_id, log.previous_id) == (first.revision_id, broken.revision_id)
    assert "All processes refused it" in log.reason
    assert "can't be decrypted" in log.reason


def test_a_paused_queue_is_no_failure_of_the_configuration(smtp_server: Callable[..., SmtpServer]) -> None:
    good = smtp_server()
    activate(a_config(good.port))
    queue.pause(actor=ANA)
    with running() as engine:
        pending = for_a_while(a_config(good.port, timeout_s=7))
        queued(12)
        until(lambda: engine.transport.generation == pending.generation)
        reports.tell_of_what_waits(timezone.now())
    assert returned() is None
    assert not Message.objects.filter(state="sent").exists()


def test_what_nobody_confirmed_while_nothing_ran_returns_before_the_first_mail_leaves(
    smtp_server: Callable[..., SmtpServer],
) -> None:
    good, other = smtp_server(), smtp_server()
    activate(a_config(good.port))
    for_a_while(a_config(other.port))
    queued(3)
    ActiveConfig.objects.update(confirm_deadline=activation.database_time())
    with running():
        until(lambda: Message.objects.filter(state="sent").count() == 3)
    assert (len(good.received), other.received) == (3, [])
