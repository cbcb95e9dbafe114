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
from emailcfg import activation
from emailcfg.actor import SYSTEM
from emailcfg.models import FormDraft
from tests.adminapp.addresses import pages
from tests.emailcfg.making import a_revision
from tests.outbound.log_making import a_day_of_outcomes, a_service, an_eventful_log, an_open_breaker

FOLDER = Path(__file__).resolve().parent.parent.parent / "screenshots"
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def _named(path: str) -> str:
    return path.strip("/").replace("/", "-")


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
        answer = context.request.get(path, max_redirects=0)
        if answer.status == 405 or "content-disposition" in answer.headers:  # takes only a form; is a file
            return
        page.goto(path)
        page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png", full_page=True)

    take(f"/setup/?token={setup.new_token()}", "setup")
    admin_user: User = request.getfixturevalue("admin_user")
    take("/accounts/login/", "login")
    log_in(context, admin_user)
    for path in pages():
        take(path, f"empty-{_named(path)}")
    first, second = a_revision(), a_revision(smtp__host="relay.acme.example", smtp__timeout_s=20)
    activation.activate(first.number, expected_generation=0, actor=SYSTEM)
    FormDraft.objects.create(user=admin_user, base=first, changed=["smtp.timeout_s"], values={"smtp.timeout_s": "45"})
    log = an_eventful_log(first.number)
    a_day_of_outcomes()
    a_service(1)
    a_service(None, role="web")
    for path in (
        *pages(),
        f"/configuration/revisions/{second.number}/",
        f"/configuration/revisions/{first.number}/diff/{second.number}/",
        f"/configuration/revisions/{second.number}/activate/",
        *(f"/messages/{message.pk}/" for message in log[-8:]),
    ):
        take(path, _named(path))
    take("/nothing/", "not-found")
    for query in (
        "state=failed",
        "state=diverted",
        "state=deferred&cause=greylisted",
        "kind=raw&cause=greylisted",
        "q=nobody",
    ):
        take(f"/messages/?{query}", f"messages-{query.partition('=')[2].partition('&')[0]}")
    an_open_breaker(1)
    a_service(1, ago_s=60)
    take("/status/", "status-held")
    take("/messages/", "messages-held")
    if width == "phone":
        page.goto("/status/")
        page.get_by_role("button", name="Navigation").click()
        page.locator("#navigation.show").wait_for()
        page.screenshot(path=FOLDER / f"navigation-{width}-{scheme}.png")
