"""Times are stored in UTC and shown in the viewer's zone."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, expect

from adminapp.zone import COOKIE
from tests.outbound.making import a_config, activate

pytestmark = pytest.mark.django_db


def test_a_page_says_the_zone_of_its_reader(admin_client: Client) -> None:
    assert "Times are UTC." in admin_client.get("/status/").content.decode()
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    assert "Times are JST." in admin_client.get("/status/").content.decode()


@pytest.mark.parametrize("name", ["Nowhere/Land", "../../etc/passwd", "/etc/localtime", "x" * 5000, "é", "UTC\x00"])
def test_a_zone_that_is_none_means_utc(admin_client: Client, name: str) -> None:
    admin_client.cookies[COOKIE] = name
    assert "Times are UTC." in admin_client.get("/status/").content.decode()


def test_a_zone_lasts_for_its_own_request_only(admin_client: Client) -> None:
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    admin_client.get("/status/")
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_time_keeps_its_moment_for_machines_and_its_zone_for_people() -> None:
    moment = datetime(2026, 11, 17, 22, 30, tzinfo=UTC)
    with timezone.override("Asia/Tokyo"):
        shown = Template("{% load time_shown %}{% time_ago at %}").render(Context({"at": moment}))
    assert 'title="2026-11-18 07:30:00 JST"' in shown
    assert datetime.fromisoformat(shown.split('datetime="')[1].split('"')[0]) == moment


def test_what_ran_at_reads_the_time_in_the_readers_zone(admin_client: Client) -> None:
    activate(a_config())
    admin_client.cookies[COOKIE] = "Asia/Tokyo"
    page = admin_client.get("/configuration/history/", {"at": "2026-11-18T07:30"}).content.decode()
    assert "Wed 18 Nov 2026, 07:30" in page
    assert "nothing was active yet" in page


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_browser_tells_its_zone_by_itself(
    new_context: Callable[..., BrowserContext], log_in: Callable[[BrowserContext, User], None], admin_user: User
) -> None:
    context = new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    page.goto("/accounts/login/")
    log_in(context, admin_user)
    page.goto("/status/")
    expect(page.get_by_text("Times are JST.")).to_be_visible()
