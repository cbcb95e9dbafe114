"""The states of Configuration > Email that a person meets, for accessibility checks and pictures."""

from collections.abc import Callable, Iterator

from playwright.sync_api import Page, expect

from tests.browser.steps import PANE, accepted, choose, fill, open_advanced, open_dialog, send_test, switch_on
from tests.servers.certificates import TestAuthority
from tests.servers.smtp import SmtpServer


def states(page: Page, smtp_server: Callable[..., SmtpServer], authority: TestAuthority) -> Iterator[str]:
    """Walks one page through its states and yields the name of each once it is reached."""
    server = smtp_server(security="starttls", users={"ana@acme.example": "right horse"})
    page.goto(PANE)
    yield "empty"
    switch_on(page, "SMTP")
    choose(page, "Set up for", "Amazon SES")
    yield "ses"
    choose(page, "Set up for", "Relay with login")
    fill(page, "Sender name", "Acme")
    fill(page, "Sender address", "nobody")
    fill(page, "Host", "https://127.0.0.1/mail")
    fill(page, "Port", "70000")
    fill(page, "User name", "ana@acme.example")
    send_test(page, "ben@acme.example")
    expect(page.locator("#test-run .notice-error")).to_be_visible()
    yield "errors"
    open_dialog(page)
    yield "mend"
    page.keyboard.press("Escape")
    fill(page, "Sender address", "no-reply@acme.example")
    fill(page, "Port", str(server.port))
    open_advanced(page)
    fill(page, "CA certificate", authority.pem)
    fill(page, "Password", "wrong")
    send_test(page, "ben@acme.example")
    expect(page.locator(".rung-failed")).to_be_visible()
    expect(page.locator(".finding")).to_be_visible()
    yield "failed"
    fill(page, "Password", "right horse")
    yield "filled"
    send_test(page, "ben@acme.example")
    accepted(page)
    [mail] = server.wait_for(1)
    yield "accepted"
    text = mail.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    code = next(line.strip() for line in text.splitlines() if len(line.strip()) == 9 and line.strip()[4] == "-")
    page.get_by_label("Code in the mail").fill(code)
    page.get_by_role("button", name="I got it").click()
    expect(page.locator(".run-received")).to_be_visible()
    yield "received"
    open_dialog(page)
    yield "dialog"
