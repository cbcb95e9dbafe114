"""Configuration > Email for everybody: axe-core in every state, the keyboard alone, a phone's width."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect

from emailcfg.network import NetworkPolicy
from tests.browser.pane_states import states
from tests.browser.steps import PANE, processed
from tests.emailcfg.making import a_revision, activated
from tests.servers.certificates import TestAuthority
from tests.servers.smtp import SmtpServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_no_violation_in_any_state_and_nothing_scrolls_sideways(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    smtp_server: Callable[..., SmtpServer],
    authority: TestAuthority,
    settings: Any,
    scheme: str,
    width: int,
) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    context = new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    log_in(context, admin_user)
    page = context.new_page()
    found: dict[str, Any] = {}
    for name in states(page, smtp_server, authority):
        found[name] = [
            (violation["id"], [node["target"] for node in violation["nodes"]])
            for violation in Axe().run(page).response["violations"]
        ]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert found == {name: [] for name in found}


@pytest.fixture
def pane(admin_page: Page) -> Page:
    activated(a_revision())
    admin_page.goto(PANE)
    return admin_page


def test_every_field_has_a_label_and_names_its_help_and_note(pane: Page) -> None:
    nameless = pane.evaluate(
        """() => [...document.querySelectorAll("#email-form :is(input:not([type=hidden]), select, textarea)")]
            .filter((control) => !control.labels?.length || (control.getAttribute("aria-describedby") ?? "").split(" ")
                .some((id) => id && !document.getElementById(id)))
            .map((control) => control.name)"""
    )
    assert nameless == []


def test_a_wrong_value_is_marked_invalid_and_announced(pane: Page) -> None:
    port = pane.get_by_label("Port", exact=True)
    with pane.expect_response("**/draft/"):
        port.fill("70000")
        port.blur()
    expect(port).to_have_attribute("aria-invalid", "true")
    expect(port).to_have_accessible_description(re.compile("^Enter a number that is at most 65535."))
    expect(pane.locator("#announcements")).to_contain_text("Port: Enter a number that is at most 65535.")


def test_the_keyboard_alone_edits_tests_and_saves(pane: Page) -> None:
    keyboard = pane.keyboard
    pane.get_by_label("Sender name", exact=True).focus()
    keyboard.press("ControlOrMeta+A")
    with pane.expect_response("**/draft/"):
        keyboard.type("Acme Inc.")
        keyboard.press("Tab")
    # The swap of the notes leaves the focus where Tab brought it: the undo button comes with it, after the field.
    expect(pane.get_by_label("Reply-to domain", exact=True)).to_be_focused()
    pane.locator("#service-sendgrid .service-toggle").focus()
    keyboard.press("Enter")
    expect(pane.get_by_label("API key", exact=True)).to_be_visible()
    pane.get_by_role("switch", name="SendGrid on").focus()
    with pane.expect_response("**/draft/"):
        keyboard.press("Space")
    expect(pane.get_by_role("switch", name="SendGrid on")).to_be_focused()
    expect(pane.get_by_role("switch", name="SMTP on")).not_to_be_checked()
    with pane.expect_response("**/draft/"):
        keyboard.press("Space")
    pane.get_by_role("switch", name="SMTP on").focus()
    with pane.expect_response("**/draft/"):
        keyboard.press("Space")
    pane.locator("#save-changes").focus()
    keyboard.press("Enter")
    expect(pane.get_by_label("What changes, and why")).to_be_focused()
    keyboard.press("Escape")
    expect(pane.locator("#save-changes")).to_be_focused()


def test_a_closed_dialog_gives_the_focus_back_though_the_bar_was_replaced(pane: Page) -> None:
    name = pane.get_by_label("Sender name", exact=True)
    name.fill("Acme Inc.")
    with pane.expect_response("**/omnibar/"):
        name.blur()
    expect(pane.locator("#save-changes")).to_be_visible()
    processed(pane)
    pane.locator("#save-changes").press("Enter")
    expect(pane.get_by_label("What changes, and why")).to_be_focused()
    pane.locator("#save-changes").evaluate("button => button.replaceWith(button.cloneNode(true))")
    pane.keyboard.press("Escape")
    expect(pane.locator("#save-changes")).to_be_focused()


def test_the_focus_stays_on_save_when_the_bar_refreshes(pane: Page) -> None:
    name = pane.get_by_label("Sender name", exact=True)
    name.fill("Acme Inc.")
    with pane.expect_response("**/omnibar/"):
        name.blur()
    pane.locator("#save-changes").focus()
    with pane.expect_response("**/omnibar/"):
        pane.get_by_label("Sender name", exact=True).evaluate(
            "(control) => { control.value = 'Acme'; control.form.elements.general__support_email.value = 'a@b.example';"
            " control.form.elements.smtp__timeout_s.value = '9';"
            " control.dispatchEvent(new Event('change', {bubbles: true})); }"
        )
    expect(pane.locator("#save-changes")).to_contain_text("Save 2 changes")
    expect(pane.locator("#save-changes")).to_be_focused()
