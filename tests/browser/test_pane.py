"""Configuration > Email in a real browser: typing, repairing, undoing, leaving, coming back, saving."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import BrowserContext, Dialog, Page, expect

from adminapp.accounts import create_administrator
from emailcfg import activation
from emailcfg.models import ActiveConfig, ConfigRevision, FormDraft
from tests.browser.steps import PANE, choose, fill, note, open_advanced, open_dialog, save, switch_on, unsaved
from tests.conftest import PASSWORD
from tests.emailcfg.making import a_revision, activated

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

__all__ = ["fill"]  # the steps of other tests come from here, too


@pytest.fixture
def pane(admin_page: Page) -> Page:
    """The form over an active revision: smtp.acme.com, user ana@acme.com with a stored password."""
    activated(a_revision())
    admin_page.goto(PANE)
    return admin_page


def value(page: Page, label: str) -> str:
    return page.get_by_label(label, exact=True).input_value()


def test_what_is_typed_is_repaired_marked_and_saved_as_a_revision(admin_page: Page) -> None:
    page = admin_page
    page.goto(PANE)
    fill(page, "Sender address", "no-reply@acme.example")
    switch_on(page, "SMTP")
    fill(page, "Host", " https://smtp.acme.example:2525/x ")
    expect(page.get_by_label("Host", exact=True)).to_have_value("smtp.acme.example")
    expect(page.get_by_label("Port", exact=True)).to_have_value("2525")
    open_advanced(page)
    fill(page, "Timeout in seconds", "abc")
    with page.expect_response("**/draft/"):
        page.locator("#note-smtp__timeout_s .undo").click()
    page.get_by_role("button", name="Save 4 changes").click()
    page.locator("dialog[open]").wait_for()
    page.get_by_label("What changes, and why").fill("First relay")
    page.get_by_role("button", name="Save and activate").click()
    expect(page.get_by_text("“First relay” is saved and active.")).to_be_visible()
    assert ConfigRevision.objects.get().payload["smtp"]["host"] == "smtp.acme.example"
    assert not FormDraft.objects.exists()


def test_a_click_on_save_right_after_typing_takes_what_was_typed(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    pane.get_by_label("Sender name", exact=True).fill("Acme Ltd.")  # not left: the click on Save leaves it
    open_dialog(pane)
    expect(pane.locator("#save-dialog .after")).to_have_text("Acme Ltd.")
    expect(pane.locator("#draft-notice")).to_be_empty()


def test_enter_in_the_description_saves_and_does_not_activate(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    open_dialog(pane)
    expect(pane.get_by_label("What changes, and why")).to_be_focused()
    pane.keyboard.type("A longer name")
    pane.keyboard.press("Enter")
    expect(pane.get_by_text("“A longer name” is saved")).to_be_visible()
    assert ConfigRevision.objects.count() == 2
    assert ActiveConfig.objects.get().generation == 1


def test_a_double_click_on_save_makes_one_revision(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    open_dialog(pane)
    pane.get_by_label("What changes, and why").fill("A longer name")
    pane.locator("#save-dialog").get_by_role("button", name="Save", exact=True).dblclick()
    expect(pane.get_by_text("“A longer name” is saved")).to_be_visible()
    assert ConfigRevision.objects.count() == 2


def test_leaving_with_unsaved_changes_asks_and_reloading_keeps_them(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    pane.once("dialog", stay)
    pane.get_by_role("link", name="Messages").click()
    expect(pane.get_by_role("heading", name="Email", exact=True)).to_be_visible()
    assert asked == ["beforeunload"]
    pane.once("dialog", lambda dialog: dialog.accept())
    pane.reload()
    assert value(pane, "Sender name") == "Acme Inc."
    assert unsaved(pane) == 1


def test_leaving_with_a_word_that_is_still_being_typed_asks_too(pane: Page) -> None:
    pane.get_by_label("Sender name", exact=True).press_sequentially("x")
    with pane.expect_event("dialog") as asked:
        pane.close(run_before_unload=True)
    asked.value.dismiss()


def test_leaving_without_changes_does_not_ask(pane: Page) -> None:
    pane.get_by_role("link", name="Messages").click()
    expect(pane.get_by_role("heading", name="Messages", exact=True)).to_be_visible()


def test_discarding_asks_and_then_shows_what_is_saved(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    pane.once("dialog", lambda dialog: dialog.dismiss())
    pane.get_by_role("button", name="Discard changes").click()
    assert value(pane, "Sender name") == "Acme Inc."
    pane.once("dialog", lambda dialog: dialog.accept())
    pane.get_by_role("button", name="Discard changes").click()
    expect(pane.get_by_text("Your unsaved changes are discarded")).to_be_visible()
    assert value(pane, "Sender name") == "Acme"
    assert not FormDraft.objects.exists()


def test_the_back_button_shows_what_was_typed(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    pane.once("dialog", lambda dialog: dialog.accept())
    pane.goto("/status/")
    pane.go_back()
    expect(pane.get_by_label("Sender name", exact=True)).to_have_value("Acme Inc.")
    fill(pane, "Support address", "help@acme.com")
    expect(pane.locator("#draft-notice")).to_be_empty()


def test_one_button_is_primary_the_test_until_there_is_something_to_save(pane: Page) -> None:
    primary = (
        "() => [...document.querySelectorAll('.btn')].filter(button => button.offsetParent"
        " && getComputedStyle(button).backgroundColor === 'rgb(31, 95, 191)').map(button => button.innerText.trim())"
    )
    assert pane.evaluate(primary) == ["Send test email"]
    fill(pane, "Sender name", "Acme Inc.")
    expect(pane.locator("#save-changes")).to_be_visible()
    pane.mouse.move(0, 0)
    pane.wait_for_function(f"JSON.stringify(({primary})()) === JSON.stringify(['Save 1 change'])")


def test_undo_puts_a_field_and_a_secret_back_and_keeps_the_focus_there(pane: Page) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    fill(pane, "Password", "another")
    for label, name in (("Password", "smtp__password"), ("Sender name", "general__sender_name")):
        with pane.expect_response("**/draft/"):
            pane.locator(f"#note-{name} .undo").click()
        expect(pane.get_by_label(label, exact=True)).to_be_focused()
    expect(pane.get_by_label("Sender name", exact=True)).to_have_value("Acme")
    expect(pane.get_by_label("Password", exact=True)).to_have_value("")
    assert unsaved(pane) == 0
    fill(pane, "Sender name", "Acme Inc.")
    assert unsaved(pane) == 1  # the password that was undone did not come back with it


def test_removing_a_stored_password_clears_it_until_it_is_undone(pane: Page) -> None:
    fill(pane, "Password", "typed first")
    with pane.expect_response("**/draft/"):
        pane.locator("#note-smtp__password .undo").click()
    with pane.expect_response("**/draft/"):
        pane.get_by_role("button", name="Remove").click()
    expect(pane.locator("#secret-smtp__password")).to_contain_text("Not set")
    with pane.expect_response("**/draft/"):
        pane.locator("#note-smtp__password .undo").click()
    expect(pane.locator("#secret-smtp__password")).to_contain_text("Leave empty to keep it")


def test_a_stored_password_is_asked_for_again_when_the_host_changes(pane: Page) -> None:
    fill(pane, "Host", "other.acme.com")
    expect(pane.locator("#note-smtp__password")).to_contain_text("Enter the password again")
    expect(pane.get_by_label("Password", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(pane.get_by_label("Password", exact=True)).to_have_attribute("placeholder", "")
    fill(pane, "Host", "SMTP.acme.com.")
    expect(pane.locator("#secret-smtp__password")).to_contain_text("Leave empty to keep it")
    assert unsaved(pane) == 0


def test_no_secret_ever_stands_in_the_page(pane: Page) -> None:
    fill(pane, "Password", "a very special password")
    pane.once("dialog", lambda dialog: dialog.accept())
    pane.reload()
    assert "special" not in pane.content()
    assert value(pane, "Password") == ""
    expect(pane.locator("#secret-smtp__password")).to_contain_text("kept for this session")


# Sessions, tabs, two administrators


def test_after_a_lapsed_session_the_login_leads_back_to_what_was_typed(pane: Page, admin_user: User) -> None:
    fill(pane, "Sender name", "Acme Inc.")
    fill(pane, "Password", "typed before")
    Session.objects.all().delete()
    pane.get_by_label("Support address", exact=True).fill("help@acme.com")
    pane.get_by_label("Support address", exact=True).blur()
    expect(pane.get_by_role("heading", name="Log in")).to_be_visible()
    pane.get_by_label("Email address").fill(admin_user.username)
    with pane.expect_response("**/draft/"):
        pane.get_by_label("Password", exact=True).fill(PASSWORD)
        pane.keyboard.press("Enter")
    expect(pane.get_by_label("Support address", exact=True)).to_have_value("help@acme.com")
    assert value(pane, "Sender name") == "Acme Inc."
    expect(pane.locator("#session-notice")).to_contain_text("enter those again")
    assert "session ended" in note(pane, "smtp__password")
    assert value(pane, "Password") == ""
    open_dialog(pane)
    expect(pane.locator("#save-dialog")).to_contain_text("1 field to mend first")
    pane.locator("#save-dialog").get_by_role("link", name="Password").click()
    expect(pane.get_by_label("Password", exact=True)).to_be_focused()
    fill(pane, "Password", "typed again")
    save(pane, "After the pause")


def test_a_second_tab_does_not_overwrite_the_first(pane: Page) -> None:
    other = pane.context.new_page()
    other.goto(PANE)
    fill(pane, "Sender name", "From the first tab")
    fill(other, "Sender name", "From the second tab")
    expect(other.locator("#draft-notice")).to_contain_text("What you just typed here is not stored")
    assert FormDraft.objects.get().values["general.sender_name"] == "From the first tab"
    with other.expect_response("**/draft/"):
        other.get_by_role("button", name="Keep what this page shows").click()
    assert FormDraft.objects.get().values["general.sender_name"] == "From the second tab"
    expect(other.locator("#draft-notice")).to_be_empty()
    fill(pane, "Sender name", "Again from the first")
    pane.get_by_role("link", name="Show the newer version").click()
    expect(pane.get_by_label("Sender name", exact=True)).to_have_value("From the second tab")


@pytest.fixture
def bens_pane(
    pane: Page, new_context: Callable[..., BrowserContext], log_in: Callable[[BrowserContext, User], None]
) -> Page:
    """The same page, before the eyes of another administrator."""
    context = new_context()
    log_in(context, create_administrator(email="ben@acme.example", password=PASSWORD))
    page = context.new_page()
    page.goto(PANE)
    return page


def test_the_second_administrators_dialog_names_the_firsts_revision_and_what_differs(
    pane: Page, bens_pane: Page
) -> None:
    fill(bens_pane, "Sender name", "Ben's name")
    fill(pane, "Sender name", "Ana's name")
    save(pane, "Ana renames", "Save and activate")
    open_dialog(bens_pane)
    notice = bens_pane.locator("#save-dialog .notice-warning")
    expect(notice).to_contain_text("was activated while you edited")
    expect(notice).to_contain_text("Ana's name")
    expect(notice).to_contain_text("also changed by you")
    bens_pane.get_by_label("What changes, and why").fill("Ben renames")
    bens_pane.get_by_role("button", name="Save", exact=True).click()
    expect(bens_pane.get_by_text("“Ben renames” is saved")).to_be_visible()
    assert ConfigRevision.objects.count() == 3


def test_a_page_from_before_another_activation_can_not_undo_it_unseen(pane: Page, bens_pane: Page) -> None:
    fill(pane, "Sender name", "Ana's name")
    save(pane, "Ana renames", "Save and activate")
    fill(bens_pane, "Support address", "help@acme.com")
    expect(bens_pane.locator("#draft-notice")).to_contain_text("another revision became active")
    assert not FormDraft.objects.exists()


def test_save_and_activate_over_a_changed_generation_does_neither(pane: Page, bens_pane: Page) -> None:
    second = a_revision(smtp__timeout_s=9)
    bens_pane.reload()
    fill(bens_pane, "Sender name", "Ben's name")
    open_dialog(bens_pane)
    activated(second)
    bens_pane.get_by_label("What changes, and why").fill("Ben renames")
    bens_pane.get_by_role("button", name="Save and activate").click()
    expect(bens_pane.locator("#save-dialog .notice-error")).to_contain_text(f"r{second.number}")
    assert ConfigRevision.objects.count() == 2
    assert activation.current().revision == second
    bens_pane.get_by_role("button", name="Save and activate").click()
    expect(bens_pane.get_by_text("“Ben renames” is saved and active")).to_be_visible()


# Presets and switches


def test_the_preset_explains_itself_and_its_fields(admin_page: Page) -> None:
    admin_page.goto(PANE)
    switch_on(admin_page, "SMTP")
    choose(admin_page, "Set up for", "Google Workspace SMTP relay")
    expect(admin_page.locator("#preset-help")).to_contain_text("Google Admin console")
    expect(admin_page.locator("#help-smtp__username")).to_contain_text("by its address")
    open_advanced(admin_page)
    expect(admin_page.locator("#help-smtp__ehlo_hostname")).to_contain_text("refuses “localhost”")
    choose(admin_page, "Set up for", "Gmail")
    expect(admin_page.locator("#help-smtp__username")).to_contain_text("full Gmail address")
    expect(admin_page.locator("#secret-smtp__password")).to_contain_text("16 letters")


def test_one_switch_turns_the_other_off_and_none_says_that_mail_stops(pane: Page) -> None:
    switch_on(pane, "SendGrid")
    expect(pane.get_by_role("switch", name="SMTP on")).not_to_be_checked()
    with pane.expect_response("**/draft/"):
        pane.get_by_role("switch", name="SendGrid on").uncheck()
    expect(pane.locator("#delivery-note")).to_contain_text("all mail stops")


def test_a_server_that_does_not_answer_is_told_and_nothing_typed_is_gone(pane: Page) -> None:
    pane.route("**/draft/", lambda route: route.abort())
    pane.get_by_label("Sender name", exact=True).fill("Acme Inc.")
    pane.get_by_label("Sender name", exact=True).blur()
    expect(pane.locator("#draft-notice")).to_contain_text("not stored yet")
    pane.unroute("**/draft/")
    fill(pane, "Support address", "help@acme.com")
    expect(pane.locator("#draft-notice")).to_be_empty()
    assert FormDraft.objects.get().values["general.sender_name"] == "Acme Inc."
