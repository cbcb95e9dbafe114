"""The History page, a revision's page, differences and deleting drafts, through HTTP."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from emailcfg import revisions
from emailcfg.models import ConfigRevision
from tests.emailcfg.making import BEN, a_config, a_revision, a_test_of, activated, tamper
from tests.emailcfg.test_history import activations_at, many
from tests.servers.certificates import TestAuthority

pytestmark = pytest.mark.django_db


def body(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


def test_an_empty_history_says_what_to_do(admin_client: Client) -> None:
    assert "Nothing was saved yet" in body(admin_client, "/configuration/history/")


def test_every_revision_shows_its_description_author_state_and_test(admin_client: Client) -> None:
    first = a_revision()
    activated(first)
    a_test_of(first)
    a_revision(smtp__timeout_s=10)
    page = body(admin_client, "/configuration/history/")
    for text in ("A change for a test", "ana@acme.com", "active", "draft", "test accepted", "not tested"):
        assert text in page


def test_a_description_can_not_carry_markup(admin_client: Client) -> None:
    revision = revisions.save(config=a_config(), base=None, description="<script>alert(1)</script>", actor=BEN)
    for path in ("/configuration/history/", f"/configuration/revisions/{revision.number}/"):
        assert "<script>alert" not in body(admin_client, path)


def test_ten_thousand_revisions_cost_as_many_queries_as_ten(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    many(10)
    activations_at(1, 2, 3)
    body(admin_client, "/configuration/history/")
    with django_assert_max_num_queries(18) as few:
        body(admin_client, "/configuration/history/")
    many(10_000)
    key = ConfigRevision.objects.values_list("number", flat=True)[4_000]
    with django_assert_max_num_queries(len(few.captured_queries)):
        page = body(admin_client, f"/configuration/history/?before={key}")
    assert f"r{key - 1}<" in page
    assert f"?before={key - 50}" in page


@pytest.mark.parametrize(
    "query",
    [
        *("before=x", "before=-1", "before=0", "before=" + "9" * 30, "before=" + "0" * 20 + "9" * 5000),
        *("earlier=abc", "at=yesterday"),
    ],
    ids=lambda query: query[:20],
)
def test_odd_addresses_of_the_history_are_answered(admin_client: Client, query: str) -> None:
    activated(a_revision())
    body(admin_client, f"/configuration/history/?{query}")


def test_the_page_answers_what_ran_at_a_moment(admin_client: Client) -> None:
    one, _ = activations_at(1, 5)
    page = body(admin_client, "/configuration/history/?at=2026-11-17T03:00")
    assert f"r{one.number}" in page.split("at-answer")[1].split("</p>")[0]
    assert "nothing was active yet" in body(admin_client, "/configuration/history/?at=2020-01-01T03:00")


def test_two_chosen_rows_lead_to_their_difference_the_older_first(admin_client: Client) -> None:
    response = admin_client.get("/configuration/history/compare/?a=9&b=4")
    assert response["Location"] == "/configuration/revisions/4/diff/9/"
    assert "enter their numbers" in body(admin_client, "/configuration/history/compare/?a=9")


def test_a_difference_shows_fields_and_never_a_secret(admin_client: Client) -> None:
    first = a_revision()
    second = a_revision(base=first, smtp__password="second secret", smtp__timeout_s=10, smtp__host="relay.acme.com")
    page = body(admin_client, f"/configuration/revisions/{first.number}/diff/{second.number}/")
    for text in ("smtp.acme.com", "relay.acme.com", "SMTP: password", "changed", "30", "10"):
        assert text in page
    assert "second secret" not in page
    assert "first secret" not in page


def test_a_difference_offers_to_go_back_to_what_ran_before_and_to_activate_what_is_new(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    draft = a_revision(smtp__timeout_s=11)
    activated(first)
    activated(second)
    back = body(admin_client, f"/configuration/revisions/{second.number}/diff/{first.number}/")
    assert f">Roll back to r{first.number}</a>" in back
    new = body(admin_client, f"/configuration/revisions/{second.number}/diff/{draft.number}/")
    assert f">Activate r{draft.number}</a>" in new


def test_equal_revisions_have_explicitly_no_differences(admin_client: Client) -> None:
    first = a_revision()
    assert "No differences" in body(admin_client, f"/configuration/revisions/{first.number}/diff/{first.number}/")


def test_a_revision_shows_all_values_and_of_secrets_only_that_they_are_set(admin_client: Client) -> None:
    revision = a_revision()
    page = body(admin_client, f"/configuration/revisions/{revision.number}/")
    for text in ("smtp.acme.com", "STARTTLS, required (587)", "no-reply@acme.com", "not set", "None yet"):
        assert text in page
    assert "first secret" not in page
    assert revision.secrets.get().ciphertext not in page


def test_a_certificate_is_folded_and_its_lines_are_kept(admin_client: Client, authority: TestAuthority) -> None:
    revision = a_revision(smtp__ca_certificate=authority.pem)
    page = body(admin_client, f"/configuration/revisions/{revision.number}/")
    lines = authority.pem.strip().splitlines()
    assert f"<summary>{len(lines)} lines</summary>" in page
    assert "\n".join(lines) in page
    assert page.count(" lines</summary>") == 1  # of the other values none


def test_what_a_revision_holds_and_what_was_proven_stand_before_the_tests_to_come(admin_client: Client) -> None:
    page = body(admin_client, f"/configuration/revisions/{a_revision().number}/")
    order = [page.index(text) for text in ("smtp.acme.com", "Tests of this configuration", "as it was saved")]
    assert order == sorted(order)


def test_a_revision_that_can_not_be_read_says_why(admin_client: Client) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    tamper(first, payload={**first.payload, "smtp": {}})
    assert "altered outside this program" in body(admin_client, f"/configuration/revisions/{first.number}/")
    page = body(admin_client, f"/configuration/revisions/{first.number}/diff/{second.number}/")
    assert "altered outside this program" in page


def test_a_draft_is_deleted_after_asking_and_its_address_then_says_by_whom(admin_client: Client) -> None:
    draft = a_revision()
    address = f"/configuration/revisions/{draft.number}/"
    assert "for good" in body(admin_client, f"{address}delete/")
    assert ConfigRevision.objects.filter(pk=draft.pk).exists()
    assert admin_client.post(f"{address}delete/")["Location"] == "/configuration/history/"
    gone = body(admin_client, address, status=410)
    assert f"r{draft.number} was deleted" in gone
    assert "ana@acme.example deleted the draft" in gone
    assert body(admin_client, f"{address}diff/{draft.number}/", status=410)


def test_what_was_active_is_not_deleted(admin_client: Client) -> None:
    revision = a_revision()
    activated(revision)
    address = f"/configuration/revisions/{revision.number}/"
    assert "stays in the history" in body(admin_client, f"{address}delete/")
    admin_client.post(f"{address}delete/")
    assert ConfigRevision.objects.filter(pk=revision.pk).exists()
    assert "was active and stays" in body(admin_client, address)


@pytest.mark.parametrize("number", ["1", "999999999999999999999999999999"])
def test_a_number_that_never_was_is_not_found(admin_client: Client, number: str) -> None:
    assert "There is no revision" in body(admin_client, f"/configuration/revisions/{number}/", status=404)


def test_deleting_needs_a_csrf_token(admin_user: Any) -> None:
    draft = a_revision()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(f"/configuration/revisions/{draft.number}/delete/").status_code == 403
    assert ConfigRevision.objects.filter(pk=draft.pk).exists()


def listed_tests(client: Client, revision: ConfigRevision, query: str = "") -> str:
    page = client.get(f"/configuration/revisions/{revision.number}/{query}").content.decode()
    return page.split('id="tests"')[1].split("</section>")[0]


def test_the_tests_of_a_revision_are_listed_with_who_when_to_whom_and_the_outcome(admin_client: Client) -> None:
    revision = a_revision()
    common = {"recipient": "ben@acme.example", "server": "smtp.acme.com:587"}
    passed = a_test_of(revision, "passed", dry_run=True, **common)
    failed = a_test_of(revision, "failed", explanation={"title": "The password was refused."}, **common)
    moment = timezone.now()
    received = a_test_of(revision, "received", finished_at=moment, received_at=moment + timedelta(seconds=12), **common)
    a_test_of(a_revision(smtp__timeout_s=9), "failed")
    shown = " ".join(re.sub("<[^>]+>", " ", listed_tests(admin_client, revision)).split())
    assert shown.index(f"Test {received.pk}") < shown.index(f"Test {failed.pk}") < shown.index(f"Dry run {passed.pk}")
    assert shown.count("ben@acme.example smtp.acme.com:587 ana@acme.com") == 3
    for outcome in ("received after 12 seconds", "failed The password was refused.", "passed without sending"):
        assert outcome in shown
    assert shown.count("a moment ago") == 3


def test_long_lists_of_tests_have_pages_and_health_checks_are_apart(admin_client: Client) -> None:
    revision = a_revision()
    tests = [a_test_of(revision) for _ in range(12)]
    checks = [a_test_of(revision, "passed", source="health", dry_run=True) for _ in range(3)]
    first = listed_tests(admin_client, revision)
    assert first.count("<tr>") == 1 + 10
    assert "Health checks: 3, the last" in first
    assert f"/configuration/tests/{checks[-1].pk}/" in first
    (older,) = re.findall(r'href="(\?tests_before=[^"]+)"', first)
    second = listed_tests(admin_client, revision, older.partition("#")[0])
    assert re.findall(r">Test (\d+)<", second) == [str(tests[1].pk), str(tests[0].pk)]
    with_checks = listed_tests(admin_client, revision, "?checks=1")
    assert with_checks.count(">Health check ") == 3
    assert "tests_before=" in with_checks
    assert listed_tests(admin_client, revision, "?tests_before=nonsense").count("<tr>") == 11


def test_a_test_under_other_fixed_fields_says_so(admin_client: Client) -> None:
    revision = a_revision()
    a_test_of(revision, pins="another environment")
    page = admin_client.get(f"/configuration/revisions/{revision.number}/").content.decode()
    assert "The environment fixed other fields then" in page
    assert "not tested" in page
