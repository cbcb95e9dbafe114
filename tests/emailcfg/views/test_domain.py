"""The sender domain's panel: asked in the background, shown with records to copy, never red without DNS."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from emailcfg import domain_check
from emailcfg.domain_check import Question
from tests.emailcfg.making import a_config, a_revision
from tests.servers.dns import SILENT, DnsServer

pytestmark = pytest.mark.django_db

ZONE = {
    "acme.example": {"MX": ["10 mx.acme.example."], "TXT": ["v=spf1 include:_spf.other.example -all"]},
    "mx.acme.example": {"A": ["192.0.2.25"]},
    "_spf.other.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
    "_dmarc.acme.example": {"TXT": ["v=DMARC1; p=none"]},
}
FORM = {"general__sender_email": "no-reply@acme.example", "smtp__host": "smtp.gmail.com"}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs checks in the request's own thread, where the test's transaction is."""

    class Now:
        def submit(self, run: Callable[..., Any], *arguments: Any) -> Any:
            run(*arguments)
            return self

        def add_done_callback(self, callback: Any) -> None:
            """It is done."""

    monkeypatch.setattr(domain_check, "_runners", Now())
    monkeypatch.setattr(domain_check.connection, "close", lambda: None)


def page_of(client: Client, **fields: str) -> str:
    page: str = client.post("/configuration/email/domain/", {**FORM, **fields}).content.decode()
    return page


def test_what_is_missing_comes_with_the_record_to_publish(
    admin_client: Client, settings: Settings, at_once: None
) -> None:
    with DnsServer(ZONE) as server:
        settings.DNS_RESOLVER = ("127.0.0.1", server.port)
        page = page_of(admin_client)
    assert "SPF of acme.example does not permit Google" in page
    assert "include:_spf.google.com" in page
    assert 'data-copy="publish-spf"' in page
    assert "v=spf1 include:_spf.other.example include:_spf.google.com -all</code>" in page
    assert 'data-copy="publish-name-spf"' in page
    assert "The record needs 1 of 10 DNS look-ups." in page
    assert "Replies and bounces to acme.example go to mx.acme.example." in page


def test_without_dns_nothing_is_red(
    admin_client: Client, settings: Settings, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        domain_check,
        "_resolver",
        lambda: domain_check.ResolverSettings(("127.0.0.1",), server.port, timeout_s=0.05, lifetime_s=0.1, total_s=0.5),
    )
    with DnsServer({}, otherwise=SILENT) as server:
        page = page_of(admin_client)
    assert "could not be checked" in page
    assert "check-problem" not in page
    assert "check-warning" not in page


def test_while_it_runs_the_page_asks_again_and_gives_up_in_the_end(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Never:
        def submit(self, *arguments: Any) -> Any:
            return self

        def add_done_callback(self, callback: Any) -> None:
            """It never is."""

    monkeypatch.setattr(domain_check, "_runners", Never())
    page = page_of(admin_client)
    assert "Asking DNS about no-reply@acme.example" in page
    url = page.split('hx-get="')[1].split('"')[0]
    assert "poll=2" in admin_client.get(url).content.decode()
    assert "ended without a result" in admin_client.get(url.replace("poll=1", "poll=60")).content.decode()


def test_an_unknown_check_is_said_to_be_over(admin_client: Client) -> None:
    assert "Start it again" in admin_client.get("/configuration/email/domain/nothing/").content.decode()


def test_without_a_sender_there_is_nothing_to_ask(admin_client: Client) -> None:
    assert "Enter the sender address first." in page_of(admin_client, general__sender_email=" ")


def test_a_revision_is_checked_by_its_own_values(admin_client: Client) -> None:
    revision = a_revision(a_config(smtp__host="smtp.gmail.com"))
    page = admin_client.get(f"/configuration/revisions/{revision.number}/").content.decode()
    assert '<input type="hidden" name="smtp__host" value="smtp.gmail.com">' in page
    assert "Check the sender domain" in page


@pytest.mark.parametrize(
    ("posted", "question"),
    [
        ({"general__sender_email": "a@b.example", "smtp__host": "h"}, Question("a@b.example", "smtp", "h")),
        ({"general__sender_email": "b.example"}, Question("postmaster@b.example")),
        ({"general__sender_email": "a@b.example", "sendgrid__enabled": "on", "smtp__host": "h"},
         Question("a@b.example", "sendgrid")),
        ({"general__sender_email": "a@b.example", "selectors": "s1, s2"},
         Question("a@b.example", selectors=("s1", "s2"))),
        ({"general__sender_email": "a@b.example", "selectors": "s1. ../x <b>", "addresses": "192.0.2.1, nothing ::1"},
         Question("a@b.example", addresses=("192.0.2.1", "::1"))),
    ],
)  # fmt: skip
def test_the_question_is_read_from_the_forms_fields(posted: dict[str, str], question: Question) -> None:
    assert domain_check.of_posted(posted) == question
