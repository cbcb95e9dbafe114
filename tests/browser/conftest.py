"""A real Chromium against the real pages: `page` is logged out, `admin_page` logged in as the administrator."""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests import programs

CHROMIUM = programs.chromium()
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Playwright's synchronous interface runs an event loop in this thread, which Django takes for asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def new_context(browser: Browser, live_server: LiveServer) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser profiles of their own, such as for a second administrator or for a phone. At the end it fails
    the test when a page asked another host for anything, or when a script failed."""
    opened: list[BrowserContext] = []
    strays: list[str] = []
    failures: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: _note_violation(message.text, failures))
        page.on("request", note)

    def note(request: Request) -> None:
        if not request.url.startswith((live_server.url, "data:", "about:", "blob:")):
            strays.append(request.url)

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(
            base_url=live_server.url, **{"viewport": {"width": 1440, "height": 900}} | options
        )
        context.set_default_timeout(10_000)
        context.on("page", watch)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
    assert not strays, f"asked other hosts: {strays}"
    assert not failures, f"scripts failed or broke the content policy: {failures}"


# For a picture, Playwright hides the caret by the style of each input and takes it away again; where htmx swaps an
# input meanwhile, it copies that attribute, which the policy refuses. The browser names the hash of what it refused,
# so only these two texts are excused.
_OF_PICTURES = tuple(
    base64.b64encode(hashlib.sha256(style).digest()).decode()
    for style in (b"", b"caret-color: transparent !important;")
)


def _note_violation(text: str, failures: list[str]) -> None:
    of_a_picture = text.startswith("Applying inline style") and any(f"sha256-{each}" in text for each in _OF_PICTURES)
    if ("Content Security Policy" in text or "Refused to" in text) and not of_a_picture:
        failures.append(text)


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    return new_context().new_page()


@pytest.fixture
def log_in(live_server: LiveServer) -> Callable[[BrowserContext, User], None]:
    """Logs a user in without the login page: `log_in(context, user)`."""

    def act(context: BrowserContext, user: User) -> None:
        client = Client()
        client.force_login(user)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])

    return act


@pytest.fixture
def admin_page(
    new_context: Callable[..., BrowserContext], log_in: Callable[[BrowserContext, User], None], admin_user: User
) -> Page:
    context = new_context()
    log_in(context, admin_user)
    return context.new_page()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine may miss a moment: its tests have one second try, which the summary shows (RERUN).
    What fails twice has failed."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))
