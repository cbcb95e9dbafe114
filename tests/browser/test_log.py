"""The log and Status in a real browser: from the list to a message and its retry, filters and Back, live updates."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from emailcfg.models import ActiveConfig
from outbound import queue
from outbound.models import Message
from outbound.requests import Recipient, Request
from tests.outbound.log_making import (
    ACCEPTED,
    UNKNOWN_MAILBOX,
    a_day_of_outcomes,
    a_message,
    a_service,
    an_eventful_log,
    an_open_breaker,
)
from tests.outbound.making import ANA, a_config, activate, queued

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def active(db: None) -> ActiveConfig:
    found = activate(a_config())
    a_service(found.generation)
    return found


def test_a_failed_message_is_found_read_and_tried_again(admin_page: Page, active: ActiveConfig) -> None:
    a_message("sent", ACCEPTED, subject="Good one")
    failed = a_message("failed", UNKNOWN_MAILBOX, subject="Welcome", to=("nobody@example.com",))
    page = admin_page
    page.goto("/messages/")
    page.get_by_text("Failed", exact=True).first.click()
    expect(page.get_by_role("link", name="Good one")).to_have_count(0)
    expect(page).to_have_url("/messages/?state=failed")
    page.get_by_role("link", name="Welcome").click()
    expect(page.get_by_text("User unknown").first).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("The message is due now")).to_be_visible()
    assert Message.objects.get(pk=failed.pk).state == "queued"
    Message.objects.filter(pk=failed.pk).update(state="sent", due_at=None, changed_at=timezone.now())
    expect(page.get_by_text("The mail server took it for every recipient")).to_be_visible()  # without a reload


def test_back_leads_from_a_filter_to_what_was_shown_before(admin_page: Page, active: ActiveConfig) -> None:
    a_message("sent", ACCEPTED, subject="Good one")
    a_message("failed", UNKNOWN_MAILBOX, subject="Refused one")
    page = admin_page
    page.goto("/messages/")
    page.get_by_label("Recipient, beginning of the subject").press_sequentially("refus")
    expect(page).to_have_url("/messages/?q=refus")
    expect(page.get_by_role("link", name="Good one")).to_have_count(0)
    expect(page.get_by_label("Recipient, beginning of the subject")).to_be_focused()
    page.locator("label", has_text="Sent").first.click()
    expect(page.get_by_text("No message fits")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="Refused one")).to_be_visible()
    expect(page.get_by_label("Recipient, beginning of the subject")).to_have_value("refus")
    expect(page.get_by_label("All", exact=True)).to_be_checked()


def test_the_frame_shows_the_mail_and_runs_nothing_in_it(admin_page: Page, active: ActiveConfig) -> None:
    evil = '<p id="seen">Good morning</p><script>top.document.title = "taken"</script>'
    request = Request(kind="raw", to=(Recipient("bob@example.com"),), subject="Evil", html=evil)
    message = a_message("sent", ACCEPTED, request=request)
    page = admin_page
    page.context.on("weberror", lambda error: pytest.fail(str(error)))
    page.goto(f"/messages/{message.pk}/")
    expect(page.frame_locator("iframe.mail-frame").locator("#seen")).to_have_text("Good morning")
    expect(page).to_have_title("Evil · Admin App")
    page.get_by_role("tab", name="Source").click()
    expect(page.get_by_role("tabpanel", name="Source")).to_contain_text("Content-Type: text/html")


def test_status_turns_in_place_and_keeps_what_is_open(admin_page: Page, active: ActiveConfig) -> None:
    a_day_of_outcomes()
    a_message("sent", ACCEPTED, revision=active.revision_id)
    page = admin_page
    page.goto("/status/")
    expect(page.locator("#verdict")).to_have_text("Mail works.")
    page.get_by_text("The same as a table").click()
    an_open_breaker(active.generation)
    expect(page.locator("#verdict")).to_contain_text("No mail leaves", timeout=15_000)
    expect(page.get_by_text("535 5.7.8 Error: authentication failed")).to_be_visible()
    expect(page.get_by_role("table", name="Outcomes by hour, UTC")).to_be_visible()
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_text("One message is tried now.")).to_be_visible()


def test_who_pauses_and_resumes_elsewhere_shows_on_a_page_that_is_open(admin_page: Page, active: ActiveConfig) -> None:
    page = admin_page
    page.goto("/status/")
    pause, resume = (page.get_by_role("button", name=f"{verb} sending") for verb in ("Pause", "Resume"))
    link = page.get_by_role("link", name="Resume it above")
    expect(pause).to_be_visible()
    expect(link).to_be_hidden()
    queue.pause(actor=ANA)
    expect(resume).to_be_visible(timeout=15_000)
    expect(pause).to_be_hidden()
    expect(page.locator("#omnibar-badge")).to_have_text("Sending is paused")
    page.set_viewport_size({"width": 390, "height": 500})
    page.emulate_media(reduced_motion="reduce")  # it is there at once
    link.click()
    expect(resume).to_be_in_viewport(ratio=1)
    box, bar = resume.bounding_box(), page.locator("#omnibar").bounding_box()
    assert box is not None
    assert bar is not None
    assert bar["y"] + bar["height"] <= box["y"]
    assert box["y"] + box["height"] <= 500
    queue.resume(actor=ANA)
    expect(pause).to_be_visible(timeout=15_000)
    expect(link).to_be_hidden()


def test_a_token_is_made_and_revoked(admin_page: Page, active: ActiveConfig) -> None:
    page = admin_page
    page.goto("/support/tokens/")
    page.get_by_label("Name").fill("shop")
    page.get_by_role("button", name="Create the token").click()
    assert page.get_by_label("The token", exact=True).input_value().startswith("aat_")
    page.locator("summary", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke shop").click()
    expect(page.get_by_text("The token shop is revoked.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    active: ActiveConfig,
    scheme: str,
    width: int,
) -> None:
    log = an_eventful_log(active.revision_id or 0)
    queued(60)
    a_day_of_outcomes()
    an_open_breaker(active.generation)
    queue.pause(actor=ANA, reason="Moving the relay " + "x" * 180)
    context = new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    log_in(context, admin_user)
    page = context.new_page()
    paths = ["/status/", "/messages/", "/messages/?q=nothing", "/messages/kinds/", "/support/tokens/"]
    paths += [f"/messages/{message.pk}/" for message in log[-8:]]
    found = {}
    for path in paths:
        page.goto(path)
        violations = [violation["id"] for violation in Axe().run(page).response["violations"]]
        wide = page.evaluate("document.documentElement.scrollWidth") > width
        found[path] = violations + (["scrolls sideways"] if wide else [])
    assert found == {path: [] for path in found}


@pytest.mark.parametrize(("path", "text"), [("/messages/", "Welcome"), ("/configuration/history/", "For a test")])
def test_a_whole_row_can_be_clicked(admin_page: Page, active: ActiveConfig, path: str, text: str) -> None:
    a_message("failed", UNKNOWN_MAILBOX, subject="Welcome")
    page = admin_page
    page.goto(path)
    row = page.locator("tr, li.revision-row").filter(has_text=text).first
    link = row.get_by_role("link").first.get_attribute("href")
    box = row.bounding_box()
    assert link is not None
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)  # where no word stands
    expect(page).to_have_url(link)
