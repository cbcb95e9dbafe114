"""An administrator who logged in a while ago saves and activates: asked for the password once, losing nothing."""

import time

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Page, expect

from emailcfg import activation
from emailcfg.models import ConfigRevision
from emailcfg.reauthentication import STARTED
from tests.browser.steps import PANE, fill, open_dialog
from tests.conftest import PASSWORD
from tests.emailcfg.making import a_revision, activated

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def logged_in_ago(page: Page, seconds: int) -> None:
    (key,) = [one["value"] for one in page.context.cookies() if one["name"] == settings.SESSION_COOKIE_NAME]
    session = SessionStore(key)
    session[STARTED] = int(time.time()) - seconds
    session.save()


def test_save_and_activate_after_twenty_minutes(admin_page: Page) -> None:
    page = admin_page
    activated(a_revision())
    page.goto(PANE)
    logged_in_ago(page, 20 * 60)
    fill(page, "Sender name", "Acme Ltd.")
    open_dialog(page)
    page.get_by_label("What changes, and why").fill("Another name")
    page.get_by_role("button", name="Save, then activate").click()
    expect(page.get_by_role("heading", name="What follows")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("Another name")
    page.get_by_label("Keep it only if it is confirmed within").check()
    name = str(ConfigRevision.objects.get(description="Another name"))
    page.get_by_role("button", name=f"Activate {name}").click()
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_role("heading", name=f"{name} is active", exact=True)).to_be_visible()
    active = activation.current()
    assert active.revision is not None
    assert active.revision.payload["general"]["sender_name"] == "Acme Ltd."
    assert active.confirm_state == "pending"
