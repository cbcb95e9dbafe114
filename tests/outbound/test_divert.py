import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound import mime
from outbound.compose import compose
from outbound.divert import diverted
from outbound.mime import Attachment
from outbound.requests import BadRequest, Recipient, Request
from tests.outbound.mails import GENERAL, address, odd_text, parsed, proven, read


def raw(subject: str = "Hello", **more: object) -> Request:
    request = {"kind": "raw", "to": (Recipient("ana@example.com", "Ana"),), "subject": subject, "text": "Text\n"}
    return Request(**{**request, **more})  # type: ignore[arg-type]


def test_a_diverted_mail_names_its_recipient_and_keeps_everything_else() -> None:
    composed = compose(raw(cc=(Recipient("cee@example.com"),)), GENERAL)
    mail = parsed(diverted(composed.content, composed.recipients, "test@acme.example"))
    assert mail["Subject"] == "[for ana@example.com and 1 more] Hello"
    assert mail["To"] == "test@acme.example"
    assert mail["Cc"] is None
    before = parsed(composed.content)
    for name in ("From", "Date", "Message-ID", "Reply-To", "Content-Type"):
        assert mail[name] == before[name]


def test_the_body_stays_byte_for_byte() -> None:
    attachment = Attachment("ü.bin", "application/octet-stream", bytes(range(256)))
    composed = compose(raw(html="<p>é</p>", attachments=(attachment,)), GENERAL)
    after = diverted(composed.content, composed.recipients, "test@acme.example")
    assert after.partition(b"\r\n\r\n")[2] == composed.content.partition(b"\r\n\r\n")[2]


@proven
@given(subject=odd_text, to=st.lists(address, min_size=1, max_size=8, unique=True), target=address)
def test_a_diverted_mail_is_as_sound_as_the_mail_it_was(subject: str, to: list[str], target: str) -> None:
    try:
        composed = compose(raw(subject, to=tuple(Recipient(one) for one in to)), GENERAL)
    except BadRequest:
        return
    after = read(diverted(composed.content, composed.recipients, target))
    assert after.names == read(composed.content).names
    assert after.to == [("", target)]
    assert to[0] in after.subject
    if len(composed.subject) < 500:
        assert after.subject.endswith(composed.subject)


def test_an_international_recipient_is_named_and_an_international_target_gets_its_ascii_domain() -> None:
    composed = compose(raw(to=(Recipient("josé@example.com"),)), GENERAL)
    after = parsed(diverted(composed.content, composed.recipients, "test@bücher.example"))
    assert after["Subject"] == "[for josé@example.com] Hello"
    assert after["To"] == "test@xn--bcher-kva.example"


def test_a_subject_that_decodes_to_a_header_does_not_become_one() -> None:
    content = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: =?utf-8?q?a=0D=0ABcc=3A_x=40y?=\r\n\r\nText\r\n"
    after = parsed(diverted(content, ("c@d.example",), "test@acme.example"))
    assert after.keys() == ["From", "To", "Subject"]
    assert after["Subject"] == "[for c@d.example]"


def test_a_mail_without_subject_or_to_gets_them() -> None:
    after = parsed(diverted(b"From: a@b.example\r\n\r\nText\r\n", ("c@d.example",), "test@acme.example"))
    assert after["Subject"] == "[for c@d.example]"
    assert after["To"] == "test@acme.example"
    assert after["From"] == "a@b.example"


@pytest.mark.parametrize("content", [b"", b"no header", b"Subject: a\nTo: b\n\ntext", b"bad line\r\n\r\ntext"])
def test_what_is_no_mail_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a mail"):
        diverted(content, ("c@d.example",), "test@acme.example")


def test_the_recipients_address_with_an_international_local_part_stays_out_of_the_seven_bit_header() -> None:
    letter = compose(raw(to=(Recipient("josé@example.com", "José"), Recipient("ana@example.com"))), GENERAL)
    assert letter.recipients == ("josé@example.com", "ana@example.com")
    groups = parsed(letter.content)["To"].groups
    assert [(group.display_name, len(group.addresses)) for group in groups] == [("José josé@example.com", 0), (None, 1)]
    assert letter.content.isascii()
    assert mime.is_content_type("text/plain")
