"""The main job, from the setup link to the history, in a real browser against real servers."""

from collections.abc import Callable
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from adminapp import setup
from emailcfg.models import ActiveConfig, ConfigRevision, TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.providers import ses
from tests.browser.steps import PANE, accepted, choose, fill, open_advanced, open_dialog, save, send_test, switch_on
from tests.conftest import PASSWORD
from tests.servers.certificates import TestAuthority
from tests.servers.sendgrid import KEY, SendGridServer
from tests.servers.smtp import SmtpServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Servers = Callable[..., SmtpServer]


@pytest.fixture(autouse=True)
def _any_port(settings: Any) -> None:
    """The test servers listen where there is room."""
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def register(page: Page) -> None:
    """The setup link of the console, then the login."""
    page.goto(f"/setup/?token={setup.new_token()}")
    page.get_by_label("Email address").fill("ana@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register and log in").click()
    log_out(page)
    page.get_by_label("Email address").fill("ana@acme.example")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="ana@acme.example")).to_be_visible()
    page.get_by_role("button", name="Configuration").click()
    page.get_by_role("link", name="Email", exact=True).click()
    expect(page.get_by_role("heading", name="Email", exact=True)).to_be_visible()


def log_out(page: Page) -> None:
    page.get_by_role("button", name="ana@acme.example").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def fill_sender(page: Page) -> None:
    fill(page, "Sender address", "no-reply@acme.example")
    fill(page, "Sender name", "Acme Größe")
    fill(page, "Reply-to address", "help@acme.example")


def fill_server(page: Page, server: SmtpServer, authority: TestAuthority | None = None) -> None:
    fill(page, "Host", server.host)
    fill(page, "Port", str(server.port))
    if authority is not None:
        open_advanced(page)
        fill(page, "CA certificate", authority.pem)


def activate(page: Page) -> None:
    """Compares, then activates the one revision there is, from the history."""
    number = ConfigRevision.objects.get().number
    page.goto("/configuration/history/")
    page.get_by_role("button", name=f"What to do with r{number}").click()
    page.get_by_role("link", name="Activate", exact=True).click()
    expect(page.get_by_role("heading", name="What follows")).to_be_visible()
    page.get_by_label("Reason").fill("The first configuration")
    page.get_by_role("button", name=f"Activate r{number}").click()
    expect(page.get_by_role("heading", name=f"r{number} is active", exact=True)).to_be_visible()
    assert ActiveConfig.objects.get().revision_id == number


def is_a_good_mail(mail: EmailMessage) -> None:
    assert mail["From"] == "Acme Größe <no-reply@acme.example>"
    assert mail["To"] == "ben@acme.example"
    assert mail["Reply-To"] == "help@acme.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@acme.example>")
    assert parsedate_to_datetime(mail["Date"]).tzinfo is not None
    assert mail.get_content_type() == "multipart/alternative"
    bodies = [part.get_content_type() for part in mail.iter_parts()]
    assert bodies == ["text/plain", "text/html"]
    for part in mail.walk():
        assert not part.defects
        assert not [value.defects for value in part.values() if getattr(value, "defects", ())]
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "unsaved form" in text
    assert "UTC" in text


def test_from_the_setup_link_to_a_proven_and_active_smtp_relay(
    page: Page, smtp_server: Servers, authority: TestAuthority
) -> None:
    server = smtp_server(security="starttls", users={"ana@acme.example": "p/%#@\"'<& ümläut"})
    register(page)
    fill_sender(page)
    switch_on(page, "SMTP")
    fill_server(page, server, authority)
    fill(page, "User name", "ana@acme.example")
    fill(page, "Password", "wrong")
    send_test(page, "ben@acme.example")
    failed = page.locator(".rung-failed")
    expect(failed).to_contain_text("Log in")
    expect(failed.locator(".server-words")).to_contain_text("535")
    expect(failed.locator("strong")).not_to_be_empty()
    assert not server.received
    fill(page, "Password", "p/%#@\"'<& ümläut")
    send_test(page, "ben@acme.example")
    accepted(page)
    [mail] = server.wait_for(1)
    assert (mail.mail_from, mail.recipients) == ("no-reply@acme.example", ("ben@acme.example",))
    assert (mail.login, mail.encrypted) == ("ana@acme.example", True)
    is_a_good_mail(mail.message)
    expect(page.locator("#summary-smtp")).to_contain_text("test accepted")
    open_dialog(page)
    expect(page.locator("#save-dialog .change-list")).to_contain_text("SMTP: password")
    assert "ümläut" not in page.content()
    page.keyboard.press("Escape")
    save(page, "The relay of Acme")
    activate(page)
    page.goto("/configuration/history/")
    expect(page.locator(".revision-row")).to_contain_text("active")
    expect(page.locator(".revision-row")).to_contain_text("test accepted")
    log_out(page)
    page.goto(PANE)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_from_the_setup_link_to_a_proven_and_active_sendgrid_account(
    page: Page, sendgrid_server: SendGridServer, settings: Any
) -> None:
    settings.SENDGRID_API_URL = sendgrid_server.url
    register(page)
    fill_sender(page)
    switch_on(page, "SendGrid")
    fill(page, "API key", KEY.replace("k", "x"))
    send_test(page, "ben@acme.example")
    expect(page.locator(".rung-failed").first).to_contain_text("key")
    assert not sendgrid_server.sent
    fill(page, "API key", KEY)
    send_test(page, "ben@acme.example")
    accepted(page)
    expect(page.locator(".ladder")).to_contain_text("sg-0001")
    [sent] = sendgrid_server.sent
    assert sent["from"] == {"email": "no-reply@acme.example", "name": "Acme Größe"}
    assert sent["personalizations"][0]["to"][0]["email"] == "ben@acme.example"
    assert sent["reply_to"]["email"] == "help@acme.example"
    assert [part["type"] for part in sent["content"]] == ["text/plain", "text/html"]
    assert KEY not in page.content()
    save(page, "SendGrid for Acme")
    activate(page)
    assert ConfigRevision.objects.get().payload["delivery"]["selected"] == "sendgrid"


@pytest.fixture
def pane(admin_page: Page) -> Page:
    admin_page.goto(PANE)
    fill_sender(admin_page)
    return admin_page


def proven_and_active(page: Page, server: SmtpServer) -> None:
    send_test(page, "ben@acme.example")
    accepted(page)
    server.wait_for(1)
    save(page, "The scenario works", "Save and activate")
    active = ActiveConfig.objects.get()
    assert active.revision is not None
    assert TestSend.objects.get().content_hash == active.revision.content_hash


def test_gmail_with_an_app_password_pasted_as_google_shows_it(
    pane: Page, smtp_server: Servers, authority: TestAuthority
) -> None:
    server = smtp_server(security="starttls", users={"ana@gmail.com": "abcdefghijklmnop"})
    switch_on(pane, "SMTP")
    choose(pane, "Set up for", "Gmail")
    expect(pane.get_by_label("Host", exact=True)).to_have_value("smtp.gmail.com")
    expect(pane.get_by_label("Port", exact=True)).to_have_value("587")
    expect(pane.get_by_label("Security", exact=True)).to_have_value("starttls")
    fill_server(pane, server, authority)
    fill(pane, "User name", "ana@gmail.com")
    fill(pane, "Password", "abcd efgh ijkl mnop")
    expect(pane.locator("#secret-smtp__password")).to_contain_text("without its spaces")
    expect(pane.get_by_label("Password", exact=True)).to_have_value("")
    proven_and_active(pane, server)
    assert server.received[0].login == "ana@gmail.com"


def test_a_generic_relay_without_login_or_encryption(pane: Page, smtp_server: Servers) -> None:
    server = smtp_server()
    switch_on(pane, "SMTP")
    choose(pane, "Set up for", "Relay without login")
    expect(pane.get_by_label("Port", exact=True)).to_have_value("25")
    expect(pane.get_by_label("Security", exact=True)).to_have_value("none")
    fill_server(pane, server)
    proven_and_active(pane, server)
    assert (server.received[0].login, server.received[0].encrypted) == ("", False)


def test_amazon_ses_with_an_aws_secret_converted_in_place(
    pane: Page, smtp_server: Servers, authority: TestAuthority
) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    key_id = "AKIAIOSFODNN7EXAMPLE"
    server = smtp_server(security="tls", users={key_id: ses.smtp_password(secret, "eu-central-1")})
    switch_on(pane, "SMTP")
    choose(pane, "Set up for", "Amazon SES")
    choose(pane, "AWS region", "Europe (Frankfurt) · eu-central-1")
    expect(pane.get_by_label("Host", exact=True)).to_have_value("email-smtp.eu-central-1.amazonaws.com")
    expect(pane.get_by_label("Port", exact=True)).to_have_value("465")
    expect(pane.get_by_label("Security", exact=True)).to_have_value("tls")
    fill(pane, "User name", key_id)
    fill(pane, "Password", secret)
    expect(pane.locator("#note-smtp__password")).to_contain_text("AWS secret access key")
    pane.get_by_role("button", name="Convert to the SMTP password").click()
    expect(pane.locator("#secret-smtp__password")).to_contain_text("Converted to the SMTP password for eu-central-1")
    expect(pane.get_by_label("Password", exact=True)).to_have_value("")
    # The test server stands in for Amazon's: its address is another destination, so the password is asked for again.
    fill_server(pane, server, authority)
    expect(pane.locator("#note-smtp__password")).to_contain_text("Enter it again")
    fill(pane, "Password", ses.smtp_password(secret, "eu-central-1"))
    proven_and_active(pane, server)
    assert (server.received[0].login, server.received[0].encrypted) == (key_id, True)
    assert secret not in str(list(ConfigRevision.objects.values()))


def test_sendgrid_replaces_an_active_relay(
    pane: Page, smtp_server: Servers, sendgrid_server: SendGridServer, settings: Any
) -> None:
    settings.SENDGRID_API_URL = sendgrid_server.url
    server = smtp_server()
    switch_on(pane, "SMTP")
    choose(pane, "Set up for", "Relay without login")
    fill_server(pane, server)
    proven_and_active(pane, server)
    switch_on(pane, "SendGrid")
    expect(pane.get_by_role("switch", name="SMTP on")).not_to_be_checked()
    fill(pane, "API key", KEY)
    send_test(pane, "ben@acme.example")
    accepted(pane)
    assert len(sendgrid_server.sent) == 1
    save(pane, "Over to SendGrid", "Save and activate")
    active = ActiveConfig.objects.get()
    assert active.generation == 2
    assert active.revision is not None
    assert active.revision.payload["delivery"]["selected"] == "sendgrid"
    assert len(server.received) == 1
