"""The page, the API and the command line test the same configuration: same steps, words, findings and content hash."""

import contextlib
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from emailcfg.models import ConfigRevision, TestSend
from emailcfg.network import NetworkPolicy
from outbound import auth, testrun, transcript
from outbound.api_test import as_json
from tests.outbound.making import ANA, a_config, activate
from tests.servers.scripted import ScriptedSmtp

pytestmark = pytest.mark.django_db
TO, PASSWORD = "ben@acme.example", "right horse"


@pytest.fixture(autouse=True)
def _at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    monkeypatch.setattr(testrun, "start", lambda prepared, **options: testrun.run(prepared))


class Ways:
    """Each starts a test and returns its row. `document` is the same configuration for those that are not saved."""

    def __init__(self, client: Client, server: ScriptedSmtp, folder: Path) -> None:
        self.client = client
        self.token = auth.create(name="ci", scopes=auth.SCOPES, actor=ANA)
        self.file = folder / "config.json"
        self.document = {
            "schema_version": 1,
            "general": {"sender_email": "no-reply@acme.example", "sender_name": "Acme"},
            "delivery": {"selected": "smtp"},
            "smtp": {"host": "127.0.0.1", "port": server.port, "security": "none", "timeout_s": 5, "username": "ana"},
            "sendgrid": {},
        }
        self.file.write_text(json.dumps(self._with({"set": PASSWORD})))

    def _with(self, password: dict[str, Any]) -> dict[str, Any]:
        smtp: Any = self.document["smtp"]
        return {**self.document, "smtp": {**smtp, "password": password}}

    def form(self, *, dry_run: bool = False) -> TestSend:
        smtp: Any = self.document["smtp"]
        shown = {
            "form": "1",
            "force": "1",
            "general__sender_email": "no-reply@acme.example",
            "general__sender_name": "Acme",
            "smtp__enabled": "on",
            "smtp__preset": "relay-login",
            "smtp__host": smtp["host"],
            "smtp__port": str(smtp["port"]),
            "smtp__security": "none",
            "smtp__timeout_s": "5",
            "smtp__max_connections": "5",
            "smtp__username": "ana",
            "smtp__password": PASSWORD,
            "sendgrid__region": "global",
            "to": TO,
        }
        return self._page("/configuration/email/test/", shown | ({"dry_run": "1"} if dry_run else {}))

    def revision(self, *, dry_run: bool = False) -> TestSend:
        number = ConfigRevision.objects.get().number
        return self._page(
            f"/configuration/revisions/{number}/test/", {"to": TO} | ({"dry_run": "1"} if dry_run else {})
        )

    def _page(self, path: str, posted: dict[str, str]) -> TestSend:
        assert self.client.post(path, posted).status_code == 200
        return TestSend.objects.latest("pk")

    def api(self, *, config: bool = False, dry_run: bool = False) -> TestSend:
        body: dict[str, Any] = {"to": TO, "dry_run": dry_run}
        if config:
            body["config"] = self._with({"set": PASSWORD})
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = Client().post("/api/v1/config/test", body, "application/json", headers=headers)
        test = TestSend.objects.latest("pk")
        assert answer.json() == as_json(test)
        return test

    def command(self, *arguments: str, dry_run: bool = False) -> TestSend:
        out = StringIO()
        more = [*arguments, *(["--dry-run"] if dry_run else [])]
        with contextlib.suppress(CommandError):  # a failed test is exit code 1
            call_command("emailcfg", "test", "--to", TO, "--json", *more, stdout=out)
        test = TestSend.objects.latest("pk")
        assert json.loads(out.getvalue()) == as_json(test)
        return test

    def people(self) -> str:
        out = StringIO()
        try:
            call_command("emailcfg", "test", "--to", TO, stdout=out)
        except CommandError as error:
            out.write(str(error))
        return out.getvalue()


@pytest.fixture
def ways(admin_client: Client, scripted_smtp: Callable[..., ScriptedSmtp], tmp_path: Path, admin_user: User) -> Ways:
    server = scripted_smtp(keywords=["AUTH PLAIN LOGIN"])
    found = Ways(admin_client, server, tmp_path)
    found.server = server  # type: ignore[attr-defined]
    return found


def said(test: TestSend) -> Any:
    """All that a test tells but for its times, its own number and which configuration it names."""
    document = as_json(test)
    for name in ("id", "ms", "tested", "source", "revision", "message_id", "caveats"):
        del document[name]
    document["steps"] = [{**step, "ms": None, "facts": sorted(step["facts"])} for step in document["steps"]]
    return document


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("verb", "answer", "state"),
    [
        ("", "", "accepted"),
        ("AUTH", "535 5.7.8 Error: authentication failed", "failed"),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user ana", "failed"),
        ("RCPT", "451 4.7.1 Greylisted", "failed"),
    ],
)
def test_they_agree(ways: Ways, verb: str, answer: str, state: str, dry_run: bool) -> None:
    if verb:
        ways.server.script[verb] = answer  # type: ignore[attr-defined]
    first = ways.form(dry_run=dry_run)  # nothing is saved yet: all fields of the form are changes
    activate(a_config(ways.document["smtp"]["port"], username="ana", password=PASSWORD))  # type: ignore[index]
    tests = [
        first,
        ways.revision(dry_run=dry_run),
        ways.api(dry_run=dry_run),
        ways.api(config=True, dry_run=dry_run),
        ways.command(dry_run=dry_run),
        ways.command("--file", str(ways.file), dry_run=dry_run),
    ]
    assert {test.state for test in tests} == {"passed" if dry_run and state == "accepted" else state}
    assert {test.content_hash for test in tests} == {ConfigRevision.objects.get().content_hash}
    for test in tests[1:]:
        assert said(test) == said(tests[0])
    assert [test.source for test in tests] == ["form", "active", "active", "form", "active", "form"]


def test_the_page_the_transcript_and_the_command_line_use_the_same_words(ways: Ways, admin_client: Client) -> None:
    ways.server.script["AUTH"] = "535 5.7.8 Error: authentication failed"  # type: ignore[attr-defined]
    port = ways.document["smtp"]["port"]  # type: ignore[index]
    activate(a_config(port, username="ana", password=PASSWORD, general={"divert_to": "trial@acme.example"}))
    printed = ways.people()
    test = TestSend.objects.latest("pk")
    assert test.explanation is not None
    page = admin_client.get(f"/configuration/tests/{test.pk}/").content.decode()
    told = transcript.text(test)
    for words in (test.explanation["cause"], test.explanation["next_step"], "Log in", "535 5.7.8"):
        assert words in printed
        assert words in page.replace("&#x27;", "'")
        assert words in told
    ways.server.script["AUTH"] = "235 2.7.0 Accepted"  # type: ignore[attr-defined]
    printed = ways.people()
    test = TestSend.objects.latest("pk")
    page, told = admin_client.get(f"/configuration/tests/{test.pk}/").content.decode(), transcript.text(test)
    document = as_json(test)
    assert len(document["caveats"]) == 2
    for words in (*document["caveats"], document["summary"]):
        assert words in printed
        assert words in told
    for words in document["caveats"]:
        assert words in page
    assert document["tested"] in printed
    assert document["tested"] in told
    assert document["tested"] in " ".join(page.replace("<strong>", "").replace("</strong>", "").split())
