"""A canary: a secret that a server repeats in every encoding stands nowhere afterwards but encrypted in its row."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from adminapp import bundle
from emailcfg.models import ConfigRevision, TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.schema import EmailConfig
from outbound import auth, healthcheck, remedies, testrun, transcript
from outbound.models import Attempt, Breaker, Message
from tests.adminapp import canary
from tests.adminapp.canary import Canary, log_file
from tests.outbound.engine.running import running, until
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.scripted import FRIENDLY, ScriptedSmtp, ehlo
from tests.servers.sendgrid import Answer, SendGridServer

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["log_file"]

PASSWORD = Canary('Zx9=q/+canary "horse" <battery>', "ana")
KEY = Canary("SG.ZxCanary9horse_battery22.ZxStaple-canary9horse_battery43canaryZx99")
TO = "ben@acme.example"


@dataclass
class Happened:
    """What went on: every kind of failure and success, while the server repeated the secret. `printed` is what the
    command line wrote, `answers` what the API said."""

    canary: Canary
    printed: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def is_in(self, text: str) -> list[str]:
        return self.canary.found_in(text)


class Room:
    """One administrator, one token, the command line and the service, at work with one server."""

    def __init__(self, client: Client, secret: Canary, form: dict[str, str], document: dict[str, Any]) -> None:
        self.client, self.form, self.document = client, {**form, "form": "1", "force": "1", "to": TO}, document
        self.token = auth.create(name="ci", scopes=auth.SCOPES, actor=ANA)
        self.happened = Happened(secret)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "get":
            answer = Client().get(f"/api/v1{path}", headers=headers)
        else:
            answer = Client().post(f"/api/v1{path}", body, "application/json", headers=headers)
        self.happened.answers.append(f"{answer.headers} {answer.content.decode()}")
        return answer

    def form_is_tested(self) -> None:
        self.client.post("/configuration/email/draft/", self.form)
        answer = self.client.post("/configuration/email/test/", self.form)
        self.happened.answers.append(answer.content.decode())

    def commands(self, *lines: tuple[str, ...]) -> None:
        for line in lines:
            for more in ((), ("--json",)):
                out = StringIO()
                with suppress(CommandError):
                    call_command(*line, *more, stdout=out)
                self.happened.printed.append(out.getvalue())

    def problems(self) -> None:
        """Requests that the API refuses, and that hold the secret where it belongs and where it does not."""
        spoilt = json.loads(json.dumps(self.document))
        spoilt["smtp"]["port"], spoilt["more"] = self.happened.canary.secret, self.happened.canary.secret
        assert self.api("post", "/config/test", {"config": spoilt, "to": TO}).status_code == 400
        for sent in ({"config": spoilt}, {"config": self.document, "description": "x"}):
            assert (
                self.api("post", "/config/revisions", {"request_id": "r", "base_revision": None, **sent}).status_code
                == 400
            )

    def time_goes_by(self) -> None:
        """Only five tests a minute may start."""
        for test in TestSend.objects.all():
            TestSend.objects.filter(pk=test.pk).update(started_at=test.started_at.replace(year=2020))


@pytest.fixture(autouse=True)
def _settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    settings.ATTEMPT_DEADLINE_S = 5.0
    settings.DATA_DIR = tmp_path  # the journal and the log
    monkeypatch.setattr(testrun, "start", lambda prepared, **options: testrun.run(prepared))


def smtp_happens(client: Client, server: ScriptedSmtp) -> Happened:
    secret = PASSWORD
    server.script["connect"] = f"220 mail.test you once said {secret.said()}"
    server.script["EHLO"] = ehlo("AUTH PLAIN LOGIN", "SIZE 1000000", f"X-YOU-SAID {secret.secret}")
    server.script["AUTH"] = secret.reply("535")
    form = {
        "general__sender_email": "no-reply@acme.example",
        "smtp__enabled": "on",
        "smtp__preset": "relay-login",
        "smtp__host": "127.0.0.1",
        "smtp__port": str(server.port),
        "smtp__security": "none",
        "smtp__timeout_s": "5",
        "smtp__max_connections": "1",
        "smtp__username": secret.user,
        "smtp__password": secret.secret,
        "sendgrid__region": "global",
    }
    smtp = {"host": "127.0.0.1", "port": server.port, "security": "none", "username": secret.user}
    document = a_document("smtp", smtp | {"password": {"set": secret.secret}}, {})
    room = Room(client, secret, form, document)
    room.form_is_tested()
    room.problems()
    activate(a_config(server.port, username=secret.user, password=secret.secret, max_connections=1))
    healthcheck.run(ANA)
    for step in ("MAIL", "RCPT", "DATA", "."):
        server.script["AUTH"] = "235 2.7.0 " + secret.said()[:400]
        server.script[step] = secret.reply("550")
        room.client.post(f"/configuration/revisions/{ConfigRevision.objects.get().number}/test/", {"to": TO})
        server.script[step] = FRIENDLY[step]
    room.time_goes_by()
    server.script["STARTTLS"] = secret.reply("554")
    encrypted = {**document, "smtp": {**document["smtp"], "security": "starttls", "host": "localhost"}}
    assert room.api("post", "/config/test", {"config": encrypted, "to": TO}).status_code == 200  # and other ways tried
    server.script["."] = secret.reply("250")
    assert room.api("post", "/config/test", {"to": TO}).json()["ok"]
    server.script["AUTH"] = secret.reply("535")
    room.commands(("emailcfg", "test", "--to", TO), ("healthcheck",))
    delivered(room, server.script, secret)
    return room.happened


def delivered(room: Room, script: dict[str, Any], secret: Canary) -> None:
    """The service meets the refused login, a refused recipient and a success."""
    with running():
        queued(1)
        until(lambda: Breaker.objects.filter(is_open=True).exists())
        script["AUTH"] = "235 2.7.0 Ok"
        script["RCPT"] = secret.reply("550")
        room.client.post("/status/probe/")
        until(lambda: Message.objects.filter(state="failed").exists())
        script["RCPT"] = secret.reply("250")
        queued(1)
        until(lambda: Message.objects.filter(state="sent").exists())


def sendgrid_happens(client: Client, server: SendGridServer, other: SendGridServer, settings: Settings) -> Happened:
    secret = KEY
    settings.SENDGRID_API_URL = server.url
    headers = {"X-Message-Id": secret.said()[:300], "X-You-Said": secret.secret, "Retry-After": secret.secret}
    document_of_errors = {"errors": [{"message": secret.said(), "field": secret.secret, "help": secret.secret}]}

    def echo(status: int) -> Answer:
        return Answer(status, document_of_errors, headers)

    server.keys = other.keys = {secret.secret: ("mail.send", secret.secret, secret.said())}
    server.scopes_answer = other.scopes_answer = echo(401)
    form = {
        "general__sender_email": "no-reply@acme.example",
        "smtp__preset": "relay-login",
        "smtp__port": "587",
        "smtp__security": "starttls",
        "smtp__timeout_s": "5",
        "smtp__max_connections": "1",
        "sendgrid__enabled": "on",
        "sendgrid__api_key": secret.secret,
        "sendgrid__region": "global",
    }
    document = a_document("sendgrid", {}, {"enabled": True, "api_key": {"set": secret.secret}})
    room = Room(client, secret, form, document)
    room.form_is_tested()  # the key is asked for in the other region, too
    room.problems()
    activate(EmailConfig.model_validate({**document, "sendgrid": {"enabled": True, "api_key": secret.secret}}))
    healthcheck.run(ANA)
    server.scopes_answer = Answer(200, f"no JSON, but {secret.said()}".encode())
    number = ConfigRevision.objects.get().number
    room.client.post(f"/configuration/revisions/{number}/test/", {"to": TO})
    server.scopes_answer = None
    server.senders, server.domains = {f"{secret.secret}@acme.example": True}, {secret.secret: True}
    room.client.post(f"/configuration/revisions/{number}/test/", {"to": TO, "dry_run": "1"})
    room.time_goes_by()
    for status in (400, 403, 429, 500):
        server.next_answers = [echo(status)]
        assert room.api("post", "/config/test", {"to": TO}).status_code == 200
    room.time_goes_by()
    server.senders = None
    server.next_answers = [Answer(202, secret.said().encode(), headers)]
    room.commands(("emailcfg", "test", "--to", TO), ("healthcheck",))
    assert TestSend.objects.filter(state="accepted").exists()
    with running():
        server.next_answers = [echo(400)]
        queued(1)
        until(lambda: Message.objects.filter(state="failed").exists())
        server.next_answers = [Answer(202, secret.said().encode(), headers)]
        queued(1)
        until(lambda: Message.objects.filter(state="sent").exists())
        server.next_answers = [echo(403)] * 3
        queued(1)
        until(lambda: Breaker.objects.filter(is_open=True).exists())
    return room.happened


def a_document(selected: str, smtp: dict[str, Any], sendgrid: dict[str, Any]) -> dict[str, Any]:
    general = {"sender_email": "no-reply@acme.example"}
    return {
        "schema_version": 1,
        "general": general,
        "delivery": {"selected": selected},
        "smtp": smtp,
        "sendgrid": sendgrid,
    }


@pytest.fixture(params=["smtp", "sendgrid"])
def happened(
    request: pytest.FixtureRequest,
    admin_client: Client,
    scripted_smtp: Callable[..., ScriptedSmtp],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    log_file: Path,
) -> Iterator[Happened]:
    if request.param == "smtp":
        server = scripted_smtp(keywords=["AUTH PLAIN LOGIN"])
        monkeypatch.setattr(remedies, "USUAL", ((server.port, "starttls"), (server.port, "tls")))
        yield smtp_happens(admin_client, server)
        return
    with HTTPServer(host="127.0.0.1", port=0, threaded=True) as one, HTTPServer(host="127.0.0.1", port=0) as two:
        here, other = SendGridServer(one), SendGridServer(two)
        monkeypatch.setattr(remedies, "REGIONS", {"global": here.url, "eu": other.url})
        yield sendgrid_happens(admin_client, here, other, settings)
        assert "GET /v3/scopes" in other.requests  # the counter-probe asked there


def test_it_stands_in_no_table_no_file_no_answer_and_nothing_that_was_printed(
    happened: Happened, log_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _was_repeated_and_removed()
    _is_in_no_table(happened)
    _is_in_no_file(happened, log_file)
    _is_in_no_answer_of_the_api(happened)
    _is_in_nothing_printed(happened)
    assert happened.is_in(caplog.text) == []


def _was_repeated_and_removed() -> None:
    words = [step["words"] for test in TestSend.objects.all() for step in test.steps["steps"] if step["words"]]
    assert any("[removed]" in text for text in words)
    assert any("[removed]" in attempt.reply for attempt in Attempt.objects.all())
    assert "[removed]" in Breaker.objects.latest("pk").sentence
    assert len(TestSend.objects.values("state").distinct()) > 1


def _is_in_no_table(happened: Happened) -> None:
    names = dict(canary.tables())
    assert len(names) > 25
    for name, text in [*names.items(), *canary.database_files()]:
        assert happened.is_in(text) == [], name


def test_no_address_of_the_product_answers_with_it(happened: Happened, admin_client: Client) -> None:
    number = str(ConfigRevision.objects.get().number)
    ids = [str(pk) for pk in TestSend.objects.values_list("pk", flat=True)]
    ids += [str(pk) for pk in Message.objects.values_list("pk", flat=True)]
    shown = set()
    examples = [{"number": number, "a": number, "b": number, "pk": pk, "id": pk} for pk in ids]
    for path, text, status in canary.answers(admin_client, examples):
        assert happened.is_in(text) == [], path
        shown |= {path} if status == 200 else set()
    for path in ("/metrics", "/readyz", "/support/", "/configuration/audit/export/", "/configuration/email/"):
        assert path in shown or path == "/readyz"
    assert {f"/configuration/tests/{pk}/" for pk in ids[:5]} <= shown
    assert f"/messages/{ids[-1]}/" in shown


def _is_in_no_file(happened: Happened, log_file: Path) -> None:
    assert "[removed]" in log_file.read_text()
    for path in django_settings.DATA_DIR.rglob("*"):
        if path.is_file():
            assert happened.is_in(path.read_bytes().decode("latin-1")) == [], path


def _is_in_no_answer_of_the_api(happened: Happened) -> None:
    headers = {"Authorization": f"Bearer {auth.create(name='reader', scopes=auth.SCOPES, actor=ANA)}"}
    number = ConfigRevision.objects.get().number
    paths = ["/config/active", "/config/revisions", f"/config/revisions/{number}", "/messages", "/instances"]
    paths += [f"/config/revisions/{number}/diff/{number}"]
    paths += [f"/messages/{pk}" for pk in Message.objects.values_list("pk", flat=True)]
    for path in (*(f"/api/v1{path}" for path in paths), "/metrics"):
        answer = Client().get(path, headers=headers)
        assert answer.status_code == 200, path
        assert happened.is_in(answer.content.decode()) == [], path
    for text in happened.answers:
        assert happened.is_in(text) == []


def _is_in_nothing_printed(happened: Happened) -> None:
    number = str(ConfigRevision.objects.get().number)
    for line in (("show",), ("history",), ("export",), ("export", "--format", "yaml"), ("diff", number, number)):
        out = StringIO()
        call_command("emailcfg", *line, stdout=out)
        happened.printed.append(out.getvalue())
    happened.printed += [transcript.text(test) for test in TestSend.objects.all()]
    for text in happened.printed:
        assert happened.is_in(text) == []


def test_the_bundle_holds_it_in_no_part_even_when_a_careless_line_of_the_log_does(
    happened: Happened, admin_client: Client, log_file: Path
) -> None:
    with log_file.open("a") as file:
        for form in happened.canary.forms().values():
            file.write(f"2026-11-23 06:00:00,000 ERROR library: {happened.canary.user} sent {form} to {TO}\n")
    parts = unzipped(admin_client.post("/support/bundle/").content)
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
        forms = [form for form in happened.is_in(text) if form not in ("HTML", "JSON")]
        assert forms == [], name
    assert f"library: {happened.canary.user} sent [removed] to b***@acme.example" in parts["log.txt"]
    shown = json.loads(parts["revisions.json"])["revisions"][0]["config"]
    assert "set" in (shown["smtp"]["password"], shown["sendgrid"]["api_key"])
    assert json.loads(parts["tests.json"])["tests"][0]["recipient"] in ("b***@acme.example", "")
    full = unzipped(bundle.build(full_addresses=True))
    assert all(TO not in text for text in parts.values())
    assert TO in full["tests.json"]


def unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        return {name: found.read(name).decode() for name in found.namelist()}


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
