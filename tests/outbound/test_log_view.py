import json
import signal

import pytest
from hypothesis import given

from outbound.compose import Composed, compose, sample_request
from outbound.kinds import KINDS, Kind
from outbound.log_view import LogView, as_sent, log_view
from outbound.requests import Attachment, Recipient, Request
from tests.outbound.mails import GENERAL, clean_text, proven

ANA = Recipient("ana@example.com", "Ana")
WRITTEN = [kind for kind in KINDS.values() if kind.name != "raw"]


def view(composed: Composed) -> LogView:
    """The log's view with `hidden` as it comes back from a JSON column."""
    return log_view(composed.content, json.loads(json.dumps(composed.hidden)))


def everything(shown: LogView) -> str:
    return "\n".join([shown.subject, shown.text, shown.html, *(f"{name}: {value}" for name, value in shown.headers)])


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_the_log_shows_a_mail_without_its_live_tokens(kind: Kind) -> None:
    shown = everything(view(compose(sample_request(kind.name, ANA), GENERAL)))
    for value in kind.values:
        if value.live:
            assert value.sample not in shown
            assert value.sample.rpartition("/")[2] not in shown
            assert f"(hidden: {value.name})" in shown
        elif "://" not in value.sample:
            assert value.sample.split("\n")[0] in shown


@pytest.mark.parametrize("url", ["https://a.example/?a=1&b=2&token=s3cret", "https://a.example/x'y?token=s3cret"])
def test_a_token_that_html_escapes_is_hidden_too(url: str) -> None:
    context = {value.name: value.sample for value in KINDS["invite"].values} | {"accept_url": url}
    composed = compose(Request(kind="invite", to=(ANA,), context=context), GENERAL)
    assert b"s3cret" in composed.content
    shown = view(composed)
    assert "s3cret" not in everything(shown)
    assert "token" not in everything(shown)
    assert "(hidden: accept_url)" in shown.html


def test_a_token_repeated_in_another_value_is_hidden_there_as_well() -> None:
    code = "481516"
    context = {"code": code, "name": f"Ana {code}", "requested_from": f"x{code}{code}y"}
    shown = view(compose(Request(kind="login_code", to=(ANA,), context=context), GENERAL))
    assert code not in everything(shown)
    assert "Hello Ana (hidden: code)," in shown.text


def test_a_code_inside_a_link_leaves_nothing_of_either() -> None:
    context = {value.name: value.sample for value in KINDS["test"].values}
    context |= {"receipt_code": "K7MP", "receipt_url": "https://a.example/received/K7MP"}
    shown = view(compose(Request(kind="test", to=(ANA,), context=context), GENERAL))
    assert "K7MP" not in everything(shown)
    assert "(hidden: receipt_url)" in shown.text


@proven
@given(message=clean_text, name=clean_text)
def test_positions_hold_whatever_else_the_mail_says(message: str, name: str) -> None:
    url = "https://a.example/join/s3cret-token"
    context = {"inviter_name": "Ben", "team_name": "Team", "accept_url": url, "message": message, "name": name[:50]}
    composed = compose(Request(kind="invite", to=(ANA,), context=context), GENERAL)
    shown = view(composed)
    assert "s3cret" not in everything(shown)
    assert "Open this link to accept:\n\n(hidden: accept_url)\n\n" in shown.text


def test_raw_mail_shows_the_hosts_of_its_links_and_nothing_behind_them() -> None:
    request = Request(
        kind="raw",
        to=(ANA,),
        subject="See https://a.example/s3cret",
        text="Go to https://a.example/reset/s3cret?x=s3cret, app.example.com/s3cret or HTTP://b.example:8080?k=s3cret.\n",
        html='<a href="https://a.example/reset/s3cret">and/or</a> <a href="//c.example/s3cret">c</a> a.b',
        list_unsubscribe_url="https://a.example/u/s3cret",
    )
    shown = view(compose(request, GENERAL))
    assert "s3cret" not in everything(shown)
    assert "Go to https://a.example/(hidden) app.example.com/(hidden) or HTTP://b.example:8080/(hidden)\n" in shown.text
    assert '<a href="https://a.example/(hidden)">and/or</a>' in shown.html
    assert "a.b" in shown.html


def test_a_reply_token_is_not_shown() -> None:
    request = Request(kind="raw", to=(ANA,), subject="Hi", text="Hi\n", reply_to_token="s3cret")
    shown = view(compose(request, GENERAL))
    assert dict(shown.headers)["Reply-To"] == "(hidden: reply_to_token)@reply.acme.example"


def test_attachments_are_named_and_bodies_still_found() -> None:
    file = Attachment("Übersicht 1.csv", "text/csv", b"a;b\r\n")
    shown = view(compose(Request(kind="raw", to=(ANA,), subject="Hi", text="Text\n", attachments=(file,)), GENERAL))
    assert shown.attachments == ("Übersicht 1.csv",)
    assert (shown.text, shown.html) == ("Text\n", "")


def test_a_preview_shows_the_sample_as_its_recipient_sees_it() -> None:
    composed = compose(sample_request("confirm", ANA), GENERAL)
    shown = as_sent(composed.content)
    assert "https://app.example.com/confirm/Zb3kQ9" in shown.text
    assert 'href="https://app.example.com/confirm/Zb3kQ9"' in shown.html
    assert shown.subject == composed.subject


@pytest.mark.parametrize("unit", ["a.", "a-", "a.b-", "-", ".", "//a", "http:", "a.bb:1"])
def test_no_text_that_a_program_hands_over_holds_up_whoever_looks_at_it(unit: str) -> None:
    def end(*_: object) -> None:
        raise AssertionError("The time grows faster than the length of the text.")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)  # a guard against waiting for hours, not a measurement
    try:
        request = Request(kind="raw", to=(ANA,), subject="Hello", text=unit * (1_000_000 // len(unit)))
        assert view(compose(request, GENERAL)).text
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "address", ["app.example.com/x1", ".example.com/x1", "-a.example.com?x1", "bücher.example/x1", "_a.example.com#x1"]
)
def test_what_stands_behind_a_host_without_a_scheme_is_hidden(address: str) -> None:
    request = Request(kind="raw", to=(ANA,), subject="Hello", text=f"Go to {address} now.")
    assert "x1" not in view(compose(request, GENERAL)).text
