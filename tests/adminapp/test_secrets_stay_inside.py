"""A canary: a secret that a server echoes in every encoding stands nowhere afterwards but encrypted in its row."""

import base64
import html
import io
import json
import logging
import quopri
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from adminapp import bundle
from emailcfg.models import ConfigRevision, TestSend
from emailcfg.network import NetworkPolicy
from outbound import auth, healthcheck, testrun, transcript
from tests.adminapp import addresses
from tests.outbound.making import ANA, a_config, activate
from tests.servers.scripted import ScriptedSmtp

pytestmark = pytest.mark.django_db(transaction=True)

USER, CANARY = "ana", 'Zx9=q/+canary "horse" <battery>'
TO = "ben@acme.example"


def encodings() -> dict[str, str]:
    """The secret in each form in which it could turn up."""
    raw = CANARY.encode()
    sasl = f"\0{USER}\0{CANARY}".encode()
    return {
        "plain": CANARY,
        "base64": base64.b64encode(raw).decode().rstrip("="),
        "url-safe base64": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "SASL PLAIN": base64.b64encode(sasl).decode().rstrip("="),
        "HTTP basic": base64.b64encode(f"{USER}:{CANARY}".encode()).decode().rstrip("="),
        "URL-encoded": quote(CANARY, safe=""),
        "form-encoded": quote_plus(CANARY),
        "quoted-printable": quopri.encodestring(raw, quotetabs=True).decode(),
        "hexadecimal": raw.hex(),
        "HTML": html.escape(CANARY),
        "JSON": json.dumps(CANARY)[1:-1],
    }


def found_in(text: str) -> list[str]:
    return [name for name, form in encodings().items() if form.lower() in text.lower()]


def echo(code: str) -> str:
    forms = list(encodings().values())[:9]  # a server does not speak HTML or JSON
    return "\r\n".join(f"{code}{' ' if form is forms[-1] else '-'}5.7.8 you said {form} to me" for form in forms)


@pytest.fixture
def everything_happened(
    admin_client: Client,
    scripted_smtp: Callable[..., ScriptedSmtp],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> ScriptedSmtp:
    """Tests from the form, the API and a revision failed at different steps, a health check too, while the server
    repeated what it was told; the configuration was saved and activated."""
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    monkeypatch.setattr(testrun, "start", lambda prepared, **options: testrun.run(prepared))
    server = scripted_smtp({"AUTH": echo("535")}, keywords=["AUTH PLAIN LOGIN"])
    form = {
        "form": "1",
        "force": "1",
        "general__sender_email": "no-reply@acme.example",
        "smtp__enabled": "on",
        "smtp__preset": "relay-login",
        "smtp__host": "127.0.0.1",
        "smtp__port": str(server.port),
        "smtp__security": "none",
        "smtp__timeout_s": "5",
        "smtp__max_connections": "1",
        "smtp__username": USER,
        "smtp__password": CANARY,
        "sendgrid__region": "global",
        "to": TO,
    }
    admin_client.post("/configuration/email/draft/", form)
    answer = admin_client.post("/configuration/email/test/", form)
    assert found_in(answer.content.decode()) == []
    activate(a_config(server.port, username=USER, password=CANARY))
    healthcheck.run(ANA)
    server.script["AUTH"] = "235 2.7.0 Accepted"
    server.script["RCPT"] = echo("550")
    number = ConfigRevision.objects.get().number
    admin_client.post(f"/configuration/revisions/{number}/test/", {"to": TO})
    assert TestSend.objects.count() == 3
    assert set(TestSend.objects.values_list("state", flat=True)) == {"failed"}
    words = [step["words"] for test in TestSend.objects.all() for step in test.steps["steps"] if step["words"]]
    assert any("[removed]" in text for text in words)  # the server did echo
    return server


def test_no_page_and_no_answer_of_the_api_holds_it(everything_happened: ScriptedSmtp, admin_client: Client) -> None:
    token = auth.create(name="ci", scopes=auth.SCOPES, actor=ANA)
    number = ConfigRevision.objects.get().number
    paths = ["/configuration/email/", "/configuration/history/", f"/configuration/revisions/{number}/"]
    paths += ["/configuration/audit/", "/status/", "/support/", "/messages/"]
    paths += [f"/configuration/tests/{pk}/" for pk in TestSend.objects.values_list("pk", flat=True)]
    for path in paths:
        page = admin_client.get(path)
        assert page.status_code == 200, path
        assert found_in(page.content.decode()) == [], path
    everything_happened.script["RCPT"] = echo("452")
    headers = {"Authorization": f"Bearer {token}"}
    config = {
        "schema_version": 1,
        "general": {"sender_email": "no-reply@acme.example"},
        "delivery": {"selected": "smtp"},
        "smtp": {
            "host": "127.0.0.1",
            "port": everything_happened.port,
            "security": "none",
            "username": USER,
            "password": {"set": CANARY},
        },
        "sendgrid": {},
    }
    answers = [
        Client().post("/api/v1/config/test", {"config": config, "to": TO}, "application/json", headers=headers),
        Client().get("/api/v1/config/active", headers=headers),
        Client().get(f"/api/v1/config/revisions/{number}", headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.content
        assert found_in(answer.content.decode()) == []


def test_no_address_of_the_product_answers_with_it(
    everything_happened: ScriptedSmtp, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every route of the URL conf that GET may ask for, with a revision and each test that really are there."""
    number = str(ConfigRevision.objects.get().number)
    for name in ("number", "a", "b"):
        monkeypatch.setitem(addresses.EXAMPLES, name, number)
    shown = 0
    for pk in TestSend.objects.values_list("pk", flat=True):
        monkeypatch.setitem(addresses.EXAMPLES, "pk", str(pk))
        for path in sorted({address.path for address in addresses.addresses()}):
            if path.startswith("/accounts/logout"):
                continue
            page = admin_client.get(path)
            content = page.getvalue().decode("utf-8", "replace")
            assert found_in(content) == [], path
            assert found_in(str(page.headers)) == [], path
            shown += page.status_code == 200
    assert shown > 60
    for test in TestSend.objects.all():
        assert found_in(transcript.text(test)) == []


def test_no_row_and_no_byte_of_the_database_holds_it(everything_happened: ScriptedSmtp) -> None:
    for model in apps.get_models():
        for row in model._base_manager.values():
            assert found_in(json.dumps(row, default=str, ensure_ascii=False)) == [], model.__name__
            assert found_in(" ".join(map(str, row.values()))) == [], model.__name__
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        for path in (Path(name), Path(f"{name}-wal")):
            if path.exists():
                assert found_in(path.read_bytes().decode("latin-1")) == [], path


def test_no_line_of_the_log_holds_it(everything_happened: ScriptedSmtp, caplog: pytest.LogCaptureFixture) -> None:
    log = Path(django_settings.DATA_DIR) / "logs" / "adminapp.log"
    if log.exists():
        assert found_in(log.read_text(errors="replace")) == []
    assert found_in(caplog.text) == []


def test_the_bundle_holds_it_in_no_part_even_when_a_careless_line_of_the_log_does(
    everything_happened: ScriptedSmtp, admin_client: Client, admin_user: User
) -> None:
    log = Path(django_settings.DATA_DIR) / "logs" / "adminapp.log"
    logging.getLogger("careless").error("login as %s with %s", USER, CANARY)
    with log.open("a") as file:
        for form in encodings().values():
            file.write(f"2026-11-23 06:00:00,000 ERROR library: {USER} sent {form} to {TO}\n")
    try:
        answer = admin_client.post("/support/bundle/")
    finally:
        log.unlink()
    parts = unzipped(answer.content)
    assert set(parts) == {
        "README.txt",
        "versions.json",
        "environment.json",
        "revisions.json",
        "tests.json",
        "queue.json",
        "attempts.json",
        "audit.json",
        "log.txt",
    }
    for name, text in parts.items():
        forms = [form for form in found_in(text) if form not in ("HTML", "JSON")]
        assert forms == [], name
    assert "library: ana sent [removed] to b***@acme.example" in parts["log.txt"]
    assert json.loads(parts["revisions.json"])["revisions"][0]["config"]["smtp"]["password"] == "set"
    assert json.loads(parts["tests.json"])["tests"][0]["recipient"] == "b***@acme.example"


def unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        return {name: found.read(name).decode() for name in found.namelist()}


def test_addresses_are_complete_only_when_asked_for(everything_happened: ScriptedSmtp) -> None:
    masked, full = unzipped(bundle.build()), unzipped(bundle.build(full_addresses=True))
    assert all(TO not in text for text in masked.values())
    assert TO in full["tests.json"]


def test_passwords_in_the_operators_urls_are_left_out(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = replace(
        django_settings.ENVIRONMENT,
        database_url="postgresql://app:s3cret-db@db/name",
        broker_url="amqp://app:s3cret-mq@mq",
        pins={"EMAILCFG__SMTP__PASSWORD": "s3cret-pin"},
    )
    monkeypatch.setattr(django_settings, "ENVIRONMENT", environment)
    text = unzipped(bundle.build())["environment.json"]
    assert "s3cret" not in text
    assert json.loads(text)["pins"] == {"EMAILCFG__SMTP__PASSWORD": "set"}
