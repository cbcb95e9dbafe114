"""The Support page and the sender domain's panel in a real browser: live results, records to copy, accessibility."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings

from tests.adminapp.test_support import HEADERS
from tests.browser.test_pane import fill
from tests.servers.dns import DnsServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ZONE = {
    "acme.example": {"MX": ["10 mx.acme.example."], "TXT": ["v=spf1 include:_spf.other.example -all"]},
    "mx.acme.example": {"A": ["192.0.2.25"]},
    "_spf.other.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
}
RECORD = "v=spf1 include:_spf.other.example include:_spf.google.com -all"


def violations(page: Page) -> list[str]:
    return [violation["id"] for violation in Axe().run(page).response["violations"]]


def test_the_forms_sender_domain_is_checked_and_its_record_copied(admin_page: Page, settings: Settings) -> None:
    page = admin_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "smtp.gmail.com")
    with DnsServer(ZONE) as server:
        settings.DNS_RESOLVER = ("127.0.0.1", server.port)
        page.get_by_role("button", name="Check the sender domain").click()
        problem = page.locator("#domain-result .check-problem").first
        expect(problem).to_contain_text("SPF of acme.example does not permit Google")
    for name, copied in (("Copy the name", "acme.example"), ("Copy the value", RECORD)):
        button = problem.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("data-copied", "true")
        assert page.evaluate("navigator.clipboard.readText()") == copied
    assert violations(page) == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_the_tools_show_their_results_on_the_page(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    settings: Settings,
    scheme: str,
    width: int,
) -> None:
    context = new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    log_in(context, admin_user)
    page = context.new_page()
    page.goto("/support/")
    page.get_by_label("Text from a log").fill("554 5.7.1 <b@x.example>: Relay access denied")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="The server does not pass mail on for this machine.")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Headers of a mail").fill(HEADERS)
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.locator(".hops li")).to_have_count(2)
    page.get_by_label("Sender address or domain").fill("acme.example")
    page.get_by_label("SMTP host").fill("smtp.gmail.com")
    with DnsServer(ZONE) as server:
        settings.DNS_RESOLVER = ("127.0.0.1", server.port)
        page.get_by_role("button", name="Check the sender domain").click()
        page.locator("#domain-result .check-problem").first.wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_bundle_is_downloaded(admin_page: Page) -> None:
    admin_page.goto("/support/")
    with admin_page.expect_download() as download:
        admin_page.get_by_role("button", name="Download the bundle").click()
    assert download.value.suggested_filename.startswith("adminapp-support-")
