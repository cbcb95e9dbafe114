"""A table of bad input, posted to every address that takes the form: each row ends as a sentence at its field or as
a visible repair, never as a server error, and nothing else that was typed is lost."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.test import Client

from emailcfg import drafts
from emailcfg.editing import understand
from emailcfg.models import ConfigRevision, TestSend
from outbound import testrun
from tests.emailcfg.making import a_revision
from tests.journeys.pages import DIALOG, DRAFT, PANE, SAVE, complete_form, post, read, stamp
from tests.servers.certificates import TestAuthority

pytestmark = pytest.mark.django_db

TEST = "/configuration/email/test/"
BCC = "=?utf-8?q?a=0D=0ABcc=3A_x=40y?="
LINE_BREAK = "Acme\r\nBcc: x@y.example"
ADDRESSES = ("general__sender_email", "general__reply_to_email", "general__support_email", "general__divert_to")
TEXTS = (*ADDRESSES, "general__sender_name", "general__reply_to_domain", "smtp__host", "smtp__ehlo_hostname")
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PRIVATE_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)

# field, what is typed, part of the sentence at the field
REFUSED: list[tuple[str, str, str]] = [
    ("smtp__port", "0", "at least 1"),
    ("smtp__port", "65536", "at most 65535"),
    ("smtp__port", "-1", "at least 1"),
    ("smtp__port", "abc", "whole number"),
    ("smtp__port", "1e3", "whole number"),
    ("smtp__port", "587.0", "whole number"),
    ("smtp__port", "", "whole number"),
    ("smtp__port", "9" * 5000, "whole number"),
    ("smtp__host", "smtp.😀.example", "can't contain “😀”"),
    ("smtp__host", "smtp.☃.example", "can't contain “☃”"),
    ("smtp__host", "a" * 256, "253 characters"),
    ("smtp__host", f"{'a' * 64}.example", "overlong part"),
    ("smtp__host", "-smtp.acme.example", "hyphen"),
    ("smtp__host", "...", "empty or overlong"),
    ("smtp__host", "smtp..acme.example", "empty or overlong"),
    ("smtp__host", "192.168.1", "not a complete one"),
    ("smtp__host", "ana@smtp.acme.example", "can't contain “@”"),
    ("smtp__host", "smtp.acme.example?x=1", "can't contain “?”"),
    ("smtp__host", "", "Enter the host name"),
    ("smtp__security", "none", "in clear"),
    ("smtp__security", "maybe", "Choose one of"),
    ("smtp__preset", "hotmail", "Choose one of"),
    ("sendgrid__region", "mars", "Choose one of"),
    ("smtp__ip_version", "5", "Choose one of"),
    ("smtp__auth_mechanism", "CRAM-MD5", "Choose one of"),
    ("smtp__timeout_s", "0", "at least 1"),
    ("smtp__timeout_s", "301", "at most 300"),
    ("smtp__timeout_s", "", "whole number"),
    ("smtp__max_connections", "0", "at least 1"),
    ("smtp__max_connections", "51", "at most 50"),
    ("smtp__rate_limit_per_minute", "0", "at least 1"),
    ("smtp__rate_limit_per_minute", "9" * 18, "at most 1000000"),
    ("general__sender_email", "", "no mail can leave without a sender"),
    ("general__sender_name", "n" * 121, "120 characters"),
    ("general__sender_name", "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3F=3D?=", "encoded as for a mail header"),
    ("general__sender_name", "tab\there", "control character U+0009"),
    ("general__sender_name", "one\u2028two", "control character U+2028"),
    ("general__reply_to_domain", "localhost", "full domain"),
    ("general__reply_to_domain", "127.0.0.1", "full domain"),
    ("smtp__username", "ana\r\nQUIT", "Character 4 is a line break"),
    ("smtp__username", "u" * 321, "320 characters"),
    ("smtp__username", "", "user name"),
    ("smtp__password", "one\ntwo", "Character 4 is a line break"),
    ("smtp__password", "cr\rhere", "Character 3 is a line break"),
    ("smtp__password", "nul\x00", "Character 4 is a NUL character"),
    ("smtp__password", "p" * 1001, "at most 1000"),
    ("smtp__password", "••••••••", "Enter the secret itself"),
    ("smtp__ca_certificate", "garbage", "not a PEM certificate"),
    ("smtp__ca_certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "not a PEM certificate"),
    ("smtp__ca_certificate", PRIVATE_KEY, "contains a private key"),
    ("smtp__ca_certificate", "x" * 1_000_000, "65536 characters"),
    ("general__sender_name", "x" * 1_000_000, "120 characters"),
    ("sendgrid__api_key", "SG.short", "not a whole SendGrid API key"),
    ("sendgrid__api_key", "key without prefix", "starts with “SG.”"),
    ("sendgrid__api_key", f"SG.{'k' * 22}. {'s' * 42}", "not a whole SendGrid API key"),
    ("sendgrid__api_key", "••••••••", "Enter the secret itself"),
    *itertools.chain.from_iterable(
        [
            (name, "nobody", "has no @."),
            (name, "@acme.example", "before the @"),
            (name, "ana@", "after the @"),
            (name, "ana@ben@acme.example", "contains “@”"),
            (name, "Ana <ana@acme.example>", "one bare address"),
            (name, "ana@acme.example, ben@acme.example", "one bare address"),
            (name, '"ana ben"@acme.example', "can't hold"),
            (name, f"{'a' * 65}@acme.example", "64 characters"),
            (name, ".ana@acme.example", "dots"),
            (name, "ana@localhost", "full domain"),
            (name, "=?utf-8?q?ana?=@acme.example", "=?"),
        ]
        for name in ADDRESSES
    ),
    ("general__sender_email", "josé@acme.example", "contains “é”"),
    ("general__reply_to_email", "josé@acme.example", "contains “é”"),
    *[(name, LINE_BREAK, "") for name in TEXTS if name not in ("smtp__host", "smtp__ehlo_hostname")],
    *[(name, BCC, "") for name in TEXTS if name not in ("smtp__host", "smtp__ehlo_hostname")],
]

# field, what is typed, the field that says so, part of the note, what stands there afterwards
REPAIRED: list[tuple[str, str, str, str, str]] = [
    ("smtp__port", "５８７", "smtp__port", "Written as 587", "587"),
    ("smtp__host", " smtp.acme.example ", "smtp__host", "white space", "smtp.acme.example"),
    ("smtp__host", "smtp.\u00a0acme.\u200bexample", "smtp__host", "white space", "smtp.acme.example"),
    ("smtp__host", "smtp://smtp.acme.example/x", "smtp__host", "“smtp://” and the path", "smtp.acme.example"),
    ("smtp__host", "smtp.acme.example:2587", "smtp__port", "taken from the host field", "2587"),
    ("smtp__host", "smtp.acme.\x00example", "smtp__host", "NUL", "smtp.acme.example"),
    ("smtp__host", "smtp.acme\r\n.example", "smtp__host", "white space", "smtp.acme.example"),
    ("smtp__username", "a\x00na", "smtp__username", "NUL", "ana"),
    ("general__sender_name", "A\x00cme", "general__sender_name", "NUL", "Acme"),
    ("general__reply_to_domain", "@reply.acme.example", "general__reply_to_domain", "@", "reply.acme.example"),
    ("smtp__ehlo_hostname", "https://app.acme.example", "smtp__ehlo_hostname", "https", "app.acme.example"),
]

# Accepted as they are, whatever they look like.
TAKEN: list[tuple[str, str]] = [
    ("smtp__host", "bücher.example"),
    ("smtp__host", "mail_relay.internal"),
    ("smtp__host", "2001:db8::25"),
    ("smtp__rate_limit_per_minute", ""),
    ("general__sender_name", 'O\'Neil & Söhne "Mail" <b>😀</b>'),
    ("general__sender_email", "no-reply@bücher.example"),
    ("general__support_email", "josé@acme.example"),
    ("smtp__username", "user@acme.com/%#@\"'<& ümläut"),
    ("smtp__password", " p/%#@\"'<& ümläut😀 "),
]


@pytest.fixture(autouse=True)
def _no_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that would start is recorded and not run: nothing of this table may reach a server."""
    monkeypatch.setattr(testrun, "start", lambda prepared: None)


def path_of(name: str) -> str:
    return name.replace("__", ".", 1)


def nothing_else_is_lost(user: User, client: Client, name: str, sent: dict[str, str]) -> None:
    """What a page loaded afterwards shows, and the typed secrets."""
    editing = drafts.load(user, str(client.session.session_key))
    for other, text in sent.items():
        if "__" in other and other not in (name, "smtp__password", "sendgrid__api_key"):
            assert editing.values[path_of(other)] == text, other
    states = understand(editing).secrets
    bound = name in ("smtp__host", "smtp__port", "smtp__security", "smtp__username", "smtp__password")
    assert bound or states["smtp.password"].state == "typed"
    assert name == "sendgrid__api_key" or states["sendgrid.api_key"].state == "typed"
    assert client.get(PANE).status_code == 200


def label(value: object) -> str:
    return ascii(value)[:40]


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED, ids=label)
def test_bad_input_is_an_error_at_its_field_wherever_it_is_posted(
    admin_user: User, admin_client: Client, name: str, text: str, sentence: str
) -> None:
    sent = complete_form(**{name: text})
    if text:  # an empty field is no error while one is still typing: it stands in the service's header
        notes = read(post(admin_client, DRAFT, sent))
        assert sentence in notes.errors[name]
        assert notes.errors[name].endswith(".")
    sent["draft_version"] = stamp(admin_client)
    notes = read(post(admin_client, DIALOG, sent))
    assert sentence in notes.errors[name]
    assert "to mend first" in notes.text
    if text != "••••••••":  # a refused secret is not kept, so the draft without it may well be saved
        answer = read(post(admin_client, SAVE, {"act": "activate", "description": "Bad input", "generation": "0"}))
        assert "to mend first" in answer.text
        assert not ConfigRevision.objects.exists()
    sent["draft_version"] = stamp(admin_client)
    notes = read(post(admin_client, TEST, {**sent, "to": "ben@acme.example", "kind": "test"}))
    assert sentence in notes.errors[name]
    assert "to mend before a test" in notes.text
    assert not TestSend.objects.exists()
    nothing_else_is_lost(admin_user, admin_client, name, sent)


@pytest.mark.parametrize(("name", "text", "said_at", "sentence", "becomes"), REPAIRED, ids=label)
def test_what_can_be_repaired_is_and_says_so(
    admin_user: User, admin_client: Client, name: str, text: str, said_at: str, sentence: str, becomes: str
) -> None:
    sent = complete_form(**{name: text})
    notes = read(post(admin_client, DRAFT, sent))
    assert sentence in notes.repairs[said_at]
    assert not notes.errors
    editing = drafts.load(admin_user, str(admin_client.session.session_key))
    assert editing.values[path_of(said_at)] == becomes
    assert understand(editing).config is not None
    assert sentence in read(admin_client.get(PANE)).repairs[said_at]  # type: ignore[arg-type]
    nothing_else_is_lost(admin_user, admin_client, name, sent)


@pytest.mark.parametrize(("name", "text"), TAKEN, ids=label)
def test_unusual_but_right_input_is_taken(admin_user: User, admin_client: Client, name: str, text: str) -> None:
    notes = read(post(admin_client, DRAFT, complete_form(**{name: text})))
    assert not notes.errors
    assert understand(drafts.load(admin_user, str(admin_client.session.session_key))).config is not None


def test_a_pem_certificate_with_windows_line_ends_is_taken(admin_client: Client, authority: TestAuthority) -> None:
    pem = authority.pem.replace("\n", "\r\n")
    assert not read(post(admin_client, DRAFT, complete_form(smtp__ca_certificate=pem))).errors


def test_an_aws_secret_in_the_password_of_ses_is_offered_for_conversion(admin_client: Client) -> None:
    ses = {"smtp__preset": "ses", "smtp__port": "465", "smtp__security": "tls"}
    sent = complete_form(**ses, ses_region="eu-west-1", smtp__password=AWS_SECRET)
    response = post(admin_client, DRAFT, sent)
    assert "AWS secret access key" in read(response).errors["smtp__password"]
    assert "Convert to the SMTP password" in response.content.decode()
    sent |= {"draft_version": stamp(admin_client), "convert": "ses", "smtp__host": ""}
    notes = read(post(admin_client, DRAFT, {**sent, "smtp__host": "email-smtp.eu-west-1.amazonaws.com"}))
    assert notes.values["smtp__password"] == ""
    assert "Converted to the SMTP password for eu-west-1" in notes.text
    assert AWS_SECRET not in str(list(ConfigRevision.objects.values())) + notes.text


XSS = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


@pytest.mark.parametrize("name", [name for name in complete_form() if "__" in name])
def test_markup_is_shown_as_text_wherever_it_stands(admin_client: Client, name: str) -> None:
    sent = complete_form(**{name: XSS})
    pages = [post(admin_client, DRAFT, sent)]
    sent["draft_version"] = stamp(admin_client)
    pages += [post(admin_client, DIALOG, sent), admin_client.get(PANE), post(admin_client, TEST, sent)]  # type: ignore[list-item]
    for page in pages:
        assert page.status_code == 200
        assert b"<img src=x" not in page.content
        assert b"<script>alert" not in page.content


@pytest.mark.parametrize("name", ["to", "kind", "draft_version", "undo", "remove", "convert", "force", "ses_region"])
@pytest.mark.parametrize("value", ["<x>", "\x00", "9" * 5000, "💥", "../../etc", ""])
def test_fields_beside_the_form_can_hold_anything(admin_client: Client, name: str, value: str) -> None:
    sent = {**complete_form(), "to": "ben@acme.example", "kind": "test", name: value}
    for path in (DRAFT, DIALOG, TEST):
        assert post(admin_client, path, sent).status_code == 200
    assert admin_client.get(PANE).status_code == 200


def test_duplicate_and_missing_fields_are_no_error(admin_user: User, admin_client: Client) -> None:
    post(admin_client, DRAFT, complete_form())
    twice = {"form": "1", "draft_version": stamp(admin_client), "smtp__enabled": "on", "smtp__port": ["25", "26"]}
    assert admin_client.post(DRAFT, twice).status_code == 200
    values = drafts.load(admin_user, str(admin_client.session.session_key)).values
    assert (values["smtp.port"], values["smtp.host"]) == ("26", "smtp.acme.example")


def test_bytes_that_are_no_text_are_no_error(admin_client: Client) -> None:
    body = b"form=1&draft_version=0.0&smtp__enabled=on&general__sender_name=%ED%A0%80%FF&smtp__username=%ED%A0%80"
    answer = admin_client.post(DRAFT, body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200
    assert admin_client.get(PANE).status_code == 200


# Saving


@pytest.fixture
def dialog(admin_client: Client) -> dict[str, str]:
    """What the save dialog of a complete form would send."""
    hidden = read(post(admin_client, DIALOG, complete_form())).hidden
    names = ("request_id", "generation", "newest", "stamp")
    return {"act": "save", "description": "First relay", **{name: hidden[name] for name in names}}


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ("", "5 to 200 characters"),
        ("four", "5 to 200 characters"),
        ("      ", "5 to 200 characters"),
        ("x" * 201, "5 to 200 characters"),
        ("two\nlines", "one line"),
        ("nul\x00 here", "one line"),
    ],
)
def test_a_bad_description_saves_nothing_and_keeps_the_dialog(
    admin_user: User, admin_client: Client, dialog: dict[str, str], description: str, sentence: str
) -> None:
    notes = read(post(admin_client, SAVE, {**dialog, "description": description}))
    assert sentence in notes.text
    assert notes.hidden["request_id"]
    assert not ConfigRevision.objects.exists()
    assert drafts.unsaved_changes(admin_user)


def test_a_double_click_makes_one_revision_and_both_clicks_succeed(
    admin_client: Client, dialog: dict[str, str]
) -> None:
    answers = [post(admin_client, SAVE, dialog) for _ in range(2)]
    assert [answer.headers["HX-Redirect"] for answer in answers] == ["/configuration/history/"] * 2
    assert ConfigRevision.objects.count() == 1


def test_what_was_saved_leads_to_its_activation_and_its_description_is_text(
    admin_client: Client, dialog: dict[str, str]
) -> None:
    saved = post(admin_client, SAVE, {**dialog, "description": "The <b>new</b> relay"})
    page = admin_client.get(saved.headers["HX-Redirect"]).content.decode()
    number = ConfigRevision.objects.get().number
    assert f"r{number} “The &lt;b&gt;new&lt;/b&gt; relay” is saved." in page
    assert f'<a href="/configuration/revisions/{number}/activate/">activate it</a>' in page


def test_a_request_without_an_id_saves_what_it_says(admin_client: Client, dialog: dict[str, str]) -> None:
    earlier = a_revision()
    answer = post(admin_client, SAVE, {**dialog, "request_id": "", "newest": str(earlier.number)})
    assert "HX-Redirect" in answer.headers
    assert ConfigRevision.objects.count() == 2


def test_the_id_of_an_earlier_save_with_other_values_saves_nothing(
    admin_user: User, admin_client: Client, dialog: dict[str, str]
) -> None:
    post(admin_client, SAVE, dialog)
    post(admin_client, DRAFT, complete_form(smtp__timeout_s="9", draft_version=stamp(admin_client)))
    answer = post(admin_client, SAVE, {**dialog, "newest": "1", "stamp": stamp(admin_client)})
    assert "Look again" in read(answer).text
    assert ConfigRevision.objects.count() == 1
    assert drafts.unsaved_changes(admin_user)


@pytest.mark.parametrize("generation", ["1", "-1", "abc", "", "9" * 5000, "１"])
def test_a_wrong_generation_activates_and_saves_nothing(
    admin_user: User, admin_client: Client, dialog: dict[str, str], generation: str
) -> None:
    notes = read(post(admin_client, SAVE, {**dialog, "act": "activate", "generation": generation}))
    assert notes.hidden["generation"] == "0"
    assert not ConfigRevision.objects.exists()
    assert drafts.unsaved_changes(admin_user)


@pytest.mark.parametrize("field", ["request_id", "newest", "stamp", "act"])
@pytest.mark.parametrize("value", ["\x00", "'; --", "9" * 5000, "💥"])
def test_the_dialogs_hidden_fields_can_hold_anything(
    admin_client: Client, dialog: dict[str, str], field: str, value: str
) -> None:
    assert post(admin_client, SAVE, {**dialog, field: value}).status_code == 200


def test_a_dialog_over_an_older_form_shows_the_changes_again(admin_client: Client, dialog: dict[str, str]) -> None:
    post(admin_client, DRAFT, complete_form(smtp__timeout_s="9", draft_version=stamp(admin_client)))
    assert "changed while this dialog was open" in read(post(admin_client, SAVE, dialog)).text
    assert not ConfigRevision.objects.exists()


def test_saving_without_a_key_ring_says_what_to_do(
    admin_client: Client, dialog: dict[str, str], settings: Any, tmp_path: Path
) -> None:
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone"]
    assert post(admin_client, SAVE, dialog).status_code == 200
    notes = read(post(admin_client, DRAFT, complete_form(draft_version=stamp(admin_client))))
    assert "gone" in notes.text
    assert not ConfigRevision.objects.exists()


def test_stopping_all_mail_has_to_be_meant(admin_client: Client) -> None:
    sent = complete_form()
    del sent["smtp__enabled"]
    answer = read(post(admin_client, DIALOG, sent))
    assert "stops all mail" in answer.text
    names = ("request_id", "generation", "newest", "stamp")
    given = {"act": "activate", "description": "Mail stops", **{name: answer.hidden[name] for name in names}}
    again = read(post(admin_client, SAVE, given))
    assert not ConfigRevision.objects.exists()
    given |= {"request_id": again.hidden["request_id"], "accept_stop": "1"}
    assert post(admin_client, SAVE, given).headers["HX-Redirect"] == PANE
