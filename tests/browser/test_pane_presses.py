"""A button of the form pressed while an answer is on its way: the press counts, whatever the answer replaces."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from emailcfg.models import FormDraft
from tests.browser.steps import PANE, fill, open_advanced, open_dialog, unsaved
from tests.emailcfg.making import a_revision, activated

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pane(admin_page: Page) -> Page:
    activated(a_revision())
    admin_page.goto(PANE)
    return admin_page


@pytest.fixture
def slow_pane(pane: Page) -> Page:
    """The form before a server that takes half a second to answer what is typed."""

    def later(route: Route) -> None:
        pane.wait_for_timeout(500)
        route.continue_()

    pane.route("**/draft/", later)
    return pane


def change_twice(page: Page) -> Locator:
    """Changes the timeout, and again to nonsense without leaving the field; returns the field's undo button."""
    open_advanced(page)
    fill(page, "Timeout in seconds", "45")
    page.get_by_label("Timeout in seconds", exact=True).fill("abc")
    return page.locator("#note-smtp__timeout_s .undo")


def press(page: Page, button: Locator) -> None:
    """Holds the mouse down on it until what was typed is answered: the bar is renewed after that."""
    button.hover()
    with page.expect_response("**/omnibar/"):
        page.mouse.down()


def expect_undone(page: Page) -> None:
    expect(page.get_by_label("Timeout in seconds", exact=True)).to_have_value("30")
    expect(page.locator("#form-foot")).to_contain_text("Nothing is changed")


def test_the_bar_renewed_while_the_save_dialog_is_fetched_leaves_the_page_up_to_date(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    pane.evaluate(
        "document.addEventListener('htmx:beforeSend', () => {"
        " const bar = document.getElementById('omnibar'); bar.innerHTML = bar.innerHTML; }, { once: true })"
    )
    open_dialog(pane)
    pane.keyboard.press("Escape")
    fill(pane, "Support address", "help@acme.com")
    expect(pane.locator("#draft-notice")).to_be_empty()
    assert unsaved(pane) == 2


def test_save_pressed_while_what_was_typed_is_on_its_way_saves_that_too(slow_pane: Page) -> None:
    fill(slow_pane, "Sender name", "Acme Inc.")
    slow_pane.get_by_label("Support address", exact=True).fill("help@acme.com")
    open_dialog(slow_pane)
    expect(slow_pane.locator("#save-dialog")).to_contain_text("help@acme.com")


def test_undo_pressed_while_what_was_typed_is_on_its_way_counts(slow_pane: Page) -> None:
    change_twice(slow_pane).click()
    expect_undone(slow_pane)


def test_an_undo_button_replaced_between_press_and_release_still_counts(pane: Page) -> None:
    press(pane, change_twice(pane))
    pane.mouse.up()
    expect_undone(pane)


def test_a_press_that_ends_beside_the_button_changes_nothing_and_the_note_is_up_to_date(pane: Page) -> None:
    press(pane, change_twice(pane))
    pane.mouse.move(5, 5)
    pane.mouse.up()
    expect(pane.locator("#note-smtp__timeout_s")).to_contain_text("Enter a whole number")
    expect(pane.get_by_label("Timeout in seconds", exact=True)).to_have_value("abc")


def test_discard_pressed_while_what_was_typed_is_on_its_way_discards_that_too(slow_pane: Page) -> None:
    fill(slow_pane, "Sender name", "Acme Inc.")
    slow_pane.get_by_label("Support address", exact=True).fill("help@acme.com")
    slow_pane.once("dialog", lambda dialog: dialog.accept())
    slow_pane.get_by_role("button", name="Discard changes").click()
    expect(slow_pane.get_by_text("Your unsaved changes are discarded.")).to_be_visible()
    expect(slow_pane.get_by_label("Support address", exact=True)).to_have_value("")
    assert not FormDraft.objects.exists()
