"""Send test email, from the form to a real server and back as a receipt."""

import threading
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from pytest_django import Settings

from emailcfg.models import TestSend
from emailcfg.network import NetworkPolicy
from outbound import remedies
from tests.browser.steps import processed
from tests.browser.test_pane import fill
from tests.servers.certificates import TestAuthority
from tests.servers.scripted import ScriptedSmtp
from tests.servers.smtp import SmtpServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def test_why_a_test_was_refused_goes_away_when_the_form_is_mended(admin_page: Page) -> None:
    admin_page.goto("/configuration/email/")
    panel = admin_page.locator("#test")
    panel.get_by_role("button", name="Send test email").click()
    expect(panel.get_by_text("there is nothing to test")).to_be_visible()
    admin_page.get_by_label("SMTP on").check()
    expect(panel.get_by_text("there is nothing to test")).to_have_count(0)


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


def test_a_wrong_port_is_fixed_by_a_button_and_the_test_goes_green(
    admin_page: Page,
    smtp_server: Callable[..., SmtpServer],
    authority: TestAuthority,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = smtp_server(security="tls", users={"ana": "right horse"})
    monkeypatch.setattr(remedies, "USUAL", ((server.port, "tls"),))
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "127.0.0.1")
    fill(page, "Port", str(closed_port))
    page.get_by_text("Advanced: CA").click()
    fill(page, "CA certificate", authority.pem)
    fill(page, "User name", "ana")
    fill(page, "Password", "right horse")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Send test email").click()
    expect(page.locator(".rung-failed")).to_contain_text("nothing answers on port")
    page.get_by_role("button", name="Fix my form").wait_for()
    processed(page)
    page.get_by_role("button", name="Fix my form").click()
    expect(page.get_by_label("Port", exact=True)).to_have_value(str(server.port))
    expect(page.get_by_label("Security", exact=True)).to_have_value("tls")
    assert not server.login_attempts  # the probes leave the password at home
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    processed(page)
    page.get_by_role("button", name="Test again").click()
    page.get_by_text("Accepted by").wait_for()
    assert server.wait_for(1)[0].login == "ana"
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []


def test_a_refused_login_is_fixed_by_the_method_that_works_and_the_test_goes_green(
    admin_page: Page,
    scripted_smtp: Callable[..., ScriptedSmtp],
    two_versions: Callable[..., str],
    closed_port: int,
) -> None:
    server = scripted_smtp(
        {
            "AUTH PLAIN": "535 5.7.8 Error: authentication failed",
            "AUTH LOGIN": "334 VXNlcm5hbWU6",
            "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Accepted"] * 2,
        },
        keywords=["AUTH PLAIN LOGIN"],
    )
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", two_versions(closed_port, server.port))
    fill(page, "Port", str(server.port))
    page.get_by_label("Security", exact=True).select_option("none")
    fill(page, "User name", "ana")
    fill(page, "Password", "right horse")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Send test email").click()
    expect(page.locator(".rung-failed")).to_contain_text("User name or password were refused.")
    expect(page.locator(".finding-remark")).to_contain_text("IPv6 fails, IPv4 works.")
    expect(page.locator(".run-remedy")).to_contain_text("by LOGIN, another login method that it offers")
    processed(page)
    page.get_by_role("button", name="Fix my form").click()
    expect(page.get_by_label("Login method", exact=True)).to_have_value("login")
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    processed(page)
    page.get_by_role("button", name="Test again").click()
    page.get_by_text("Accepted by").wait_for()
    assert [line.split()[1] for line in server.commands if line.startswith("AUTH")] == ["PLAIN", "LOGIN", "LOGIN"]
    assert len(server.taken) == 1


def test_a_result_says_so_as_soon_as_the_form_shows_something_else(
    admin_page: Page, scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    page, server = admin_page, scripted_smtp()
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "127.0.0.1")
    fill(page, "Port", str(server.port))
    with page.expect_response("**/draft/"):
        page.get_by_label("Security", exact=True).select_option("none")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Send test email").click()
    page.get_by_text("Accepted by").wait_for()
    old = page.locator("#test-run").get_by_text("The form has changed since this test")
    expect(old).to_be_hidden()
    fill(page, "Port", "1")
    expect(old).to_be_visible()
    expect(page.locator("#announcements")).to_contain_text("The form has changed since this test")
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
    fill(page, "Sender address", "not an address")  # no configuration at all
    expect(old).to_be_visible()
    fill(page, "Sender address", "no-reply@acme.example")
    fill(page, "Port", str(server.port))
    expect(old).to_be_hidden()
    fill(page, "Host", "localhost")
    page.get_by_role("button", name="Send test email").click()
    expect(page.locator(".run-what")).to_contain_text("localhost")
    expect(old).to_be_hidden()


def test_the_ladder_fills_while_the_server_is_slow_and_a_double_click_starts_one_test(
    admin_page: Page, scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    go_on = threading.Event()
    server = scripted_smtp(on_command=lambda line: None if not line.startswith("RCPT") else _wait(go_on))
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "127.0.0.1")
    fill(page, "Port", str(server.port))
    page.get_by_label("Security", exact=True).select_option("none")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Send test email").dblclick()
    expect(page.locator(".rung-running")).to_contain_text("waiting for the answer to the recipient")
    page.reload()  # the test goes on, and is shown again
    expect(page.locator(".rung-running")).to_contain_text("waiting for the answer to the recipient")
    page.locator("#test-run details").nth(1).locator("summary").click()
    expect(page.locator(".rung-running .rung-ms")).to_contain_text("s")  # the seconds it has waited
    expect(page.locator("#test-run details[open]")).to_have_count(1)  # what was opened stays open
    go_on.set()
    page.get_by_text("Accepted by").wait_for()
    assert TestSend.objects.count() == 1
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the whole test").click()
    expect(page.locator("[data-copied]")).to_have_count(1)
    assert "Recipient" in page.evaluate("navigator.clipboard.readText()")


def test_a_dry_run_asks_for_sender_and_recipient_and_sends_nothing(
    admin_page: Page, scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    server = scripted_smtp()
    page = admin_page
    page.goto("/configuration/email/")
    fill(page, "Sender address", "no-reply@acme.example")
    with page.expect_response("**/draft/"):
        page.get_by_role("switch", name="SMTP on").check()
    fill(page, "Host", "127.0.0.1")
    fill(page, "Port", str(server.port))
    page.get_by_label("Security", exact=True).select_option("none")
    page.get_by_label("To", exact=True).fill("ben@acme.example")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator(".run-accepted")).to_have_text("Everything works up to the message itself. No mail was sent.")
    assert [line.split(":")[0].split()[0] for line in server.commands] == ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]
    expect(page.get_by_role("button", name="I got it")).to_have_count(0)


def _wait(event: threading.Event) -> None:
    assert event.wait(10)
