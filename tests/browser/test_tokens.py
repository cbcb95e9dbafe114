"""Making a token in a real browser: it is seen, whatever the hand does."""

import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from outbound import auth
from outbound.models import ApiToken

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_double_click_makes_one_token_and_shows_it(admin_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two answers the browser shows the last, so the second click must not ask again."""
    asked, asked_again, create = threading.Event(), threading.Event(), auth.create

    def slow(**given: Any) -> str:
        made = create(**given)
        asked.set()
        asked_again.wait(1)  # never set: the time in which a second request would come
        return made

    monkeypatch.setattr(auth, "create", slow)
    page = admin_page
    page.goto("/support/tokens/")
    page.get_by_label("Name", exact=True).fill("shop")
    box = page.get_by_role("button", name="Create the token").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 8, box["y"] + 8)
    assert asked.wait(10)
    page.mouse.click(box["x"] + 8, box["y"] + 8)
    expect(page.get_by_role("heading", name="The token of “shop”")).to_be_visible()
    assert auth.find(page.get_by_label("The token", exact=True).input_value()) == ApiToken.objects.get()


def test_a_form_that_was_refused_can_be_sent_again_at_once(admin_page: Page) -> None:
    page = admin_page
    page.goto("/support/tokens/")
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_role("alert").first).to_contain_text("Name the token")
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_role("heading", name="The token of “shop”")).to_be_visible()
