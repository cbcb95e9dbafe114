"""Activating something new asks for the password again when the login is a while ago, and nothing typed is lost."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from emailcfg import activation
from emailcfg.models import Activation, ConfigRevision
from tests.conftest import PASSWORD, logged_in_ago
from tests.emailcfg.making import a_revision, activated, no_mail
from tests.outbound.making import a_config

pytestmark = pytest.mark.django_db


def address(revision: ConfigRevision) -> str:
    return f"/configuration/revisions/{revision.number}/activate/"


def post(client: Client, revision: ConfigRevision, **fields: Any) -> Any:
    sent = {"expected_generation": activation.current().generation, "request_id": f"for-{revision.number}"}
    return client.post(address(revision), {**sent, "reason": "It is urgent", **fields})


def confirm(client: Client, asked: Any, password: str = PASSWORD) -> Any:
    (back,) = parse_qs(urlsplit(asked["Location"]).query)["next"]
    return client.post(asked["Location"], {"password": password, "next": back})


def test_soon_after_the_login_nobody_is_asked(admin_client: Client) -> None:
    admin_client.get("/status/")
    logged_in_ago(admin_client, 14 * 60)
    revision = a_revision()
    assert "your password is asked for" not in admin_client.get(address(revision)).content.decode()
    assert post(admin_client, revision).status_code == 303
    assert activation.current().revision == revision


def test_later_the_password_is_asked_for_once_and_the_activation_goes_on_with_all_that_was_entered(
    late_client: Client,
) -> None:
    first = a_revision()
    activated(first)
    second, third = a_revision(smtp__timeout_s=9), a_revision(smtp__timeout_s=8)
    assert "your password is asked for" in late_client.get(address(second)).content.decode()
    asked = post(late_client, second, how="confirm", minutes="10")
    assert asked.status_code == 302
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert activation.current().revision == first
    assert confirm(late_client, asked, "wrong").status_code == 200
    assert activation.current().revision == first
    done = confirm(late_client, asked)
    assert (done.status_code, done["Location"]) == (303, address(second))
    active = activation.current()
    assert (active.revision, active.confirm_state) == (second, "pending")
    log = Activation.objects.filter(revision=second).get()
    assert (log.reason, log.actor_name) == ("It is urgent", "ana@acme.example")
    late_client.post("/configuration/confirm/", {"expected_generation": active.generation, "request_id": "keep"})
    assert post(late_client, third).status_code == 303  # fifteen minutes have begun
    assert activation.current().revision == third


def test_another_request_than_the_one_that_was_held_back_is_not_replayed(late_client: Client) -> None:
    revision = a_revision()
    post(late_client, revision)
    late_client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/status/"})
    assert activation.current().revision is None


def test_what_is_missing_is_said_before_the_password_is_asked_for(late_client: Client) -> None:
    refused = post(late_client, a_revision(), reason="")
    assert refused.status_code == 422
    assert "Give a reason" in refused.content.decode()


def test_going_back_to_what_ran_before_asks_for_nothing(late_client: Client) -> None:
    first, second = a_revision(), a_revision(no_mail())
    activated(first)
    activated(second, accept_stop=True)
    assert "your password is asked for" not in late_client.get(address(first)).content.decode()
    assert post(late_client, first).status_code == 303
    assert activation.current().revision == first


def test_returning_during_a_confirmation_asks_for_nothing(late_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=9)
    activated(first)
    active = activated(second, confirm_within_s=600)
    sent = {"expected_generation": active.generation, "request_id": "back", "number": first.number}
    late_client.post("/configuration/rollback/", sent)
    assert activation.current().revision == first


def test_save_and_activate_saves_and_leads_to_the_page_that_asks(late_client: Client) -> None:
    activated(a_revision())
    form = {"form": "1", "force": "1", "general__sender_name": "Acme Ltd.", "smtp__enabled": "on"}
    dialog = late_client.post("/configuration/email/save/dialog/", form, headers={"HX-Request": "true"})
    content = dialog.content.decode()
    assert "Save, then activate" in content

    def hidden(name: str) -> str:
        return content.split(f'name="{name}" value="')[1].split('"')[0]

    sent = {name: hidden(name) for name in ("request_id", "generation", "stamp", "newest")}
    sent |= {"description": "Another name", "act": "activate"}
    for _ in range(2):  # a double click
        answer = late_client.post("/configuration/email/save/", sent, headers={"HX-Request": "true"})
        saved = ConfigRevision.objects.get(description="Another name")
        assert answer["HX-Redirect"] == address(saved) + "?saved=now"
    assert saved.payload["general"]["sender_name"] == "Acme Ltd."
    assert activation.current().revision != saved
    page = late_client.get(answer["HX-Redirect"]).content.decode()
    assert "“Another name” is saved." in page
    assert 'name="reason" id="reason" maxlength="500" value="Another name"' in page
    done = confirm(late_client, post(late_client, saved))
    assert done.status_code == 303
    assert activation.current().revision == saved


def test_no_secret_waits_in_the_session_meanwhile(late_client: Client, settings: Settings) -> None:
    revision = a_revision(a_config(username="ana", password="canary-horse", host="127.0.0.1"))
    post(late_client, revision)
    assert "canary-horse" not in str(dict(late_client.session))


def test_the_api_asks_for_a_scope_and_nothing_more(late_client: Client) -> None:
    from outbound import auth
    from tests.outbound.making import ANA

    token = auth.create(name="ci", scopes=["config:activate"], actor=ANA)
    revision = a_revision()
    answer = Client().post(
        f"/api/v1/config/revisions/{revision.number}/activate",
        {"expected_generation": 0, "request_id": "ci-1", "reason": "Deployed"},
        "application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200, answer.content
    assert activation.current().revision == revision
