"""However slowly or oddly the other side answers, page, API and command line come to an end with a sentence."""

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from emailcfg import domain_check
from emailcfg.diagnosis.lookup import ResolverSettings
from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from outbound import auth, remedies, testrun
from tests.outbound.making import ANA, a_config, activate
from tests.servers.dns import SILENT, DnsServer
from tests.servers.scripted import Drip, ScriptedSmtp

pytestmark = pytest.mark.django_db


@pytest.fixture
def dripping(scripted_smtp: Callable[..., ScriptedSmtp], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is active leads to a server that never ends its answer to EHLO."""
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    settings.ATTEMPT_DEADLINE_S = 0.5
    monkeypatch.setattr(remedies, "find", lambda *args, **options: [])
    activate(a_config(scripted_smtp({"EHLO": Drip(b"250-still here")}).port, timeout_s=60))


def test_a_page_does_not_wait_for_a_test(dripping: None, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[testrun.Prepared] = []
    monkeypatch.setattr(testrun, "start", lambda prepared, **options: started.append(prepared))
    test = TestSend.objects
    page = admin_client.post("/status/check/")
    assert page.status_code == 302
    (prepared,) = started
    assert "running" in admin_client.get(page["Location"]).content.decode().lower()
    testrun.run(prepared)
    ended = admin_client.get(page["Location"]).content.decode()
    assert test.get().state == "failed"
    assert "too slowly" in ended or "in time" in ended


def test_the_api_ends_at_the_deadline(dripping: None, admin_user: User) -> None:
    headers = {"Authorization": f"Bearer {auth.create(name='ci', scopes=auth.SCOPES, actor=ANA)}"}
    body = {"to": "ben@acme.example"}
    answer = Client().post("/api/v1/config/test", body, "application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    steps = {step["name"]: step for step in answer.json()["steps"]}
    assert steps["ehlo"]["finding"]["code"] == "server-too-slow"


def test_the_command_ends_at_the_deadline(dripping: None) -> None:
    out = StringIO()
    with pytest.raises((CommandError, SystemExit)) as caught:
        call_command("emailcfg", "test", "--to", "ben@acme.example", "--json", stdout=out)
    assert getattr(caught.value, "returncode", getattr(caught.value, "code", None)) == 1
    assert json.loads(out.getvalue())["ok"] is False


def test_silent_dns_leaves_the_page_of_the_sender_domain_with_an_answer(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DnsServer({}, otherwise=SILENT) as server:
        short = ResolverSettings(("127.0.0.1",), server.port, timeout_s=0.1, lifetime_s=0.2, total_s=0.4)
        monkeypatch.setattr(domain_check, "_resolver", lambda: short)
        page = admin_client.post("/support/", {"tool": "domain", "general__sender_email": "a@acme.example"})
    assert page.status_code == 200
    assert "could not be checked" in page.content.decode()


HOSTILE = {
    "one line": "a" * 262_144,
    "digits": "5" * 262_144,
    "codes": "550 " * 65_536,
    "open brackets": "(" * 262_144,
    "folded": "Received: from a\r\n" + " b\r\n" * 65_536,
    "received": "Received: from a by b; Mon, 23 Nov 2026 06:00:00 +0000\r\n" * 4_500,
    "results": "Authentication-Results: x; " + "spf=pass (" * 26_000,
    "dots": "Received: from " + "a." * 131_000,
    "at signs": "@" * 262_144,
    "zeros": "\0" * 262_144,
    "encoded words": "Subject: " + "=?utf-8?q?=" * 23_000,
    "quotes": 'Received: from "' + '\\"' * 131_000,
    "identities": "not verified in region a: " + "a@" * 131_000,
    "spaces": " " * 262_144 + "x",
    "continued": "535-5.7.8 no\n" * 20_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("tool", ["explain", "headers"])
def test_a_hostile_paste_is_answered(tool: str, text: str, admin_client: Client) -> None:
    assert admin_client.post("/support/", {"tool": tool, "text": text}).status_code == 200
