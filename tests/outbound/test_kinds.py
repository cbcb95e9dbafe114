import re
from html.parser import HTMLParser

import pytest

from outbound.compose import compose, sample_request
from outbound.kinds import KINDS, Form, Kind, Value, checked
from outbound.log_view import log_view
from outbound.requests import BadRequest, MissingContext, Recipient, Request, UnknownContext
from tests.outbound.mails import GENERAL, read

ANA = Recipient("ana@example.com", "Ana")
WRITTEN = [kind for kind in KINDS.values() if kind.name != "raw"]
REQUIRED = [(kind, value) for kind in WRITTEN for value in kind.values if value.required]


def samples(kind: Kind) -> dict[str, str]:
    return {value.name: value.sample for value in kind.values}


def test_the_kinds_that_products_rely_on_are_there() -> None:
    assert set(KINDS) == {
        "confirm",
        "already_registered",
        "change_email",
        "invite",
        "reset_password",
        "team_created",
        "notification",
        "login_code",
        "raw",
        "test",
    }


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_a_mail_says_every_value_in_text_and_in_html(kind: Kind) -> None:
    mail = read(compose(sample_request(kind.name, ANA), GENERAL).content)
    assert mail.text is not None
    assert mail.html is not None
    for value in kind.values:
        for line in value.sample.split("\n"):
            assert line in " ".join(mail.text.split()) or line in mail.subject, value.name
            assert line in readable(mail.html), value.name
    assert "Acme, Inc." in mail.text
    assert "help@acme.example" in mail.text


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_a_mail_without_its_optional_values_is_still_whole(kind: Kind) -> None:
    context = {value.name: value.sample for value in kind.values if value.required}
    mail = read(compose(Request(kind=kind.name, to=(ANA,), context=context), GENERAL).content)
    assert 'href=""' not in (mail.html or "")
    for body in (mail.text, readable(mail.html or "")):
        assert body is not None
        assert "None" not in body
        assert "{{" not in body
        assert not re.search(r"\(\)| ,|, \.|\.  |\.\.", body)
    assert "\n\n\n" not in (mail.text or "")


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_text_and_html_have_no_gap_where_a_value_is(kind: Kind) -> None:
    mail = read(compose(sample_request(kind.name, ANA), GENERAL).content)
    assert "\n\n\n" not in (mail.text or "")
    assert not (mail.text or "").startswith("\n")


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_text_reads_well_at_76_columns(kind: Kind) -> None:
    mail = read(compose(sample_request(kind.name, ANA), GENERAL).content)
    assert [line for line in (mail.text or "").split("\n") if len(line) > 76] == []


def test_what_does_not_fit_a_line_is_wrapped_between_words_and_a_link_stays_whole() -> None:
    link = "https://app.example.com/" + "x" * 100
    context = {"title": "Backup", "message": f"    {'word ' * 30}end\nSee {link} for more of it.", "action_url": link}
    text = read(compose(Request(kind="notification", to=(ANA,), context=context), GENERAL).content).text or ""
    wrapped = [line for line in text.split("\n") if "word" in line]
    assert [len(line) <= 76 and line.startswith("    word") for line in wrapped] == [True] * len(wrapped)
    assert " ".join(" ".join(wrapped).split()) == "word " * 30 + "end"
    assert text.count(link) == 2


def test_a_live_code_with_spaces_is_hidden_in_a_line_too_long_for_the_page() -> None:
    code = "12 34 56 78"
    name = "A name that is long enough to push what follows over the end of the line"
    context = {"code": code, "name": f"{name} {code}"}
    composed = compose(Request(kind="login_code", to=(ANA,), context=context), GENERAL)
    view = log_view(composed.content, composed.hidden)
    assert "12 34" not in view.text
    assert view.text.count("(hidden: code)") == 2


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_the_html_is_well_formed_works_in_the_dark_and_loads_nothing(kind: Kind) -> None:
    html = read(compose(sample_request(kind.name, ANA), GENERAL).content).html or ""
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    assert ("meta", "color-scheme", "light dark") in page.metas
    assert "prefers-color-scheme: dark" in html
    assert not page.tags & {"img", "link", "script", "iframe", "object", "form", "video", "svg"}
    assert not re.search(r"url\(|@import|src=|background=", html)


@pytest.mark.parametrize(("kind", "value"), REQUIRED, ids=lambda item: item.name)
def test_a_missing_value_is_refused_by_name(kind: Kind, value: Value) -> None:
    for context in (
        {name: sample for name, sample in samples(kind).items() if name != value.name},
        samples(kind) | {value.name: ""},
        samples(kind) | {value.name: "  \n "},
    ):
        with pytest.raises(MissingContext) as refused:
            checked(kind, context)
        assert refused.value.names == (value.name,)
        assert set(refused.value.fields) == {f"context.{value.name}"}


def test_all_missing_values_are_named_at_once() -> None:
    with pytest.raises(MissingContext) as refused:
        checked(KINDS["invite"], {})
    assert refused.value.names == ("inviter_name", "team_name", "accept_url")


def test_unknown_values_are_refused_by_name() -> None:
    with pytest.raises(UnknownContext) as refused:
        checked(KINDS["confirm"], {**samples(KINDS["confirm"]), "confirm_link": "x", "subject": "y"})
    assert refused.value.names == ("confirm_link", "subject")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        sample_request("newsletter", ANA)
    assert "kind" in refused.value.fields


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://example.com/",
        "//example.com/",
        "example.com/x",
        "https://",
        "https:///x",
        "https://exa mple.com/",
        "https://user:secret@example.com/",
        "https://example.com/<b>",
        'https://example.com/"x',
        "https://example.com/\r\nBcc: x",
        "https://example.com/ä",
        "https://example.com/" + "a" * 900,
        " https://example.com/",
        17,
        ["https://example.com/"],
    ],
)
def test_a_url_must_be_a_whole_web_address(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(KINDS["confirm"], {"confirm_url": url})
    assert set(refused.value.fields) == {"context.confirm_url"}


@pytest.mark.parametrize("url", ["http://localhost:8000/x", "https://[::1]/x?a=b&c=d%20#f", "HTTPS://EXAMPLE.com"])
def test_web_addresses_of_all_kinds_are_taken(url: str) -> None:
    assert checked(KINDS["confirm"], {"confirm_url": url})["confirm_url"] == url


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x@y.example", "a\nb", "a\x00b", "=?utf-8?q?a=0D=0Ab?=", "\ud800", 5, "x" * 201]
)
def test_a_value_of_one_line_is_one_line(value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(KINDS["team_created"], {**samples(KINDS["team_created"]), "team_name": value})
    assert set(refused.value.fields) == {"context.team_name"}


@pytest.mark.parametrize("code", ["12", "abc\n1", "1234<b>", "é234", "-1234", "1" * 65])
def test_a_code_is_letters_and_digits(code: str) -> None:
    with pytest.raises(BadRequest):
        checked(KINDS["login_code"], {"code": code})


def test_no_refusal_repeats_a_value() -> None:
    with pytest.raises(BadRequest) as refused:
        checked(KINDS["confirm"], {"confirm_url": "https://app.example/to ken-1234"})
    assert "ken-1234" not in str(refused.value)


def test_html_in_a_value_is_shown_not_obeyed() -> None:
    kind = KINDS["notification"]
    context = {**samples(kind), "title": "<b>A & B</b>", "message": "<script>alert(1)</script>\nnext"}
    mail = read(compose(Request(kind=kind.name, to=(ANA,), context=context), GENERAL).content)
    assert mail.subject == "<b>A & B</b>"
    assert "<script>alert(1)</script>\nnext" in (mail.text or "")
    assert "<script" not in (mail.html or "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>next" in (mail.html or "")


def test_links_and_codes_that_grant_something_are_marked_live() -> None:
    live = {(kind.name, value.name) for kind in WRITTEN for value in kind.values if value.live}
    assert live >= {
        ("confirm", "confirm_url"),
        ("change_email", "confirm_url"),
        ("invite", "accept_url"),
        ("reset_password", "reset_url"),
        ("login_code", "code"),
        ("test", "receipt_code"),
        ("test", "receipt_url"),
    }
    assert all(value.form in (Form.URL, Form.CODE) for kind in WRITTEN for value in kind.values if value.live)


class Page(HTMLParser):
    """Notes what stays open, the tags and the metas of a page."""

    VOID = frozenset(("meta", "br", "hr", "img", "link", "input"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.metas: set[tuple[str, str | None, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "meta":
            found = dict(attrs)
            self.metas.add((tag, found.get("name"), found.get("content")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def readable(html: str) -> str:
    """What a reader of the HTML sees, and where its links lead."""

    class Text(HTMLParser):
        found = ""
        in_style = False

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.in_style = tag == "style"
            self.found += dict(attrs).get("href") or ""

        def handle_data(self, data: str) -> None:
            self.found += "" if self.in_style else data

    text = Text()
    text.feed(html)
    text.close()
    return text.found
