"""POST /config/test: the ladder for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from emailcfg.models import ConfigRevision
from emailcfg.network import NetworkPolicy
from outbound import auth
from tests.outbound.making import ANA, a_config, activate
from tests.servers.certificates import TestAuthority
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db

Call = Callable[..., Any]
TO = "ben@acme.example"


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


@pytest.fixture
def server(smtp_server: Callable[..., SmtpServer]) -> SmtpServer:
    return smtp_server(security="starttls", users={"ana": "right horse"})


def a_document(server: SmtpServer, authority: TestAuthority, password: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "general": {"sender_email": "no-reply@acme.example"},
        "delivery": {"selected": "smtp"},
        "smtp": {
            "host": "127.0.0.1",
            "port": server.port,
            "security": "starttls",
            "ca_certificate": authority.pem,
            "username": "ana",
            "password": password,
        },
        "sendgrid": {},
    }


def test_a_configuration_that_was_never_saved_is_tested(
    call: Call, server: SmtpServer, authority: TestAuthority
) -> None:
    config = a_document(server, authority, {"set": "right horse"})
    answer = call("post", "/config/test", {"config": config, "to": TO})
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["ok"] is True
    assert [step["name"] for step in body["steps"]][-1] == "accepted"
    assert all(step["ok"] for step in body["steps"])
    assert len(body["content_hash"]) == 64
    assert server.wait_for(1)[0].recipients == (TO,)
    assert not ConfigRevision.objects.exists()


def test_a_refused_login_is_a_finding_and_the_password_is_nowhere_in_the_answer(
    call: Call, server: SmtpServer, authority: TestAuthority
) -> None:
    config = a_document(server, authority, {"set": "wr0ng-secret"})
    answer = call("post", "/config/test", {"config": config, "to": TO})
    assert answer.status_code == 200
    body = answer.json()
    assert body["ok"] is False
    (failed,) = [step for step in body["steps"] if step["ok"] is False]
    assert (failed["name"], failed["finding"]["code"]) == ("login", "login-refused")
    assert "wr0ng-secret" not in answer.content.decode()


def test_kept_secrets_are_those_of_what_is_active(call: Call, server: SmtpServer, authority: TestAuthority) -> None:
    secrets = {"username": "ana", "password": "right horse"}
    activate(a_config(server.port, security="starttls", ca_certificate=authority.pem, **secrets))
    answer = call("post", "/config/test", {"config": a_document(server, authority, {"keep": True}), "to": TO})
    assert answer.json()["ok"] is True
    elsewhere = a_document(server, authority, {"keep": True})
    elsewhere["smtp"]["host"] = "localhost"
    refused = call("post", "/config/test", {"config": elsewhere, "to": TO})
    assert (refused.status_code, refused.json()["code"]) == (400, "secret_needed")


def test_without_a_revision_what_is_active_is_tested(call: Call, smtp_server: Callable[..., SmtpServer]) -> None:
    server = smtp_server()
    assert call("post", "/config/test", {"to": TO}).json()["code"] == "test_refused"
    activate(a_config(server.port))
    body = call("post", "/config/test", {"to": TO, "dry_run": True}).json()
    assert (body["ok"], body["state"]) == (True, "passed")
    assert body["content_hash"] == ConfigRevision.objects.get().content_hash
    assert server.received == []


def test_it_needs_the_scope_to_write_the_configuration(call: Call) -> None:
    reader = auth.create(name="reader", scopes=["config:read", "messages:send"], actor=ANA)
    answer = call("post", "/config/test", {"to": TO}, token=reader)
    assert (answer.status_code, answer.json()["scope"]) == (403, "config:write")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"to": "nobody"}, 400, "invalid_request"),
        ({"to": TO, "revision": 99}, 404, None),
        ({"to": TO, "revision": 1, "config": {}}, 400, "invalid_request"),
        ({"to": TO, "config": {"smtp": {"port": "x"}}}, 400, "invalid_config"),
        ({"to": TO, "more": 1}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
    ],
)
def test_what_can_not_be_tested_is_a_problem(call: Call, body: dict[str, Any], status: int, code: str | None) -> None:
    answer = call("post", "/config/test", body)
    assert answer.status_code == status
    assert code is None or json.loads(answer.content)["code"] == code


def test_the_sixth_test_in_a_minute_is_refused(call: Call, smtp_server: Callable[..., SmtpServer]) -> None:
    activate(a_config(smtp_server().port))
    for _ in range(5):
        assert call("post", "/config/test", {"to": TO, "dry_run": True}).status_code == 200
    answer = call("post", "/config/test", {"to": TO, "dry_run": True})
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")


def test_without_the_key_files_it_says_so(call: Call, settings: Settings, tmp_path: Path) -> None:
    number = activate(a_config()).revision_id
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "ring.keys"]
    for what in ({}, {"revision": number}):
        answer = call("post", "/config/test", {"to": TO, **what})
        assert (answer.status_code, answer.json()["code"]) == (503, "keys_unusable")
        assert "ring.keys" in answer.json()["detail"]
