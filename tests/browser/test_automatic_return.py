"""A revision whose password the relay refuses is activated for a while: it returns by itself, in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from emailcfg import revisions
from emailcfg.models import Activation
from emailcfg.network import NetworkPolicy
from outbound.models import Message
from tests.outbound.engine.running import running, until
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _engine_settings(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DATA_DIR = tmp_path
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    monkeypatch.setattr("emailcfg.views.activate.Lookup", lambda settings: None)


def test_a_broken_activation_returns_by_itself_and_nothing_is_lost(
    admin_page: Page, smtp_server: Callable[..., SmtpServer]
) -> None:
    good, strict = smtp_server(), smtp_server(users={"ana": "the right one"})
    first = activate(a_config(good.port))
    broken = revisions.save(
        config=a_config(strict.port, username="ana", password=SecretStr("a wrong one")),
        base=first.revision,
        description="The new relay",
        actor=ANA,
    )
    page = admin_page
    with running():
        page.goto(f"/configuration/revisions/{broken.number}/activate/")
        expect(page.get_by_text("never tested")).to_be_visible()
        page.get_by_label("Keep it only if it is confirmed within").check()
        page.get_by_label("Minutes to confirm in").select_option("5")
        page.get_by_label("Reason").fill("The relay's documentation says so")
        page.get_by_role("button", name=f"Activate r{broken.number}").click()
        expect(page.get_by_role("heading", name="Confirm within")).to_be_visible()
        expect(page.locator("#convergence")).to_contain_text("1 of 1 process runs it")

        queued(12)
        # The page that waits for the confirmation notices by itself, and every page says why.
        said = f"r{broken.number} was returned to r{first.revision_id} by itself."
        expect(page.get_by_text(said).first).to_be_visible(timeout=20_000)
        expect(page.locator("[data-countdown]")).to_have_count(0)
        page.goto("/messages/")
        expect(page.locator("#omnibar")).to_contain_text("failed because of the configuration")
        expect(page.locator("#omnibar")).to_contain_text("535")
        until(lambda: not Message.objects.exclude(state="sent").exists())
    assert len(good.received) == 13  # the twelve, and the mail with the confirmation link
    assert strict.received == []
    page.goto("/configuration/history/")
    expect(page.locator(".timeline")).to_contain_text("Returned automatically")
    expect(page.locator(".timeline")).to_contain_text("The relay's documentation says so")
    assert list(Activation.objects.order_by("pk").values_list("kind", flat=True)) == ["activate", "activate", "return"]
