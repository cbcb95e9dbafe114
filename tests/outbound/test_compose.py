from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest

from emailcfg.schema import General
from outbound.compose import UnusableSender, compose, sample_request
from outbound.kinds import KINDS
from outbound.requests import Attachment, BadRequest, Recipient, Request
from tests.outbound.mails import GENERAL, parsed, read

ANA = Recipient("ana@example.com", "Ana")


def raw(**more: object) -> Request:
    request = {"kind": "raw", "to": (ANA,), "subject": "Hello", "text": "Text\n"}
    return Request(**{**request, **more})  # type: ignore[arg-type]


def refused(request: Request) -> dict[str, str]:
    with pytest.raises(BadRequest) as error:
        compose(request, GENERAL)
    return error.value.fields


def test_the_date_is_the_given_moment_in_utc() -> None:
    moment = datetime(2026, 5, 2, 12, 42, 7, tzinfo=timezone(timedelta(hours=2)))
    date = parsedate_to_datetime(parsed(compose(raw(), GENERAL, now=moment).content)["Date"])
    assert date == moment
    assert date.utcoffset() == timedelta(0)


def test_the_date_is_now_when_none_is_given() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    date = parsed(compose(raw(), GENERAL).content)["Date"].datetime
    assert before <= date <= datetime.now(UTC)


def test_the_message_id_is_random_and_in_the_senders_domain() -> None:
    moment = datetime(2026, 5, 2, tzinfo=UTC)
    composed = [compose(raw(), GENERAL, now=moment) for _ in range(50)]
    assert len({one.message_id for one in composed}) == 50
    assert len({one.message_id[:9] for one in composed}) > 40  # no common start: no clock, no counter
    for one in composed:
        assert one.message_id.endswith("@acme.example>")
        assert parsed(one.content)["Message-ID"] == one.message_id


def test_a_mail_says_nothing_about_this_machine_or_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "inner-host")
    monkeypatch.setattr("socket.getfqdn", lambda name="": "inner-host.corp.example")
    content = compose(raw(html="<p>x</p>", attachments=(Attachment("a.txt", "text/plain", b"x"),)), GENERAL).content
    assert b"inner-host" not in content
    assert not {"user-agent", "x-mailer", "received", "sender"} & {name.lower() for name in parsed(content)}


@pytest.mark.parametrize(
    ("token", "general", "expected"),
    [
        ("t0k.en-1", GENERAL, "t0k.en-1@reply.acme.example"),
        ("", GENERAL, "office@acme.example"),
        ("t0ken", GENERAL.model_copy(update={"reply_to_domain": ""}), "office@acme.example"),
        ("", GENERAL.model_copy(update={"reply_to_email": ""}), None),
        ("t0ken", GENERAL.model_copy(update={"reply_to_domain": "bücher.example"}), "t0ken@xn--bcher-kva.example"),
    ],
)
def test_replies_go_to_the_token_or_the_reply_address_or_nowhere_special(
    token: str, general: General, expected: str | None
) -> None:
    assert parsed(compose(raw(reply_to_token=token), general).content)["Reply-To"] == expected


def test_a_raw_mail_may_say_itself_where_replies_go() -> None:
    mail = parsed(compose(raw(reply_to=(ANA, Recipient("help@acme.example", "Hélène"))), GENERAL).content)
    found = [(one.display_name, one.addr_spec) for one in mail["Reply-To"].addresses]
    assert found == [(ANA.name, ANA.email), ("Hélène", "help@acme.example")]
    assert set(refused(raw(reply_to=(ANA,), reply_to_token="t0ken"))) == {"reply_to"}
    assert set(refused(raw(reply_to=(Recipient("é@acme.example"),)))) == {"reply_to"}
    assert set(refused(raw(reply_to=(Recipient("a@acme.example", "a\nBcc: x"),)))) == {"reply_to.0.name"}


def test_a_mail_for_hidden_recipients_alone_names_none() -> None:
    composed = compose(raw(to=(), bcc=(ANA,)), GENERAL)
    assert composed.recipients == (ANA.email,)
    mail = parsed(composed.content)
    assert mail["To"] == "undisclosed-recipients:;"
    assert not mail["To"].addresses
    assert not mail.defects


@pytest.mark.parametrize("token", ["a b", "a@b", "a\r\nBcc: x", ".a", "a..b", "é", "<a>", "a" * 65, "=?utf-8?q?a?="])
def test_a_reply_token_that_is_no_local_part_is_refused(token: str) -> None:
    assert set(refused(raw(reply_to_token=token))) == {"reply_to_token"}


def test_one_click_unsubscribing_stands_in_the_header() -> None:
    for request in (
        sample_request("notification", ANA),
        raw(list_unsubscribe_url="https://app.example.com/unsubscribe/9sYc3E"),
    ):
        mail = parsed(compose(request, GENERAL).content)
        assert mail["List-Unsubscribe"] == "<https://app.example.com/unsubscribe/9sYc3E>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_without_https_there_is_no_one_click_header() -> None:
    context = {"title": "T", "message": "M", "unsubscribe_url": "http://app.example.com/u"}
    mail = parsed(compose(Request(kind="notification", to=(ANA,), context=context), GENERAL).content)
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None
    assert set(refused(raw(list_unsubscribe_url="http://app.example.com/u"))) == {"list_unsubscribe_url"}


def test_mail_that_a_machine_writes_says_so_and_raw_mail_does_not() -> None:
    for name in KINDS:
        mail = parsed(compose(sample_request(name, ANA), GENERAL).content)
        assert mail["Auto-Submitted"] == (None if name == "raw" else "auto-generated")


def test_all_recipients_are_in_the_envelope_once_and_bcc_in_no_header() -> None:
    composed = compose(
        raw(
            to=(ANA, Recipient("Ben@EXAMPLE.com")),
            cc=(Recipient("cee@example.com", "Çee"), ANA),
            bcc=(Recipient("dee@example.com"),),
        ),
        GENERAL,
    )
    assert composed.recipients == ("ana@example.com", "Ben@example.com", "cee@example.com", "dee@example.com")
    assert composed.mail_from == "no-reply@acme.example"
    mail = parsed(composed.content)
    assert [box.addr_spec for box in mail["To"].addresses] == ["ana@example.com", "Ben@example.com"]
    assert [box.display_name for box in mail["Cc"].addresses] == ["Çee", "Ana"]
    assert b"dee@example.com" not in composed.content


def test_attachments_arrive_as_they_were_given() -> None:
    files = (
        Attachment("plain.txt", "text/plain", b"line\nline\r\nFrom x\n.\n"),
        Attachment('Übersicht "1".pdf', "application/pdf", bytes(range(256)) * 50),
        Attachment("empty.bin", "application/octet-stream", b""),
        Attachment("n" * 196 + ".bin", "application/octet-stream", b"x"),
    )
    composed = compose(raw(text="Grüße\n", html="<p>Grüße</p>\n", attachments=files), GENERAL)
    mail = read(composed.content)
    assert (mail.text, mail.html) == ("Grüße\n", "<p>Grüße</p>\n")
    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in parsed(composed.content).iter_attachments()
    ]
    assert found == [(file.filename, file.content_type, file.content) for file in files]
    assert composed.size == len(composed.content)


@pytest.mark.parametrize(
    ("attachment", "field"),
    [
        (Attachment("", "text/plain", b"x"), "filename"),
        (Attachment("../etc/passwd", "text/plain", b"x"), "filename"),
        (Attachment("a\r\nBcc: x@y.example", "text/plain", b"x"), "filename"),
        (Attachment("=?utf-8?q?a=0D=0ABcc=3A_x=40y?=", "text/plain", b"x"), "filename"),
        (Attachment("a.txt", "text/plain\r\nBcc: x@y.example", b"x"), "content_type"),
        (Attachment("a.txt", "text", b"x"), "content_type"),
        (Attachment("a.eml", "message/rfc822", b"x"), "content_type"),
        (Attachment("a", "multipart/mixed", b"x"), "content_type"),
    ],
)
def test_an_attachment_that_mail_cannot_carry_is_refused(attachment: Attachment, field: str) -> None:
    assert set(refused(raw(attachments=(attachment,)))) == {f"attachments.0.{field}"}


def test_attachments_over_ten_megabytes_in_all_are_refused() -> None:
    half = Attachment("a.bin", "application/octet-stream", b"x" * 5_000_001)
    assert set(refused(raw(attachments=(half, half)))) == {"attachments"}


def test_headers_of_the_list_are_set_and_long_references_stay_whole() -> None:
    references = " ".join(f"<{'r' * 80}.{number}@example.com>" for number in range(20))
    mail = parsed(compose(raw(headers=(("References", references), ("X-Ticket", "A 12"))), GENERAL).content)
    assert mail["References"].split() == references.split()
    assert mail["X-Ticket"] == "A 12"


@pytest.mark.parametrize(
    "header",
    [
        ("Bcc", "x@y.example"),
        ("Received", "x"),
        ("X-A\r\nBcc", "x"),
        ("X-A:", "x"),
        ("X-A", "a\r\nBcc: x"),
        ("X-A", "=?utf-8?q?a=0D=0ABcc=3A_x=40y?="),
        ("X-A", "é"),
        ("X-A", ""),
        ("X-A", "x" * 1000),
        ("X-A", "x " * 5000),
        ("To", "x@y.example"),
        ("From", "x@y.example"),
        ("Content-Type", "text/html"),
    ],
)
def test_other_headers_are_refused(header: tuple[str, str]) -> None:
    assert all(path.startswith("headers") for path in refused(raw(headers=(header,))))


def test_everything_wrong_with_a_request_is_named_at_once() -> None:
    to = (ANA, Recipient("nobody", "a\nb"))
    request = raw(to=to, subject=None, text=None, context={"a": "b"}, reply_to_token="@")
    assert set(refused(request)) == {"to.1.email", "subject", "text", "context", "reply_to_token"}


def test_a_mail_needs_a_recipient_and_has_at_most_a_hundred() -> None:
    assert set(refused(raw(to=()))) == {"to"}
    crowd = tuple(Recipient(f"a{number}@example.com", "Ä" * 40) for number in range(101))
    assert set(refused(raw(to=crowd))) == {"to"}
    assert len(read(compose(raw(to=crowd[1:]), GENERAL).content).to) == 100


def test_a_kind_takes_no_subject_or_body_of_the_product() -> None:
    request = Request(
        kind="confirm", to=(ANA,), context={"confirm_url": "https://a.example/x"}, subject="S", text="T", html="H"
    )
    assert set(refused(request)) == {"subject", "text", "html"}


def test_an_overlong_line_is_encoded_and_read_back_whole() -> None:
    body = "x" * 5000 + "\n"
    mail = read(compose(raw(text=body, html="é" + body), GENERAL).content)
    assert (mail.text, mail.html) == (body, "é" + body)


def test_the_boundary_of_one_mail_does_not_help_to_forge_the_next() -> None:
    first = compose(raw(html="<p>x</p>"), GENERAL).content
    boundary = parsed(first).get_boundary()
    assert boundary
    text = f"--{boundary}\r\nContent-Type: text/html\r\n\r\nforged\n--{boundary}--\n"
    second = parsed(compose(raw(text=text, html="<p>x</p>"), GENERAL).content)
    assert [part.get_content_type() for part in second.iter_parts()] == ["text/plain", "text/html"]
    assert "forged" in second.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def unchecked(**values: str) -> General:
    """What no form takes, but a database could hold."""
    return General.model_construct(**{**General().model_dump(), **values})


@pytest.mark.parametrize(
    "general",
    [
        General(),
        unchecked(sender_email="josé@example.com"),
        unchecked(sender_email="a@example.com", reply_to_email="josé@example.com"),
        unchecked(sender_email="a@b.example\r\nBcc: x@y.example"),
        unchecked(sender_email="a@b.example", sender_name="a\nBcc: x"),
    ],
)
def test_a_configuration_without_a_usable_sender_says_so(general: General) -> None:
    with pytest.raises(UnusableSender):
        compose(raw(), general)


def test_the_products_name_is_the_senders_name_or_domain() -> None:
    general = General(sender_email="no-reply@acme.example")
    mail = parsed(compose(sample_request("confirm", ANA), general).content)
    assert mail["Subject"] == "Confirm your address for acme.example"
    assert mail["From"] == "no-reply@acme.example"
