"""Send test email, from the form to a real server and back as a receipt."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from tests.browser.test_pane import fill
from tests.servers.certificates import TestAuthority
from tests.servers.smtp import SmtpServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def test_a_wrong_password_is_explained_and_the_right_one_sends(
    admin_page: Page, smtp_server: Callable[..., SmtpServer], authority: TestAuthority
) -> None:
    server = smtp_server(security="starttls", users={"ana": "right horse"})
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "127.0.0.1")
    fill(page, "Port", str(server.port))
    page.get_by_text("Advanced: CA").click()
    fill(page, "CA certificate", authority.pem)
    fill(page, "User name", "ana")
    fill(page, "Password", "wrong")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Send test email").click()
    expect(page.locator(".rung-failed")).to_contain_text("Log in")
    assert not server.received
    fill(page, "Password", "right horse")
    page.get_by_role("button", name="Send test email").click()
    page.get_by_text("Accepted by").wait_for()
    [mail] = server.wait_for(1)
    assert mail.recipients == ("ben@acme.example",)
    text = mail.message.get_body(("plain",)).get_content()
    code = next(line.strip() for line in text.splitlines() if len(line.strip()) == 9 and line.strip()[4] == "-")
    page.get_by_label("Code in the mail").fill(code)
    page.get_by_role("button", name="I got it").click()
    page.locator(".run-received").wait_for()
    assert TestSend.objects.filter(state="received").count() == 1
