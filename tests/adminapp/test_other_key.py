"""A backup restored beside another encryption key: everything stays in reach, mail waits, re-entering repairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from pydantic import SecretStr

from emailcfg import activation, revisions
from emailcfg.models import Secret, ServiceInstance
from emailcfg.network import NetworkPolicy
from outbound.models import Attempt, Message
from tests.outbound.engine.running import running, until
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)

BANNER = "SMTP password: This secret can&#x27;t be decrypted with the keys of this installation. Enter it again"


def test_mail_waits_and_every_page_says_so_until_the_secret_is_entered_again(
    admin_client: Client, smtp_server: Callable[..., SmtpServer], tmp_path: Path, settings: Any
) -> None:
    settings.DATA_DIR = tmp_path
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    server = smtp_server(users={"ana": "the right one"})
    login = {"username": "ana", "password": SecretStr("the right one")}
    before = activate(a_config(server.port, **login))
    draft = revisions.save(
        config=a_config(server.port, timeout_s=9, **login), base=before.revision, description="A draft", actor=ANA
    )
    other = tmp_path / "other.keys"
    other.write_bytes(Fernet.generate_key() + b"\n")
    other.chmod(0o600)
    settings.ENCRYPTION_KEY_FILES = [other]
    (waiting,) = queued()

    paths = ["status", "configuration/email", "configuration/history", "configuration/audit", "messages", "support"]
    revision = f"configuration/revisions/{before.revision_id}"
    for path in [*paths, revision, f"{revision}/diff/{draft.number}"]:
        page = admin_client.get(f"/{path}/")
        assert page.status_code == 200, path
        assert page.content.decode().count(BANNER) >= 1, path
    with running():
        until(lambda: ServiceInstance.objects.filter(state="rejected").exists())
        assert Message.objects.get(pk=waiting).state == "queued"
        assert not Attempt.objects.exists()
        assert server.login_attempts == []  # no default, and no try without the password
        assert activation.current().revision_id == before.revision_id  # nor is anything else made active

        activate(a_config(server.port, **login))
        until(lambda: Message.objects.get(pk=waiting).state == "sent")
    assert Secret.objects.count() == 2
    assert BANNER not in admin_client.get("/status/").content.decode()
