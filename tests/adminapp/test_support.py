"""The Support page: its tools work as plain forms, keep what was entered, and store nothing."""

import pytest
from django.apps import apps
from django.test import Client
from pytest_django import Settings

from emailcfg.models import AuditEvent
from tests.emailcfg.diagnosis.keys import dkim
from tests.emailcfg.diagnosis.received_mails import MICROSOFT
from tests.outbound.making import a_config, activate
from tests.servers.dns import DnsServer

pytestmark = pytest.mark.django_db

HEADERS = """Received: from mail.acme.example (mail.acme.example [192.0.2.1])
 by mx.partner.example with ESMTPS (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384)
 for <ben@partner.example>; Mon, 23 Nov 2026 06:00:07 +0000
Received: from app.acme.example by mail.acme.example with ESMTP; Mon, 23 Nov 2026 06:00:00 +0000
Authentication-Results: mx.partner.example; spf=pass smtp.mailfrom=acme.example; dkim=fail header.d=acme.example
Subject: Hello
"""


def posted(client: Client, tool: str, **fields: str) -> str:
    page: str = client.post("/support/", {"tool": tool, **fields}).content.decode()
    return page


def test_a_pasted_error_is_explained_with_its_reason_and_kept_in_the_field(admin_client: Client) -> None:
    text = "smtplib.SMTPRecipientsRefused: {'b@x.example': (554, b'5.7.1 <b@x.example>: Relay access denied')}"
    page = posted(admin_client, "explain", text=text)
    assert "The server does not pass mail on for this machine." in page
    assert "Recognised by the words “Relay access denied”" in page
    assert "(554, b&#x27;5.7.1" in page.split("</textarea>")[0]


def test_a_text_without_an_error_gets_a_hint(admin_client: Client) -> None:
    assert "Nothing in this text looks like an error" in posted(admin_client, "explain", text="Good morning")


def test_markup_in_a_paste_is_text(admin_client: Client) -> None:
    page = posted(admin_client, "explain", text="550 5.1.1 <script>alert(1)</script> user unknown")
    assert "<script>alert" not in page


def test_headers_are_read_into_hops_and_findings(admin_client: Client) -> None:
    page = posted(admin_client, "headers", text=HEADERS)
    assert "took 7 s over 2 hops" in page
    assert "TLS 1.3" in page
    assert "SPF for acme.example passed." in page
    assert "The DKIM signature of acme.example does not verify (fail)." in page
    assert "Received: from mail.acme.example" in page.split("id_headers")[2].split("</textarea>")[0]


def test_the_selectors_of_a_mail_that_arrived_can_be_checked_at_once(admin_client: Client, settings: Settings) -> None:
    page = posted(admin_client, "headers", text=MICROSOFT)
    assert 'name="selectors" value="s1"' in page
    assert 'name="general__sender_email" value="no-reply@acme.example"' in page
    with DnsServer({"acme.example": {"MX": ["10 mx.acme.example."]}, "s1._domainkey.acme.example": dkim()}) as server:
        settings.DNS_RESOLVER = ("127.0.0.1", server.port)
        page = posted(admin_client, "domain", general__sender_email="no-reply@acme.example", selectors="s1")
    assert "A DKIM key is published for the selector s1." in page


def test_what_the_header_reader_shows_is_text(admin_client: Client) -> None:
    bad = "<script>alert(1)</script>"
    text = (
        f"Received: from a.example by {bad} (TLS) with ESMTP; Mon, 23 Nov 2026 06:00:00 +0000\n"
        f"Authentication-Results: {bad}; dkim=fail ({bad}) header.d={bad}\n"
        f"ARC-Authentication-Results: i=1; {bad}; spf=pass\nDKIM-Signature: d={bad}; s={bad}; a={bad}\n"
        f"From: {bad}@a.example\nSubject: {bad}\n"
    )
    page = posted(admin_client, "headers", text=text)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_sender_domain_is_checked_without_javascript_too(admin_client: Client, settings: Settings) -> None:
    zone = {
        "acme.example": {"MX": ["10 mx.acme.example."], "TXT": ["v=spf1 -all"]},
        "mx.acme.example": {"A": ["192.0.2.1"]},
    }
    with DnsServer(zone) as server:
        settings.DNS_RESOLVER = ("127.0.0.1", server.port)
        page = posted(admin_client, "domain", general__sender_email="a@acme.example", provider="sendgrid")
    assert "Replies and bounces to acme.example go to mx.acme.example." in page
    assert 'value="a@acme.example"' in page
    assert '<option value="sendgrid" selected>' in page


def test_the_page_starts_with_the_active_sender(admin_client: Client) -> None:
    activate(a_config(587, host="smtp.acme.example", security="starttls"))
    page = admin_client.get("/support/").content.decode()
    assert 'value="no-reply@acme.example"' in page
    assert 'value="smtp.acme.example"' in page


@pytest.mark.parametrize("tool", ["explain", "headers"])
def test_a_huge_paste_is_answered(admin_client: Client, tool: str) -> None:
    assert admin_client.post("/support/", {"tool": tool, "text": "550 5.1.1 no\n" * 100_000}).status_code == 200


def test_the_health_check_is_on_status_and_linked_from_here(admin_client: Client) -> None:
    activate(a_config())
    assert 'href="/status/#health"' in admin_client.get("/support/").content.decode()
    assert 'id="health"' in admin_client.get("/status/").content.decode()


def test_the_download_of_the_bundle_is_on_record(admin_client: Client) -> None:
    answer = admin_client.post("/support/bundle/")
    assert answer["Content-Type"] == "application/zip"
    assert 'filename="adminapp-support-' in answer["Content-Disposition"]
    assert AuditEvent.objects.get(action="support.bundle").detail == {"full_addresses": False}
    assert admin_client.get("/support/bundle/").status_code == 405


def test_nothing_of_a_paste_is_kept(admin_client: Client) -> None:
    posted(admin_client, "explain", text="")  # the session's own first row
    before = _rows()
    posted(admin_client, "headers", text=HEADERS)
    posted(admin_client, "explain", text="550 5.1.1 <ben@partner.example>: user unknown")
    assert _rows() == before


def _rows() -> dict[str, int]:
    return {model._meta.db_table: model._default_manager.count() for model in apps.get_models()}
