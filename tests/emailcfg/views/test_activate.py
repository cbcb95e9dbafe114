"""The Activate page, confirmation and rollback, through HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from adminapp import wiring
from emailcfg import activation, ports
from emailcfg.models import Activation, ActiveConfig, ConfigRevision
from emailcfg.preflight import Consequence, Level
from tests.emailcfg.making import a_process, a_revision, a_test_of, activated, no_mail, tamper

pytestmark = pytest.mark.django_db


def address(revision: ConfigRevision) -> str:
    return f"/configuration/revisions/{revision.number}/activate/"


def post(client: Client, revision: ConfigRevision, **fields: Any) -> HttpResponse:
    defaults = {"expected_generation": activation.current().generation, "request_id": f"for-{revision.number}"}
    return client.post(address(revision), defaults | fields)  # type: ignore[return-value]


def text(response: HttpResponse) -> str:
    return response.content.decode()


def test_the_page_shows_the_difference_and_what_follows_before_anything_happens(admin_client: Client) -> None:
    first = a_revision()
    activated(first)
    second = a_revision(base=first, smtp__password="second secret", smtp__timeout_s=10)
    page = text(admin_client.get(address(second)))
    for words in (f"What changes from r{first.number}", "SMTP: password", "changed", "never tested", "10 minutes"):
        assert words in page
    assert "second secret" not in page
    assert activation.current().revision == first


CHOSEN = 'value="confirm" checked'


def test_something_new_is_kept_only_if_it_is_confirmed_unless_one_chooses_otherwise(admin_client: Client) -> None:
    activated(a_revision())
    second = a_revision(smtp__timeout_s=10)
    page = text(admin_client.get(address(second)))
    assert CHOSEN in page
    assert page.index('value="confirm"') < page.index('value="good"')
    assert '<option value="10" selected>' in page
    refused = text(post(admin_client, second, how="good", minutes="10"))
    assert "Give a reason" in refused
    assert CHOSEN not in refused
    post(admin_client, second, how="good", minutes="10", reason="Go on")
    assert activation.current().confirm_state == "none"


def test_what_ran_before_comes_back_for_good_unless_one_chooses_otherwise(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    activated(second)
    page = text(admin_client.get(address(first)))
    assert 'value="good" checked' in page
    assert "Roll back for good" in page
    assert CHOSEN not in page


def test_it_says_whether_it_was_tested_and_leads_to_what_mends_a_warning(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = a_revision()
    a_test_of(revision, "received")
    no_spf = Consequence(Level.WARNING, "dns_spf", "SPF of acme.com does not permit smtp.acme.com.")
    monkeypatch.setattr("emailcfg.preflight._of_dns", lambda *args: [no_spf])
    page = text(admin_client.get(address(revision)))
    assert "test received" in page
    assert f'<a href="/configuration/revisions/{revision.number}/#sender-domain">Check the sender domain</a>' in page
    assert 'id="sender-domain"' in text(admin_client.get(f"/configuration/revisions/{revision.number}/"))


def test_a_tested_revision_is_activated_at_once(admin_client: Client) -> None:
    revision = a_revision()
    a_test_of(revision)
    response = post(admin_client, revision)
    assert (response.status_code, response["Location"]) == (303, address(revision))
    assert activation.current().revision == revision
    assert "no process runs" in text(admin_client.get(address(revision)))


def test_a_warning_asks_for_a_reason_and_is_recorded(admin_client: Client) -> None:
    revision = a_revision()
    refused = post(admin_client, revision)
    assert refused.status_code == 422
    assert "Give a reason" in text(refused)
    post(admin_client, revision, reason="It is urgent")
    log = Activation.objects.get()
    assert (log.reason, log.warnings, log.actor_name) == ("It is urgent", ["untested"], "ana@acme.example")


def test_stopping_all_mail_needs_a_tick_of_its_own(admin_client: Client) -> None:
    stops = a_revision(no_mail())
    assert "stops all mail" in text(admin_client.get(address(stops)))
    assert post(admin_client, stops, reason="Moving house").status_code == 422
    assert post(admin_client, stops, reason="Moving house", accept_stop="1").status_code == 303


def test_what_can_not_run_offers_no_button(admin_client: Client) -> None:
    revision = a_revision()
    tamper(revision, payload={**revision.payload, "general": {}})
    page = text(admin_client.get(address(revision)))
    assert "altered outside" in page
    assert 'name="expected_generation"' not in page
    assert post(admin_client, revision, reason="Try anyway").status_code == 422
    assert activation.current().revision is None


def test_a_double_click_activates_once_and_answers_alike(admin_client: Client) -> None:
    revision = a_revision()
    answers = [post(admin_client, revision, expected_generation=0, reason="Go on", request_id="one") for _ in range(2)]
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(303, address(revision))] * 2
    assert Activation.objects.count() == 1


def test_the_second_administrator_sees_what_is_active_now_and_the_new_difference(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    response = post(admin_client, second, expected_generation=0, reason="From an old page")
    assert response.status_code == 409
    page = text(response)
    assert f"r{first.number} is now active" in page
    assert "SMTP: timeout" in page
    assert 'name="expected_generation" value="1"' in page
    assert activation.current().revision == first


@pytest.mark.parametrize("generation", ["", "x", "-1", "9" * 40])
def test_a_page_without_a_usable_generation_activates_nothing(admin_client: Client, generation: str) -> None:
    revision = a_revision()
    assert post(admin_client, revision, expected_generation=generation, reason="Go on").status_code == 409
    assert activation.current().revision is None


@pytest.mark.parametrize("path", ["activate/", "delete/"])
def test_get_and_head_change_nothing(admin_client: Client, path: str) -> None:
    revision = a_revision()
    for method in (admin_client.get, admin_client.head):
        method(f"/configuration/revisions/{revision.number}/{path}", {"expected_generation": 0, "reason": "Go on"})
    assert activation.current().generation == 0
    assert ConfigRevision.objects.count() == 1


@pytest.mark.parametrize("path", ["confirm/", "rollback/"])
def test_confirming_and_going_back_take_posts_only(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/configuration/{path}").status_code == 405
    assert admin_client.head(f"/configuration/{path}").status_code == 405


def test_activating_needs_a_csrf_token(admin_user: Any) -> None:
    revision = a_revision()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert post(client, revision, reason="Go on").status_code == 403
    assert activation.current().revision is None


@pytest.fixture
def mailed() -> Iterator[list[ports.ConfirmationAsked]]:
    sent: list[ports.ConfirmationAsked] = []
    ports.ask_for_confirmation_with(sent.append)
    yield sent
    wiring.connect()


@pytest.fixture
def pending(admin_client: Client, mailed: list[ports.ConfirmationAsked]) -> ConfigRevision:
    """A revision that is active for ten minutes, activated on the page."""
    activated(a_revision())
    second = a_revision(smtp__timeout_s=10)
    response = post(admin_client, second, how="confirm", minutes="10", reason="Try the new relay")
    assert response.status_code == 303
    return second


def test_an_activation_for_a_while_counts_down_on_every_page(admin_client: Client, pending: ConfigRevision) -> None:
    page = text(admin_client.get(address(pending)))
    assert "Confirm within" in page
    assert 'data-countdown="59' in page
    assert f"Keep r{pending.number}" in text(admin_client.get("/status/"))


def test_keeping_and_returning_stand_once_on_each_page(
    admin_client: Client, pending: ConfigRevision, mailed: list[ports.ConfirmationAsked]
) -> None:
    """In the bar of every page, but for the pages that ask by themselves; while one is open too."""
    fallback = activation.current().fallback_id
    keep, back = f">Keep r{pending.number}</button>", f">Return to r{fallback}</button>"
    expected = {address(pending): (0, 1), mailed[0].path: (0, 1), "/status/": (1, 1), "/messages/": (1, 1)}
    for path, (in_bar, on_page) in expected.items():
        at = {"HX-Request": "true", "HX-Current-URL": f"https://mail.acme.example{path}?saved=now"}
        bar = text(admin_client.get("/omnibar/", headers=at))
        assert (bar.count(keep), bar.count(back)) == (in_bar, in_bar), path
        assert text(admin_client.get(path)).count(keep) == on_page, path
    assert text(admin_client.get(address(pending))).count(back) == 1
    assert f'<a href="{address(pending)}">' in text(admin_client.get(mailed[0].path))


def test_it_is_kept_by_the_button(admin_client: Client, pending: ConfigRevision) -> None:
    admin_client.post("/configuration/confirm/", {"expected_generation": 2})
    assert activation.current().confirm_state == "none"
    assert f"r{pending.number} stays active" in text(admin_client.get(address(pending)))


def test_it_returns_by_the_button_without_more_questions(admin_client: Client, pending: ConfigRevision) -> None:
    fallback = activation.current().fallback_id
    admin_client.post("/configuration/rollback/", {"expected_generation": 2, "number": fallback})
    active = activation.current()
    assert (active.revision_id, active.confirm_state) == (fallback, "none")


def test_the_link_in_the_mail_shows_on_get_and_keeps_on_post_once(
    admin_client: Client, pending: ConfigRevision, mailed: list[ports.ConfirmationAsked]
) -> None:
    (asked,) = mailed
    assert (asked.number, asked.recipient) == (pending.number, "ana@acme.example")
    for _ in range(2):
        assert f"Keep r{pending.number}" in text(admin_client.get(asked.path))
        admin_client.head(asked.path)
    assert activation.current().confirm_state == "pending"
    admin_client.post(asked.path)
    assert activation.current().confirm_state == "none"
    admin_client.post(asked.path)
    assert "confirmed already" in text(admin_client.get(address(pending)))
    assert "Nothing waits for confirmation" in text(admin_client.get(asked.path))


def test_a_wrong_link_keeps_nothing(admin_client: Client, pending: ConfigRevision) -> None:
    admin_client.post("/configuration/confirm/wrong/")
    assert activation.current().confirm_state == "pending"


def test_another_revision_has_to_wait_for_the_confirmation(admin_client: Client, pending: ConfigRevision) -> None:
    third = a_revision(smtp__timeout_s=11)
    assert "still waits for its confirmation" in text(admin_client.get(address(third)))
    assert post(admin_client, third, reason="Go on").status_code == 409
    assert activation.current().revision == pending


def test_nothing_to_return_to_offers_no_activation_for_a_while(admin_client: Client) -> None:
    assert 'value="confirm"' not in text(admin_client.get(address(a_revision())))


def test_going_back_takes_one_step_where_nothing_speaks_against_it(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    a_test_of(first)
    activated(first)
    activated(second)
    fields = {"number": first.number, "expected_generation": 2, "request_id": "back"}
    assert admin_client.post("/configuration/rollback/", fields)["Location"] == address(first)
    assert activation.current().revision == first
    assert Activation.objects.first().kind == "rollback"  # type: ignore[union-attr]


def test_going_back_asks_where_something_speaks_against_it(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    activated(second)
    response = admin_client.post("/configuration/rollback/", {"number": first.number, "expected_generation": 2})
    assert response["Location"] == address(first)
    assert activation.current().revision == second
    page = text(admin_client.get(address(first)))
    assert f"Roll back to r{first.number}" in page
    assert "never tested" in page


def test_going_back_from_a_stale_page_says_what_is_active(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    a_test_of(first)
    activated(first)
    activated(second)
    admin_client.post("/configuration/rollback/", {"number": first.number, "expected_generation": 1})
    assert activation.current().revision == second
    assert f"r{second.number} is now active" in text(admin_client.get(address(second)))


def test_going_back_to_nothing_is_said(admin_client: Client) -> None:
    response = admin_client.post("/configuration/rollback/", {"expected_generation": 0}, follow=True)
    assert "There is no revision" in text(response)  # type: ignore[arg-type]


def test_the_convergence_part_is_sent_only_when_it_changed(admin_client: Client) -> None:
    revision = a_revision()
    activated(revision)
    a_process("one", "running", 0)
    page = text(admin_client.get(address(revision)))
    path = page.split('hx-get="/configuration/convergence/')[1].split('"')[0].replace("&amp;", "&")
    assert admin_client.get(f"/configuration/convergence/{path}").status_code == 204
    a_process("two", "rejected", 0, error="<b>No</b> key")
    changed = text(admin_client.get(f"/configuration/convergence/{path}"))
    assert "refused it" in changed
    assert "&lt;b&gt;No&lt;/b&gt; key" in changed


def test_the_page_is_loaded_anew_when_something_else_became_active(admin_client: Client) -> None:
    activated(a_revision())
    activated(a_revision(smtp__timeout_s=10))
    response = admin_client.get("/configuration/convergence/?generation=1&state=none")
    assert response["HX-Refresh"] == "true"


def test_a_failed_return_is_said_on_every_page(admin_client: Client, pending: ConfigRevision) -> None:
    ActiveConfig.objects.update(confirm_state="failed")
    assert "Sending is paused" in text(admin_client.get("/support/"))
