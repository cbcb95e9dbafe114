"""Configuration > Email in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from emailcfg.models import ConfigRevision, FormDraft

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def settled(page: Page) -> None:
    """Waits until nothing is on its way to the server."""
    page.wait_for_function("() => !document.querySelector('.htmx-request')")


def fill(page: Page, label: str, text: str) -> None:
    with page.expect_response("**/draft/"):
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_label(label, exact=True).blur()


def test_what_is_typed_is_repaired_marked_and_saved_as_a_revision(admin_page: Page) -> None:
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", " https://smtp.acme.example:2525/x ")
    expect(page.get_by_label("Host", exact=True)).to_have_value("smtp.acme.example")
    expect(page.get_by_label("Port", exact=True)).to_have_value("2525")
    page.get_by_text("Advanced: CA").click()
    fill(page, "Timeout in seconds", "abc")
    with page.expect_response("**/draft/"):
        page.locator("#note-smtp__timeout_s .undo").click()
    page.get_by_role("button", name="Save 4 changes").click()
    page.locator("dialog[open]").wait_for()
    page.get_by_label("What changes, and why").fill("First relay")
    page.get_by_role("button", name="Save and activate").click()
    expect(page.get_by_text("r1 “First relay” is saved and active.")).to_be_visible()
    assert ConfigRevision.objects.get().payload["smtp"]["host"] == "smtp.acme.example"
    assert not FormDraft.objects.exists()
