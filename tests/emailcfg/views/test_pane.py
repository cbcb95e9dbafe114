"""The page and its parts through HTTP: what it costs, what it locks, what it guides to."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from emailcfg import drafts
from tests.emailcfg.making import a_revision, a_test_of, activated
from tests.journeys.pages import DIALOG, DRAFT, PANE, complete_form, post, read, stamp

pytestmark = pytest.mark.django_db


def test_the_page_and_a_change_cost_few_queries(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    activated(a_revision())
    for timeout in range(31, 41):
        a_revision(smtp__timeout_s=timeout)
    sent = complete_form(draft_version=stamp(admin_client))
    with django_assert_max_num_queries(16):  # six of them savepoints
        post(admin_client, DRAFT, sent)
    with django_assert_max_num_queries(16):  # nine of them for the OmniBar
        admin_client.get(PANE)


def test_the_last_test_of_what_the_form_shows_comes_back_for_a_while_to_whoever_started_it(
    admin_user: User, admin_client: Client
) -> None:
    revision = activated(a_revision()).revision
    other = a_revision(smtp__timeout_s=20)
    assert revision is not None
    a_test_of(revision)  # of somebody else
    a_test_of(revision, "passed", source="health", dry_run=True, actor=admin_user)
    a_test_of(other, actor=admin_user)  # of something else
    assert "again=1" not in admin_client.get(PANE).content.decode()
    shown = a_test_of(revision, "failed", actor=admin_user)
    assert f"/configuration/tests/{shown.pk}/?on=form&amp;again=1" in admin_client.get(PANE).content.decode()
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        admin_client.force_login(admin_user)
        assert "again=1" not in admin_client.get(PANE).content.decode()


def test_a_test_that_comes_back_is_told_as_no_news_and_its_own_page_does_not_lead_to_itself(
    admin_client: Client,
) -> None:
    address = f"/configuration/tests/{a_test_of(a_revision(), 'failed').pk}/"
    ended = admin_client.get(f"{address}?on=form", headers={"HX-Request": "true"})
    assert "test-ended" in ended["HX-Trigger"]
    assert f'href="{address}"' in ended.content.decode()
    again = admin_client.get(f"{address}?on=form&again=1", headers={"HX-Request": "true"})
    assert "HX-Trigger" not in again
    own = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}"}
    assert f'href="{address}"' not in admin_client.get(address, headers=own).content.decode()


def test_an_empty_installation_says_what_to_do_first(admin_client: Client) -> None:
    assert b"Set up email in four steps" in admin_client.get(PANE).content
    a_revision()
    assert b"Set up email in four steps" not in admin_client.get(PANE).content


def test_a_field_that_the_environment_fixes_is_locked_with_its_source(
    admin_user: User, admin_client: Client, settings: Any
) -> None:
    activated(a_revision())
    settings.EMAILCFG_PINS = {
        "EMAILCFG__SMTP__HOST": "relay.internal",
        "EMAILCFG__SMTP__PASSWORD": "pinned secret",
        "EMAILCFG__DELIVERY__SELECTED": "smtp",
        "EMAILCFG__GENERAL__SUPPRESS_ALL": "false",
    }
    page = admin_client.get(PANE).content.decode()
    assert 'value="relay.internal"' in page
    assert "pinned secret" not in page
    for source in settings.EMAILCFG_PINS:
        assert f"Fixed by {source}" in page
    sent = complete_form(draft_version=stamp(admin_client), smtp__password="")
    for name in ("smtp__host", "smtp__enabled"):  # a browser sends nothing of a locked field
        del sent[name]
    notes = read(post(admin_client, DRAFT, sent))
    assert "smtp__host" not in notes.values
    values = drafts.load(admin_user, str(admin_client.session.session_key)).values
    assert (values["smtp.host"], values["smtp.enabled"]) == ("smtp.acme.com", "on")


def test_another_pages_save_button_opens_the_dialog_over_the_draft(admin_client: Client) -> None:
    post(admin_client, DRAFT, complete_form())
    notes = read(post(admin_client, DIALOG, {}))
    assert "as a new revision" in notes.text
    assert "no-reply@acme.example" in notes.text


def test_loading_a_revision_over_unsaved_changes_asks_first(admin_user: User, admin_client: Client) -> None:
    old = a_revision(smtp__timeout_s=9)
    activated(a_revision())
    post(admin_client, DRAFT, complete_form(draft_version=stamp(admin_client)))
    path = f"/configuration/email/load/{old.number}/"
    assert "unsaved change" in admin_client.post(path).content.decode()
    assert drafts.unsaved_changes(admin_user)
    assert admin_client.post(path, {"confirm": "1"}).headers["Location"] == PANE
    assert drafts.load(admin_user, str(admin_client.session.session_key)).base == old


def test_loading_a_revision_that_is_gone_says_so(admin_client: Client) -> None:
    answer = admin_client.post("/configuration/email/load/999999999999/", follow=True)
    assert "There is no revision r999999999999" in answer.content.decode()


def test_a_discard_answers_a_browser_and_htmx(admin_client: Client) -> None:
    path = "/configuration/email/discard/"
    assert admin_client.post(path).headers["Location"] == PANE
    assert post(admin_client, path, {}).headers["HX-Redirect"] == PANE
