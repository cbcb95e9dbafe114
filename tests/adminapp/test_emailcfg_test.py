"""`manage.py emailcfg test` for people and programs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from emailcfg import revisions
from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from tests.outbound.making import ANA, a_config, activate
from tests.servers.scripted import ScriptedSmtp
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db
TO = "ben@acme.example"


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def emailcfg(*arguments: str) -> str:
    out = StringIO()
    call_command("emailcfg", *arguments, stdout=out)
    return out.getvalue()


def test_people_get_a_line_for_each_step(smtp_server: Callable[..., SmtpServer]) -> None:
    server = smtp_server()
    number = activate(a_config(server.port)).revision_id
    lines = emailcfg("test", "--to", TO).splitlines()
    assert lines[0] == f"Test of r{number} (active at that time) through 127.0.0.1:{server.port} to {TO}:"
    assert lines[1].startswith("ok     Find the host")
    assert any(line.startswith("ok     Accepted") for line in lines)
    assert lines[-2].startswith("Note: No process is running that delivers mail")
    assert lines[-1].startswith("The server accepted the mail.")
    assert len([line for line in lines if "Find the host" in line]) == 1
    assert len(server.received) == 1


def test_a_person_can_ask_for_all_that_each_step_learnt_and_reads_what_wants_looking_after(
    scripted_smtp: Callable[..., ScriptedSmtp], two_versions: Callable[..., str], closed_port: int
) -> None:
    server = scripted_smtp(keywords=["SIZE 10485760", "AUTH PLAIN"])
    activate(a_config(server.port, host=two_versions(closed_port, server.port)))
    told = emailcfg("test", "--to", TO, "--dry-run")
    assert "IPv6 fails, IPv4 works." in told
    assert "SIZE): " not in told
    told = emailcfg("test", "--to", TO, "--dry-run", "--facts")
    assert "       Addresses: ::ffff:127.0.0.1, 127.0.0.1" in told
    assert "       Largest message (SIZE): 10 MB" in told
    assert "       Logins offered (AUTH): PLAIN" in told


def test_a_failed_test_tells_cause_and_next_step_and_ends_with_1(smtp_server: Callable[..., SmtpServer]) -> None:
    activate(a_config(smtp_server(refused={TO: "550 5.1.1 No such user here"}).port))
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("emailcfg", "test", "--to", TO, stdout=out)
    assert caught.value.returncode == 1
    assert "FAILED Recipient" in out.getvalue()
    assert "Server: 550 5.1.1 No such user here" in out.getvalue()


def test_programs_get_one_document_and_a_file_need_not_be_saved(
    scripted_smtp: Callable[..., ScriptedSmtp], tmp_path: Path
) -> None:
    server = scripted_smtp()
    config: dict[str, Any] = {
        "schema_version": 1,
        "general": {"sender_email": "no-reply@acme.example"},
        "delivery": {"selected": "smtp"},
        "smtp": {"host": "127.0.0.1", "port": server.port, "security": "none"},
        "sendgrid": {},
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    document = json.loads(emailcfg("test", "--to", TO, "--file", str(file), "--dry-run", "--json"))
    assert document["ok"] is True
    assert not server.taken
    assert TestSend.objects.get().source == "form"


def test_a_revision_that_is_not_active_is_tested_by_its_number(smtp_server: Callable[..., SmtpServer]) -> None:
    draft, running = smtp_server(), smtp_server()
    activate(a_config(running.port))
    number = revisions.save(config=a_config(draft.port), base=None, description="Not active", actor=ANA).number
    emailcfg("test", "--to", TO, "--revision", str(number))
    assert (len(draft.received), len(running.received)) == (1, 0)
    assert TestSend.objects.get().revision_id == number


def test_the_other_verbs_are_still_there() -> None:
    assert "No revision is active" in emailcfg("show")


@pytest.mark.parametrize("arguments", [["--to", "nobody"], ["--to", TO, "--revision", "1", "--file", "x"], []])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    environment = {**os.environ, "DATA_DIR": str(django_settings.DATA_DIR)}
    command = [sys.executable, "manage.py", "emailcfg", "test", *arguments]
    done = subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, capture_output=True, check=False)
    assert done.returncode == 2, done.stderr.decode()
