"""Whatever text a request holds, the mail reads back as that request, by both ways of building it."""

import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP, default

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from emailcfg.providers.shape import shape_of
from outbound import mime
from outbound.compose import Composed, compose
from outbound.headers import mailbox, text_line, unstructured
from outbound.kinds import KINDS, Form
from outbound.mime import Letter, Mailbox
from outbound.requests import Attachment, BadRequest, Recipient, Request
from tests.outbound.mails import GENERAL, HOSTILE, address, mailboxes, odd_text, parsed, proven, read

RAW_NAMES = ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type"]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def lines(value: str) -> str:
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return value if value.endswith("\n") else value + "\n"


def shown(value: str) -> str:
    """A header text as the reader is to see it, by the standard library's older decoder."""
    return re.sub(" +", " ", str(make_header(decode_header(value))) if "=?" in value else value).strip(" ")


@proven
@given(subject=odd_text, name=odd_text, to=address, text=odd_text, html=odd_text)
@example(subject="Ü" * 40, name="Ö, " * 20, to="a@b.example", text="x", html="x")
@example(subject="", name="", to="a@b.example", text="", html="")
@example(subject="   ", name="", to="a@b.example", text="", html="x")
def test_a_raw_mail_reads_back_as_it_was_requested_or_is_refused(
    subject: str, name: str, to: str, text: str, html: str
) -> None:
    request = Request(kind="raw", to=(Recipient(to, name),), subject=subject, text=text, html=html)
    try:
        composed = compose(request, GENERAL)
    except BadRequest as refused:
        fields = {"subject": subject, "to.0.name": name, "text": text, "html": html}
        for path in refused.fields:
            value = fields[path]
            assert CONTROL.search(value) or "=?" in value or len(value) > 998, path
        return
    for policy in (SMTP, default):
        mail = read(composed.content, policy)
        names = RAW_NAMES if text and html else [*RAW_NAMES, "Content-Transfer-Encoding"]
        assert mail.names == names
        assert mail.subject == composed.subject == shown(subject)
        assert mail.to == [(shown(name), to)]
        assert mail.sender == [("Acme, Inc.", "no-reply@acme.example")]
        assert mail.text == (lines(text) if text else None if html else "\n")
        assert mail.html == (lines(html) if html else None)
    assert composed.recipients == (to,)
    assert composed.shape == shape_of(composed.content)


clean_line = odd_text.filter(lambda value: not CONTROL.search(value) and len(value) < 900).map(
    lambda value: re.sub(" +", " ", value).strip()
)
clean_body = odd_text.filter(lambda value: not re.search(r"[\x00\r\ud800-\udfff]", value)).map(lines)
letters = st.builds(
    Letter,
    message_id=st.just("<0123456789abcdef@acme.example>"),
    date=st.just("Sat, 02 May 2026 10:42:00 +0000"),
    sender=st.builds(Mailbox, clean_line, address),
    to=st.lists(st.builds(Mailbox, clean_line, address), min_size=1, max_size=5).map(tuple),
    subject=clean_line,
    text=clean_body,
    html=st.one_of(st.none(), clean_body),
    boundary=st.just("=_0f0e0d0c0b0a09080706"),
    reply_to=st.lists(st.builds(Mailbox, clean_line, address), max_size=2).map(tuple),
    unsubscribe_url=st.sampled_from(["", "https://app.example/u/1", "https://app.example/" + "u" * 800]),
    automatic=st.booleans(),
)


@proven
@given(letter=letters)
def test_the_lean_way_and_the_standard_way_carry_the_same_mail(letter: Letter) -> None:
    lean, standard = mime.lean(letter), mime.standard(letter)
    assert mime.shape(letter, lean) == shape_of(lean)
    for policy in (SMTP, default):
        one, other = read(lean, policy), read(standard, policy)
        assert sorted(one.names) == sorted(other.names)
        assert (one.subject, one.to, one.sender, one.text, one.html) == (
            other.subject,
            other.to,
            other.sender,
            other.text,
            other.html,
        )
        for name in ("Date", "Message-ID", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted"):
            assert parsed(lean, policy)[name] == parsed(standard, policy)[name]
        assert (one.subject, one.text, one.html) == (letter.subject, letter.text, letter.html)
        assert one.to == [(box.name, box.address) for box in letter.to]


@proven
@given(text=clean_line, to=address)
def test_headers_mean_what_the_standard_library_writes_for_the_same_text(text: str, to: str) -> None:
    assume("=?" not in text)  # the library reads such text as encoded when it is set
    theirs = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    theirs["Subject"] = text
    content = f"Subject: {unstructured(text)}\r\nTo: {mailbox(text, to)}\r\n\r\n".encode()
    ours = parsed(content)
    assert ours["Subject"] == theirs["Subject"] == text
    assert ours.keys() == ["Subject", "To"]
    assert mailboxes(content, "To") == [(text, to)]


@proven
@given(text=odd_text)
def test_a_header_text_that_passes_holds_no_control_character_however_often_it_is_decoded(text: str) -> None:
    try:
        line = text_line(text)
    except ValueError:
        return
    seen = line
    for _ in range(3):
        assert not CONTROL.search(seen)
        seen = shown(seen)
    assert seen == line


FIELDS = [(kind.name, value.name, value.form) for kind in KINDS.values() for value in kind.values]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_in_any_value_of_any_kind_is_refused_by_name_or_carried_as_text(hostile: str) -> None:
    for kind, name, form in FIELDS:
        context = {value.name: value.sample for value in KINDS[kind].values} | {name: hostile}
        outcome = composed_or_refused(Request(kind=kind, to=(Recipient("ana@example.com"),), context=context))
        if isinstance(outcome, BadRequest):
            assert set(outcome.fields) <= {f"context.{name}", "context"}
            continue
        mail = read(outcome.content)
        assert "Bcc" not in mail.names
        assert mail.to == [("", "ana@example.com")]
        assert mail.text is not None
        if form is Form.TEXT and hostile.strip():
            assert " ".join(hostile.split()) in " ".join(mail.text.split())  # long lines are wrapped


def composed_or_refused(request: Request) -> Composed | BadRequest:
    try:
        return compose(request, GENERAL)
    except BadRequest as refused:
        return refused


@proven
@example(filename='""', content=b"", content_type="text/plain")
@given(filename=odd_text, content=st.binary(max_size=300), content_type=st.sampled_from(["text/plain", "image/png"]))
def test_an_attachment_with_any_file_name_arrives_or_is_refused(
    filename: str, content: bytes, content_type: str
) -> None:
    file = Attachment(filename, content_type, content)
    request = Request(kind="raw", to=(Recipient("ana@example.com"),), subject="S", text="T\n", attachments=(file,))
    outcome = composed_or_refused(request)
    if isinstance(outcome, BadRequest):
        if '"' in filename and set(outcome.fields) == {"attachments"}:
            return  # quotation marks in a row: written and read differently by the standard library
        assert set(outcome.fields) == {"attachments.0.filename"}
        assert CONTROL.search(filename) or re.search(r"=\?|[/\\]", filename) or not 0 < len(filename.strip()) <= 200
        return
    assert read(outcome.content).text == "T\n"
    [part] = parsed(outcome.content).iter_attachments()
    assert (part.get_filename(), part.get_payload(decode=True)) == (shown(filename), content)
