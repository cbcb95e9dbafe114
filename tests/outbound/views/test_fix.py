"""Fix my form: the changes that a failed test found, into the form and nowhere else."""

import html
from typing import Any

import pytest
from django.test import Client

from emailcfg.models import ConfigRevision, FormDraft, TestSend
from tests.outbound.making import a_config, activate

pytestmark = pytest.mark.django_db

CHANGES = {"smtp.port": 465, "smtp.security": "tls"}
FORM = {
    "form": "1",
    "general__sender_email": "no-reply@acme.example",
    "smtp__enabled": "on",
    "smtp__preset": "relay-login",
    "smtp__host": "smtp.acme.example",
    "smtp__port": "2526",
    "smtp__security": "starttls",
    "smtp__username": "ana",
    "sendgrid__region": "global",
    "force": "1",
}


def a_failed_test(source: str = "form", **fields: Any) -> TestSend:
    return TestSend.objects.create(
        content_hash="x",
        source=source,
        provider="smtp",
        server="smtp.acme.example:2526",
        actor_name="ana@acme.example",
        state="failed",
        alternatives=[
            {
                "changes": CHANGES,
                "works_until": "ehlo",
                "sentence": "smtp.acme.example answers on port 465 with TLS from the start.",
                "holds_for": {"smtp.host": "smtp.acme.example"},
            }
        ],
        **fields,
    )


def fix(client: Client, test: TestSend, **data: str) -> Any:
    return client.post(f"/configuration/tests/{test.pk}/fix/", data)


def test_the_form_takes_exactly_the_changes_and_a_typed_password_stays(admin_client: Client) -> None:
    answer = fix(admin_client, a_failed_test(), **FORM, smtp__password="right horse", remedy="0")
    draft = FormDraft.objects.get()
    assert (draft.values["smtp.port"], draft.values["smtp.security"]) == ("465", "tls")
    assert draft.values["smtp.host"] == "smtp.acme.example"
    assert draft.secrets["smtp.password"]["for"]["port"] == 465
    page = html.unescape(answer.content.decode())
    assert '"smtp__port": "465"' in page  # what the browser puts into the fields
    assert '"smtp__security": "tls"' in page
    assert "Test again" in page
    assert "right horse" not in page
    assert not ConfigRevision.objects.exists()


def test_a_stored_password_has_to_be_entered_again(admin_client: Client) -> None:
    activate(a_config(2526, host="smtp.acme.example", security="starttls", username="ana", password="right horse"))
    answer = fix(admin_client, a_failed_test(), **FORM, remedy="0")
    page = answer.content.decode()
    assert "Enter the password again" in page
    assert "Test again" not in page


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [("smtp.ip_version", "4", "IP version: IPv4 only"), ("smtp.auth_mechanism", "login", "Login method: LOGIN")],
)
def test_another_ip_version_or_login_method_needs_no_password_again(
    path: str, value: str, shown: str, admin_client: Client
) -> None:
    activate(a_config(2526, host="smtp.acme.example", security="starttls", username="ana", password="right horse"))
    test = a_failed_test()
    TestSend.objects.update(alternatives=[{**test.alternatives[0], "changes": {path: value}}])
    page = html.unescape(fix(admin_client, test, **FORM, remedy="0").content.decode())
    assert shown in page
    assert "Test again" in page
    assert FormDraft.objects.get().values[path] == value


def test_what_the_environment_fixes_has_no_button(admin_client: Client) -> None:
    test = a_failed_test()
    TestSend.objects.update(alternatives=[{**test.alternatives[0], "pinned_by": ["EMAILCFG__SMTP__PORT"]}])
    page = admin_client.get(f"/configuration/tests/{test.pk}/").content.decode()
    assert "Fixed in the environment by EMAILCFG__SMTP__PORT" in page
    assert "Fix my form" not in page


def test_a_form_that_shows_another_server_is_left_alone(admin_client: Client) -> None:
    answer = fix(admin_client, a_failed_test(), **{**FORM, "smtp__host": "evil.example"}, smtp__password="right horse")
    assert "another server" in answer.content.decode()
    assert not FormDraft.objects.exists()


@pytest.mark.parametrize("remedy", ["1", "-1", "x", "0001", "9999999999999"])
def test_an_alternative_that_was_not_found_is_not_applied(admin_client: Client, remedy: str) -> None:
    assert fix(admin_client, a_failed_test(), **FORM, remedy=remedy).status_code == 404
    assert not FormDraft.objects.exists()


def test_of_a_revision_the_form_is_loaded_with_the_fix(admin_client: Client) -> None:
    activate(a_config(2526, host="smtp.acme.example", security="starttls"))
    revision = ConfigRevision.objects.get()
    answer = fix(admin_client, a_failed_test("active", revision=revision), remedy="0")
    assert answer["Location"] == "/configuration/email/"
    draft = FormDraft.objects.get()
    assert draft.base == revision
    assert draft.changed == ["smtp.port", "smtp.security"]


def test_loading_a_revision_with_the_fix_asks_before_it_replaces_what_was_typed(admin_client: Client) -> None:
    activate(a_config(2526, host="smtp.acme.example", security="starttls"))
    revision = ConfigRevision.objects.get()
    admin_client.post("/configuration/email/draft/", {**FORM, "general__sender_name": "Typed"})
    test = a_failed_test("revision", revision=revision)
    assert "unsaved change" in fix(admin_client, test, remedy="0").content.decode()
    assert FormDraft.objects.get().values["general.sender_name"] == "Typed"
    fix(admin_client, test, remedy="0", confirm="1")
    assert FormDraft.objects.get().values["general.sender_name"] == "Acme"
    assert FormDraft.objects.get().values["smtp.port"] == "465"


def test_a_test_has_a_page_of_its_own(admin_client: Client) -> None:
    test = a_failed_test("active", revision=None)
    page = admin_client.get(f"/configuration/tests/{test.pk}/").content.decode()
    assert "<h1>Test" in page.replace("\n", "")
    assert "port 465 with TLS from the start" in page
