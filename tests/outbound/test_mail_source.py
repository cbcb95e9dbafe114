"""A mail's source for the log: readable, masked, without the contents of files."""

from emailcfg.schema import General
from outbound.compose import compose
from outbound.log_view import log_view
from outbound.mail_source import MAX_SHOWN, masked_source
from outbound.requests import Attachment, Recipient, Request

SENDER = General(sender_email="no-reply@acme.example", sender_name="Acme", reply_to_domain="reply.acme.example")


def source(request: Request) -> str:
    mail = compose(request, SENDER)
    return masked_source(mail.content, log_view(mail.content, mail.hidden))


def test_headers_and_both_texts_are_there_with_live_tokens_masked() -> None:
    request = Request(
        kind="confirm",
        to=(Recipient("bob@example.com", "Bob Ünlü"),),
        context={"confirm_url": "https://app.example.com/confirm/s3cret"},
        reply_to_token="t0ken",
    )
    text = source(request)
    for expected in ("To: Bob Ünlü <bob@example.com>", "Content-Type: text/plain", "Content-Type: text/html"):
        assert expected in text
    assert text.count("(hidden: confirm_url)") >= 2
    assert "s3cret" not in text
    assert "t0ken" not in text


def test_a_file_is_named_and_measured_but_not_shown() -> None:
    file = Attachment("plan.txt", "text/plain", b"the secret plan")
    text = source(
        Request(kind="raw", to=(Recipient("bob@example.com"),), subject="S", text="Hello\n", attachments=(file,))
    )
    assert "Hello" in text
    assert "plan.txt" in text
    assert "(15 bytes, not shown)" in text
    assert "the secret plan" not in text


def test_a_very_long_mail_is_cut() -> None:
    text = source(Request(kind="raw", to=(Recipient("bob@example.com"),), subject="S", text="word " * 60_000))
    assert text.endswith("(cut here)")
    assert len(text) < MAX_SHOWN + 20
