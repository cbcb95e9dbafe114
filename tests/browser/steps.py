"""What a person does on Configuration > Email, in words: each step waits for the server's answer."""

import re

from playwright.sync_api import Page, expect

PANE = "/configuration/email/"


def fill(page: Page, label: str, text: str) -> None:
    """Types into a field and leaves it."""
    with page.expect_response("**/draft/"):
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_label(label, exact=True).blur()


def choose(page: Page, label: str, option: str) -> None:
    with page.expect_response("**/draft/"):
        page.get_by_label(label, exact=True).select_option(label=option)


def switch_on(page: Page, service: str) -> None:
    """Switches a delivery service on and waits until its fields are open."""
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name=f"{service} on").check()
    expect(page.locator(f"#{service.lower()}-body")).to_have_class(re.compile(r"(^| )collapse show"))


def open_advanced(page: Page) -> None:
    page.get_by_text("Advanced: CA").click()


def send_test(page: Page, to: str, button: str = "Send test email") -> None:
    page.get_by_label("To", exact=True).fill(to)
    page.locator("#test-form").get_by_role("button", name=button).click()


def accepted(page: Page) -> None:
    """Waits until the server took the mail of the test of what the form shows now, not of an earlier one."""
    expect(page.locator(".run:not(.is-stale) .run-accepted")).to_contain_text("Accepted by", timeout=20_000)


def open_dialog(page: Page) -> None:
    page.locator("#save-changes").click()
    expect(page.locator("#save-dialog")).to_be_visible()


def save(page: Page, description: str, button: str = "Save") -> None:
    open_dialog(page)
    page.get_by_label("What changes, and why").fill(description)
    page.locator("#save-dialog").get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text(f"“{description}” is saved")).to_be_visible()


def note(page: Page, name: str) -> str:
    """What stands below a field."""
    return page.locator(f"#note-{name}").inner_text()


def unsaved(page: Page) -> int:
    return int(page.locator("#form-foot").get_attribute("data-count") or 0)


def processed(page: Page) -> None:
    """Waits until what was swapped in answers to clicks: htmx takes it up some milliseconds after it is shown."""
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-added, .htmx-settling')")
