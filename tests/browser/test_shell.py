"""The shell in a real browser: first run, login, navigation, theme, keyboard, phone, accessibility."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect

from adminapp import setup
from emailcfg.models import FormDraft
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = ("/status/", "/messages/", "/support/", "/accounts/password/change/", "/accounts/logout/", "/nothing/")


def test_the_setup_link_registers_the_administrator_who_logs_out_and_in_again(page: Page) -> None:
    page.goto(f"/setup/?token={setup.new_token()}")
    page.get_by_label("Email address").fill("ana@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register and log in").click()
    page.goto("/status/")
    expect(page.get_by_role("heading", name="Status", exact=True)).to_be_visible()
    page.get_by_role("button", name="ana@acme.example").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Email address").fill("ana@acme.example")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Status", exact=True)).to_be_visible()


def test_the_theme_follows_the_system_and_the_switch_is_remembered(
    new_context: Callable[..., BrowserContext], claimed: object
) -> None:
    context = new_context(color_scheme="dark")
    page = context.new_page()
    page.goto("/accounts/login/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")


def test_the_keyboard_reaches_the_content_and_the_menus(admin_page: Page) -> None:
    admin_page.goto("/status/")
    admin_page.keyboard.press("Tab")
    expect(admin_page.get_by_role("link", name="Skip to the content")).to_be_focused()
    admin_page.keyboard.press("Enter")
    expect(admin_page.locator("main")).to_be_focused()
    admin_page.get_by_role("button", name="Configuration").focus()
    admin_page.keyboard.press("Enter")
    admin_page.keyboard.press("ArrowDown")
    expect(admin_page.get_by_role("link", name="Email", exact=True)).to_be_focused()


def test_a_server_that_does_not_answer_is_named_until_it_answers(admin_page: Page) -> None:
    admin_page.goto("/status/")
    said = admin_page.get_by_text("The Admin App does not answer.")
    refresh = "document.body.dispatchEvent(new Event('omnibar:refresh'))"
    admin_page.route("**/omnibar/", lambda route: route.abort())
    admin_page.evaluate(refresh)
    expect(said).to_be_visible()
    expect(said).to_be_in_viewport()
    admin_page.unroute("**/omnibar/")
    admin_page.evaluate(refresh)
    expect(said).to_be_hidden()


def test_what_was_typed_while_the_server_was_away_is_stored_once_it_answers(admin_page: Page, admin_user: User) -> None:
    admin_page.goto("/configuration/email/")
    admin_page.route("**/configuration/email/draft/", lambda route: route.abort())
    admin_page.get_by_label("Sender name").fill("Acme")
    admin_page.keyboard.press("Tab")
    expect(admin_page.get_by_text("The Admin App does not answer.")).to_be_visible()
    admin_page.unroute("**/configuration/email/draft/")
    with admin_page.expect_response("**/configuration/email/draft/"):
        admin_page.evaluate("document.body.dispatchEvent(new Event('omnibar:refresh'))")
    expect(admin_page.get_by_text("1 unsaved change, kept for you")).to_be_visible()
    assert FormDraft.objects.get(user=admin_user).changed == ["general.sender_name"]


def test_a_failure_of_what_was_asked_for_is_said_and_outlasts_the_omnibar(admin_page: Page) -> None:
    admin_page.goto("/configuration/email/")
    said = admin_page.get_by_text("The Admin App failed at this.")
    admin_page.route("**/draft/**", lambda route: route.fulfill(status=500, body="broken"))
    admin_page.get_by_label("Sender name").fill("Acme")
    admin_page.keyboard.press("Tab")
    expect(said).to_be_visible()
    with admin_page.expect_response("**/omnibar/"):
        admin_page.evaluate("document.body.dispatchEvent(new Event('omnibar:refresh'))")
    expect(said).to_be_visible()
    admin_page.unroute("**/draft/**")
    admin_page.get_by_label("Sender name").fill("Acme again")
    admin_page.keyboard.press("Tab")
    expect(said).to_be_hidden()


def test_the_omnibar_refreshes_in_place_however_often_it_is_asked_to(admin_page: Page, admin_user: User) -> None:
    admin_page.goto("/status/")
    refresh = "document.body.dispatchEvent(new Event('omnibar:refresh'))"
    with admin_page.expect_response("**/omnibar/") as answer:
        admin_page.evaluate(refresh)
    assert answer.value.status == 200
    FormDraft.objects.create(user=admin_user, changed=["smtp.host"])
    admin_page.evaluate(f"{refresh}; {refresh}")
    expect(admin_page.get_by_role("button", name="Save 1 change")).to_be_visible()
    FormDraft.objects.update(changed=["smtp.host", "smtp.port"])
    admin_page.evaluate(f"{refresh}; {refresh}; {refresh}")
    expect(admin_page.get_by_role("button", name="Save 2 changes")).to_be_visible()
    expect(admin_page.locator("#omnibar")).to_have_count(1)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    path: str,
) -> None:
    context = new_context(viewport={"width": 390, "height": 844})
    log_in(context, admin_user)
    page = context.new_page()
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    scheme: str,
) -> None:
    context = new_context(color_scheme=scheme)
    page = context.new_page()
    found = {}
    for path in ("/accounts/login/", *PAGES):
        if path == PAGES[0]:
            log_in(context, admin_user)
        page.goto(path)
        found[path] = [violation["id"] for violation in Axe().run(page).response["violations"]]
    assert found == {path: [] for path in found}
