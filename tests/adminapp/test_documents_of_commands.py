"""What programs read from the commands: with --json each prints one JSON document and nothing else."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from adminapp import setup
from outbound import auth
from outbound.models import ApiToken

pytestmark = pytest.mark.django_db


def document(*words: str) -> Any:
    out = io.StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


def refusal(*words: str) -> Any:
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*words, "--json", stdout=out)
    assert caught.value.returncode == 1
    return json.loads(out.getvalue())["error"]


def test_a_token_is_made_and_revoked() -> None:
    made = document("token", "create", "--name", "ci", "--scope", "messages:send")
    assert (made["name"], made["scopes"]) == ("ci", ["messages:send"])
    assert auth.find(made["token"]) is not None
    assert refusal("token", "create", "--name", "ci", "--scope", "messages:send")["code"] == "token_refused"
    assert document("token", "revoke", "--name", "ci")["name"] == "ci"
    assert ApiToken.objects.get().revoked_at is not None
    assert refusal("token", "revoke", "--name", "gone")["code"] == "token_refused"


def test_an_administrator_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert document("createadmin", "--email", "Ana@acme.example") == {"email": "ana@acme.example"}
    assert User.objects.get().username == "ana@acme.example"


@pytest.mark.usefixtures("claimed")
def test_what_the_other_commands_refuse_is_a_document_too(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "12 characters" in refusal("createadmin", "--email", "ben@acme.example")["detail"]
    assert refusal("setup_token")["code"] == "already_claimed"
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone.keys"]
    assert "gone.keys" in refusal("rotate_secrets")["detail"]


def test_a_setup_link_is_handed_out() -> None:
    told = document("setup_token")
    assert setup.is_valid(told["token"])
    assert all(link.endswith(told["token"]) for link in told["links"])


def test_upkeep_is_counted() -> None:
    assert document("rotate_secrets") == {"rotated": 0, "current": 0, "unreadable": 0}
    assert document("prune") == {"bodies": 0, "records": 0}
    assert document("queue", "pause") == {"paused": True, "changed": True}


def test_a_check_or_an_export_of_nothing_is_refused() -> None:
    assert refusal("healthcheck")["code"] == "not_checked"
    assert refusal("emailcfg", "export")["code"] == "revision_gone"
