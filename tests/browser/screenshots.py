"""`make screenshots`: every page at desktop and phone width, light and dark, into the folder screenshots/.

Not a test by its name; run as `pytest tests/browser/screenshots.py`. Pages of other rooms are found by walking the
URL conf, so that a new page is in the pictures without a line here.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext

from adminapp import setup
from tests.adminapp.addresses import pages

FOLDER = Path(__file__).resolve().parent.parent.parent / "screenshots"
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
def test_take(
    new_context: Callable[..., BrowserContext],
    log_in: Callable[[BrowserContext, User], None],
    request: pytest.FixtureRequest,
    width: str,
    scheme: str,
) -> None:
    FOLDER.mkdir(exist_ok=True)
    size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
    context = new_context(color_scheme=scheme, viewport=size)
    page = context.new_page()

    def take(path: str, name: str) -> None:
        answer = page.goto(path)
        if answer is not None and answer.status == 405:  # takes only what a form sends
            return
        page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png", full_page=True)

    take(f"/setup/?token={setup.new_token()}", "setup")
    admin_user: User = request.getfixturevalue("admin_user")
    take("/accounts/login/", "login")
    log_in(context, admin_user)
    for path in pages():
        take(path, path.strip("/").replace("/", "-") or "home")
    take("/nothing/", "not-found")
    if width == "phone":
        page.goto("/status/")
        page.get_by_role("button", name="Navigation").click()
        page.locator("#navigation.show").wait_for()
        page.screenshot(path=FOLDER / f"navigation-{width}-{scheme}.png")
