"""History, comparing, activating, confirming and rolling back in a real browser."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect

from adminapp.accounts import create_administrator
from emailcfg import activation, confirmation
from emailcfg.models import ActiveConfig, ConfigRevision
from tests.conftest import PASSWORD
from tests.emailcfg.making import a_process, a_revision, a_test_of, activated

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emailcfg.views.activate.Lookup", lambda settings: None)


@pytest.fixture
def two(db: None) -> tuple[ConfigRevision, ConfigRevision]:
    """A revision that runs, tested, and a draft after it."""
    first = a_revision()
    a_test_of(first)
    activated(first)
    return first, a_revision(base=first, smtp__timeout_s=10)


def test_history_compare_activate_and_roll_back(admin_page: Page, two: tuple[ConfigRevision, ConfigRevision]) -> None:
    first, second = two
    a_process("one", "running", 2)
    page = admin_page
    page.goto("/configuration/history/")
    page.get_by_role("button", name="Compare selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"r{first.number} → r{second.number}")
    expect(page.get_by_role("row", name="SMTP: timeout")).to_contain_text("10")
    page.get_by_role("link", name=f"Activate r{second.number}").click()
    expect(page.get_by_text("never tested")).to_be_visible()
    page.get_by_label("Activate for good").check()
    page.get_by_label("Reason").fill("Seen to work elsewhere")
    page.get_by_role("button", name=f"Activate r{second.number}").click()
    expect(page.get_by_role("heading", name=f"r{second.number} is active", exact=True)).to_be_visible()
    expect(page.locator("#convergence")).to_contain_text("1 of 1 process runs it")
    page.get_by_role("button", name=f"Roll back to r{first.number}").click()
    expect(page.get_by_role("heading", name=f"r{first.number} is active", exact=True)).to_be_visible()
    page.goto("/configuration/history/")
    expect(page.locator(".timeline li")).to_have_count(3)
    expect(page.locator(".timeline")).to_contain_text("Seen to work elsewhere")


def test_two_administrators_in_two_browsers(
    admin_page: Page,
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    two: tuple[ConfigRevision, ConfigRevision],
) -> None:
    _, second = two
    third = a_revision(smtp__timeout_s=11)
    for revision in (second, third):
        a_test_of(revision)
    context = new_context()
    log_in(context, create_administrator(email="ben@acme.example", password=PASSWORD))
    other = context.new_page()
    admin_page.goto(f"/configuration/revisions/{second.number}/activate/")
    other.goto(f"/configuration/revisions/{third.number}/activate/")
    admin_page.get_by_label("Activate for good").check()
    admin_page.get_by_role("button", name=f"Activate r{second.number}").click()
    expect(admin_page.get_by_role("heading", name=f"r{second.number} is active", exact=True)).to_be_visible()
    other.get_by_role("button", name=f"Activate r{third.number}").click()
    expect(other.get_by_role("alert")).to_contain_text(f"r{second.number} is now active")
    expect(other.get_by_role("heading", name=f"What changes from r{second.number}")).to_be_visible()
    other.get_by_role("button", name=f"Activate r{third.number}").click()
    expect(other.get_by_role("heading", name=f"r{third.number} is active", exact=True)).to_be_visible()
    # The first browser notices by itself: its page shows what is active now.
    expect(admin_page.get_by_role("heading", name=f"Roll back to r{second.number}")).to_be_visible(timeout=15_000)
    assert activation.current().revision == third


def for_a_while(page: Page, revision: ConfigRevision) -> None:
    """Activates a revision for five minutes."""
    a_test_of(revision)
    page.goto(f"/configuration/revisions/{revision.number}/activate/")
    page.get_by_label("Keep it only if it is confirmed within").check()
    page.get_by_label("Minutes to confirm in").select_option("5")
    page.get_by_role("button", name=f"Activate r{revision.number}").click()
    expect(page.get_by_role("heading", name="Confirm within")).to_be_visible()


def test_what_is_active_for_a_while_counts_down_on_every_page_and_is_kept(
    admin_page: Page, two: tuple[ConfigRevision, ConfigRevision]
) -> None:
    _, second = two
    for_a_while(admin_page, second)
    admin_page.goto("/support/")
    countdown = admin_page.locator("#omnibar [data-countdown]")
    expect(countdown).to_have_text("4:57", timeout=15_000)
    admin_page.locator("#omnibar").get_by_role("button", name=f"Keep r{second.number}").click()
    expect(admin_page.get_by_text(f"r{second.number} stays active.")).to_be_visible()
    expect(admin_page.locator("[data-countdown]")).to_have_count(0)
    assert activation.current().confirm_state == "none"


def test_what_nobody_confirms_returns_and_the_open_page_shows_it(
    admin_page: Page, two: tuple[ConfigRevision, ConfigRevision]
) -> None:
    first, second = two
    for_a_while(admin_page, second)
    ActiveConfig.objects.update(confirm_deadline=activation.database_time() - timedelta(seconds=1))
    assert confirmation.Watch().tick()
    expect(admin_page.get_by_text("Nobody confirmed in time.").first).to_be_visible(timeout=15_000)
    assert activation.current().revision == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    two: tuple[ConfigRevision, ConfigRevision],
    scheme: str,
) -> None:
    first, second = two
    context = new_context(color_scheme=scheme)
    log_in(context, admin_user)
    page = context.new_page()
    number = f"/configuration/revisions/{second.number}/"
    paths = [
        "/configuration/history/",
        "/configuration/history/compare/",
        "/configuration/audit/",
        number,
        f"{number}activate/",
        f"{number}delete/",
        f"/configuration/revisions/{first.number}/activate/",
        f"/configuration/revisions/{first.number}/diff/{second.number}/",
        "/configuration/confirm/nothing/",
    ]
    found = {}
    for path in paths:
        page.goto(path)
        violations = Axe().run(page).response["violations"]
        if violations:
            found[path] = [(one["id"], [node["html"][:160] for node in one["nodes"]][:2]) for one in violations]
    assert found == {}


def test_nothing_scrolls_sideways_on_a_phone(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    admin_user: User,
    two: tuple[ConfigRevision, ConfigRevision],
) -> None:
    first, second = two
    context = new_context(viewport={"width": 390, "height": 844})
    log_in(context, admin_user)
    page = context.new_page()
    number = f"/configuration/revisions/{second.number}/"
    for path in ("/configuration/history/", "/configuration/audit/", number, f"{number}activate/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert first.number
