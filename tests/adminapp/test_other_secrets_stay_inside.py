"""Canaries other than the passwords of mail servers: AWS keys, tokens, receipt codes, session cookies."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from adminapp import bundle, setup
from emailcfg.models import ConfigRevision, TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.providers import ses
from outbound import auth, testrun
from outbound.models import ApiToken
from tests.adminapp import canary
from tests.adminapp.canary import Canary, log_file
from tests.conftest import PASSWORD
from tests.outbound.making import ANA, a_config, activate
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["log_file"]


@pytest.fixture(autouse=True)
def _settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(testrun, "start", lambda prepared, **options: testrun.run(prepared))


def is_nowhere(secret: Canary, log: Path, client: Client, *, but: tuple[str, ...] = ()) -> None:
    """In no table but those that have to know it, no byte of the database, no line of the log, no part of the bundle,
    and on no page. SQLite's files hold what those tables hold, so they are left out with them."""
    for name, text in canary.tables():
        assert secret.found_in(text) == [] or name in but, name
    for name, text in canary.database_files() if not but else ():
        assert secret.found_in(text) == [], name
    logging.getLogger("tests").info("looked for a secret")
    assert "looked for a secret" in log.read_text()
    assert secret.found_in(log.read_text()) == []
    assert secret.found_in(bundle.build(full_addresses=True).decode("latin-1")) == []
    pk, number = (str(getattr(model.objects.last(), "pk", 1)) for model in (TestSend, ConfigRevision))
    values = {"pk": pk, "id": pk, "number": number, "a": number, "b": number}
    for path, text, _ in canary.answers(client, [values]):
        assert secret.found_in(text) == [], path


def test_an_aws_key_is_converted_and_not_kept(admin_client: Client, log_file: Path) -> None:
    key = Canary("wJalrXUtnFEMI/K7MDENG+bPxRfiCYCANARYKEY9", "AKIAIOSFODNN7EXAMPLE")
    form = {
        "form": "1",
        "force": "1",
        "general__sender_email": "no-reply@acme.example",
        "smtp__enabled": "on",
        "smtp__preset": "ses",
        "smtp__host": "email-smtp.eu-west-1.amazonaws.com",
        "smtp__port": "587",
        "smtp__security": "starttls",
        "smtp__timeout_s": "5",
        "smtp__max_connections": "1",
        "smtp__username": key.user,
        "smtp__password": key.secret,
        "sendgrid__region": "global",
        "to": "ben@acme.example",
    }
    refused = admin_client.post("/configuration/email/draft/", form)
    assert "AWS secret access key" in refused.content.decode()
    tested = admin_client.post("/configuration/email/test/", form)
    assert not TestSend.objects.exists()
    dialog = admin_client.post("/configuration/email/save/dialog/", form)
    is_nowhere(key, log_file, admin_client)
    converted = admin_client.post("/configuration/email/draft/", {**form, "convert": "ses"})
    assert "The AWS key was not kept." in converted.content.decode()
    for answer in (refused, tested, dialog, converted):
        assert key.found_in(answer.content.decode()) == []
    is_nowhere(key, log_file, admin_client)
    is_nowhere(Canary(ses.smtp_password(key.secret, "eu-west-1"), key.user), log_file, admin_client)


def test_an_api_token_is_shown_once_and_then_known_by_its_hash_alone(admin_client: Client, log_file: Path) -> None:
    made = admin_client.post("/support/tokens/create/", {"name": "shop", "scope": ["messages:send"]})
    (text,) = re.findall(r'value="(aat_[^"]+)"', made.content.decode())
    token = Canary(text.removeprefix("aat_"))
    headers = {"Authorization": f"Bearer {text}"}
    activate(a_config())
    answers = [
        Client().post("/api/v1/messages", {"to": ["bob@example.com"]}, "application/json", headers=headers),
        Client().post("/api/v1/messages", "{", "application/json", headers=headers),
        Client().get("/api/v1/config/active", headers=headers),
        Client().get("/api/v1/config/active", headers={"Authorization": f"Basic {text}"}),
        Client().get("/api/v1/config/active", headers={"Authorization": f"Bearer {text}x"}),
        Client().get("/api/v1/nothing", headers=headers),
        Client().get("/metrics", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 403, 401, 401, 404, 401]
    for answer in answers:
        assert token.found_in(f"{answer.headers} {answer.content.decode()}") == []
    is_nowhere(token, log_file, admin_client)
    admin_client.post("/support/tokens/revoke/", {"name": "shop"})
    assert ApiToken.objects.get().revoked_at is not None
    is_nowhere(token, log_file, admin_client)


def test_the_setup_token_is_shown_to_whoever_brings_it_and_nowhere_else(client: Client, log_file: Path) -> None:
    text = setup.new_token()
    token = Canary(text)
    sent = {"token": text, "email": "ana@acme.example", "password": PASSWORD}
    refused = client.post("/setup/", {**sent, "password": "short"})
    assert refused.status_code == 422
    for name, held in canary.tables():
        assert token.found_in(held) == [], name
    Client(enforce_csrf_checks=True).post(f"/setup/?token={text}", sent)  # refused, and logged
    assert client.post("/setup/", sent).status_code == 302
    assert client.get(f"/setup/?token={text}").status_code == 404
    is_nowhere(token, log_file, client)
    is_nowhere(Canary(PASSWORD), log_file, client)


@pytest.fixture
def mail(admin_client: Client, smtp_server: Callable[..., SmtpServer]) -> str:
    """The text of a test mail that was accepted."""
    server = smtp_server()
    activate(a_config(server.port))
    number = ConfigRevision.objects.get().number
    admin_client.post(f"/configuration/revisions/{number}/test/", {"to": "ben@acme.example"})
    part = server.wait_for(1)[0].message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_the_code_and_the_link_of_a_test_mail_stand_in_the_mail_alone(
    mail: str, admin_client: Client, log_file: Path
) -> None:
    (code,) = re.findall(r"^\s*([A-Z2-9]{4}-[A-Z2-9]{4})\s*$", mail, re.MULTILINE)
    (path,) = re.findall(r"https?://[^/]+(/received/\S+)", mail)
    code_of_mail, token = Canary(code), Canary(path.split("/")[2])
    test = TestSend.objects.get()
    assert Client().get(path).status_code == 200
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403  # told in the log, with its path
    assert "Forbidden" in log_file.read_text()
    wrong = admin_client.post(f"/configuration/tests/{test.pk}/received/", {"code": "AAAA-AAAA"})
    is_nowhere(code_of_mail, log_file, admin_client)
    is_nowhere(token, log_file, admin_client)
    right = admin_client.post(f"/configuration/tests/{test.pk}/received/", {"code": code})
    assert "Received" in right.content.decode()
    for answer in (wrong, right):
        assert code_of_mail.found_in(answer.content.decode()) == []
        assert token.found_in(answer.content.decode()) == []
    is_nowhere(code_of_mail, log_file, admin_client)
    is_nowhere(token, log_file, admin_client)


def test_a_session_cookie_is_known_to_the_sessions_and_to_the_draft_that_is_bound_to_it(
    admin_client: Client, log_file: Path
) -> None:
    admin_client.post("/configuration/email/draft/", {"form": "1", "force": "1", "general__sender_name": "Acme"})
    admin_client.post("/support/tokens/create/", {"name": "shop"})  # waits in the session for the password
    admin_client.get("/nothing/")
    cookie = Canary(admin_client.cookies[django_settings.SESSION_COOKIE_NAME].value)
    is_nowhere(cookie, log_file, admin_client, but=("django_session", "emailcfg_formdraft"))
    token = auth.create(name="ci", scopes=auth.SCOPES, actor=ANA)
    answer = admin_client.get("/api/v1/config/active", headers={"Authorization": f"Bearer {token}"})
    assert cookie.found_in(f"{answer.headers} {answer.content.decode()}") == []
