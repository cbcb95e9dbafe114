"""The audit log page and its export."""

import csv
import io
from typing import Any

import pytest
from django.test import Client

from emailcfg import audit, audit_log
from emailcfg.actor import Actor
from tests.emailcfg.making import ANA, a_revision, activated

pytestmark = pytest.mark.django_db


def page(client: Client, query: str = "") -> str:
    response = client.get(f"/configuration/audit/?{query}")
    assert response.status_code == 200
    return response.content.decode()


def exported(client: Client, query: str = "") -> list[list[str]]:
    response = client.get(f"/configuration/audit/export/?{query}")
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    return list(csv.reader(io.StringIO(b"".join(response).decode())))  # type: ignore[arg-type]


def test_who_did_what_from_where_is_shown_and_no_secret(admin_client: Client) -> None:
    revision = a_revision()
    activated(revision, reason="Because of <b>Berlin</b>")
    text = page(admin_client)
    for words in (
        "Revision saved",
        "Revision activated",
        'title="revision.saved"',
        f"r{revision.number}",
        "ana@acme.com",
        "192.0.2.7",
    ):
        assert words in text
    assert "&lt;b&gt;Berlin" in text
    assert "first secret" not in text


def test_filters_narrow_it(admin_client: Client) -> None:
    a_revision()
    audit.record("token.created", actor=Actor("ben", address="198.51.100.4"), subject="token ci")
    assert "token.created" not in page(admin_client, "group=configuration")
    assert "revision.saved" not in page(admin_client, "group=keys")
    assert "revision.saved" not in page(admin_client, "text=198.51")
    assert "token.created" in page(admin_client, "text=BEN")
    audit.record("health.failed", actor=Actor("ben"), subject="r1")
    audit.record("support.bundle", actor=Actor("ben"))
    assert "health.failed" in page(admin_client, "group=tests")
    assert "support.bundle" in page(admin_client, "group=keys")
    assert "No event fits" in page(admin_client, "until=2001-01-01")
    assert "No event fits" in page(admin_client, "since=2999-01-01")


def test_an_event_is_found_by_its_plain_words_and_by_its_name(admin_client: Client) -> None:
    audit.record("queue.paused", actor=ANA)
    audit.record("messages.retried", actor=ANA, subject="7 messages")
    for query in ("text=sending+paused", "text=queue.p"):
        assert "Sending paused" in page(admin_client, query)
        assert "7 messages" not in page(admin_client, query)
    assert "7 messages" in page(admin_client, "group=messages")


ODD = (
    *("group=odd", "since=never", "since=0001-01-01", "until=9999-12-31", "before=x", "text=%00"),
    "before=" + "9" * 40,
)


@pytest.mark.parametrize("query", ODD)
def test_odd_filters_are_answered(admin_client: Client, query: str) -> None:
    page(admin_client, query)


def test_pages_follow_each_other_under_the_filter(admin_client: Client) -> None:
    for number in range(120):
        audit.record("test.sent", actor=ANA, subject=f"test {number}")
        audit.record("login.failed", actor=ANA)
    wanted = audit_log.Filter(group="tests")
    seen: list[str] = []
    before = None
    while True:
        part = audit_log.page(wanted, before=before)
        seen += [event.subject for event in part.events]
        before = part.older
        if before is None:
            break
    assert seen == [f"test {number}" for number in reversed(range(120))]
    assert "group=tests&amp;before=" in page(admin_client, "group=tests")


def test_a_page_costs_as_many_queries_whatever_its_length(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    page(admin_client)
    with django_assert_max_num_queries(18) as few:
        page(admin_client)
    for _ in range(200):
        audit.record("test.sent", actor=ANA)
    with django_assert_max_num_queries(len(few.captured_queries)):
        page(admin_client)


def test_the_export_holds_the_filtered_rows(admin_client: Client) -> None:
    a_revision()
    audit.record("token.created", actor=ANA, subject="token ci", scopes=["config:read", "config:write"])
    rows = exported(admin_client, "group=keys")
    assert rows[0] == list(audit_log.COLUMNS)
    assert [(row[1], row[4], row[5]) for row in rows[1:]] == [
        ("token.created", "token ci", "scopes: config:read, config:write")
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\x00"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert audit_log.safe(f"{start}cmd|' /C calc'!A0").startswith("'")
    assert audit_log.safe(f"plain {start}") == f"plain {start}"


def test_the_export_is_formula_safe(admin_client: Client) -> None:
    audit.record("login.failed", actor=Actor('=HYPERLINK("http://evil.example")'))
    assert exported(admin_client, "group=accounts")[1][2].startswith("'=HYPERLINK")
