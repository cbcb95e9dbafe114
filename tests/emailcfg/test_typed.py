"""What was typed and what it means: repairs, said in a sentence; one service; numbers; the configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.schema import EmailConfig
from emailcfg.typed import PATHS, SWITCHES, meaning, missing, one_service, tidy, values_of
from tests.emailcfg.making import a_config

EMPTY = values_of(EmailConfig())


def typed(**fields: str) -> dict[str, str]:
    return {**EMPTY, **{name.replace("__", "."): text for name, text in fields.items()}}


@pytest.mark.parametrize(
    ("pasted", "host", "port", "said"),
    [
        ("  smtp.acme.com ", "smtp.acme.com", "587", "Removed white space"),
        ("smtp.\u00a0acme.com", "smtp.acme.com", "587", "Removed white space"),
        ("smtp\u200b.acme.com\ufeff", "smtp.acme.com", "587", "Removed white space"),
        ("https://smtp.acme.com", "smtp.acme.com", "587", "Removed “https://”"),
        ("smtp://smtp.acme.com", "smtp.acme.com", "587", "Removed “smtp://”"),
        ("HTTPS://smtp.acme.com/mail/login", "smtp.acme.com", "587", "and the path “/mail/login”"),
        ("smtp.acme.com/", "smtp.acme.com", "587", "the “/” at the end"),
        ("smtp.acme.com:2525", "smtp.acme.com", "2525", "moved to its own field"),
        ("https://smtp.acme.com:465/x", "smtp.acme.com", "465", "“https://” and the path “/x”"),
        ("[2001:db8::1]:25", "2001:db8::1", "25", "moved to its own field"),
        ("[2001:db8::1]", "2001:db8::1", "587", None),
        ("2001:db8::1", "2001:db8::1", "587", None),
        ("smtp.acme.com.", "smtp.acme.com", "587", None),
        ("SMTP.Acme.COM", "smtp.acme.com", "587", None),
        ("ana@smtp.acme.com:25", "ana@smtp.acme.com:25", "587", None),
        ("...", "...", "587", None),
        ("bücher.example", "bücher.example", "587", None),
    ],
)
def test_a_pasted_host_is_repaired_and_says_how(pasted: str, host: str, port: str, said: str | None) -> None:
    tidied = tidy(typed(smtp__host=pasted))
    assert (tidied.values["smtp.host"], tidied.values["smtp.port"]) == (host, port)
    note = tidied.notes.get("smtp.host")
    assert note is None if said is None else said in (note or "")


def test_a_port_from_the_host_field_is_named_at_both_fields() -> None:
    notes = tidy(typed(smtp__host="a.example:25")).notes
    assert "25" in notes["smtp.host"]
    assert notes["smtp.port"] == "Port 25 was taken from the host field."


def test_the_ehlo_name_is_repaired_and_leaves_the_port_alone() -> None:
    tidied = tidy(typed(smtp__ehlo_hostname="https://mail.acme.com:8443/"))
    assert (tidied.values["smtp.ehlo_hostname"], tidied.values["smtp.port"]) == ("mail.acme.com", "587")
    assert "Removed the port 8443" in tidied.notes["smtp.ehlo_hostname"]


@pytest.mark.parametrize(
    ("text", "plain"), [("５８７", "587"), ("0587", "587"), ("+587", "587"), ("5_87", "587"), ("٢٥", "25")]
)
def test_a_number_in_another_writing_is_written_plainly(text: str, plain: str) -> None:
    tidied = tidy(typed(smtp__port=text))
    assert tidied.values["smtp.port"] == plain
    assert tidied.notes["smtp.port"] == f"Written as {plain}."


@pytest.mark.parametrize("text", ["abc", "1e3", "587.0", "5 87", "", "9" * 5000, "0x19"])
def test_what_is_no_number_stays_as_typed_and_is_an_error_there(text: str) -> None:
    tidied = tidy(typed(smtp__port=text))
    assert tidied.values["smtp.port"] == text
    assert meaning(tidied.values, {}).errors["smtp.port"] == ["Enter a whole number."]


def test_a_user_name_keeps_its_spaces_and_every_other_field_loses_them() -> None:
    tidied = tidy(typed(smtp__username=" ana ", general__sender_name="\u00a0 Acme \u200b ")).values
    assert (tidied["smtp.username"], tidied["general.sender_name"]) == (" ana ", "Acme")


def test_a_nul_is_removed_with_a_note() -> None:
    tidied = tidy(typed(smtp__username="a\x00na", smtp__host="a\x00.example"))
    assert (tidied.values["smtp.username"], tidied.values["smtp.host"]) == ("ana", "a.example")
    assert "NUL" in tidied.notes["smtp.username"]
    assert "NUL" in tidied.notes["smtp.host"]


def test_a_reply_to_domain_loses_its_at_sign() -> None:
    tidied = tidy(typed(general__reply_to_domain="@reply.acme.com"))
    assert tidied.values["general.reply_to_domain"] == "reply.acme.com"
    assert "general.reply_to_domain" in tidied.notes


PIECES = st.sampled_from(
    [" ", ".", ":", "25", "/", "[", "]", "@", "http://", "smtp", "a", "A", "é", "\u200b", "\u00a0", "+", "0", "\x00"]
)
TEXTS = st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=10).map("".join))


@given(st.fixed_dictionaries({path: TEXTS for path in PATHS if path not in SWITCHES}))
def test_tidying_twice_changes_nothing_more(texts: dict[str, str]) -> None:
    once = tidy({**EMPTY, **texts}).values
    assert tidy(once).values == once


@given(st.fixed_dictionaries(dict.fromkeys(PATHS, TEXTS)))
def test_any_text_means_a_configuration_or_has_errors_at_known_fields(texts: dict[str, str]) -> None:
    meant = meaning(tidy(texts).values, {})
    assert (meant.config is None) == bool(meant.errors)
    assert set(meant.errors) <= {*PATHS, "smtp.password", "sendgrid.api_key"}


def test_a_configuration_survives_being_shown_and_read_back() -> None:
    config = a_config(
        smtp__password=None, smtp__username="", smtp__rate_limit_per_minute=30, general__suppress_all=True
    )
    assert meaning(values_of(config), {}).config == config


@pytest.mark.parametrize(("before", "after"), [("smtp", "sendgrid"), ("sendgrid", "smtp")])
def test_switching_one_service_on_switches_the_other_off(before: str, after: str) -> None:
    values = one_service(typed(smtp__enabled="on", sendgrid__enabled="on"), typed(**{f"{before}__enabled": "on"}))
    assert (values[f"{before}.enabled"], values[f"{after}.enabled"]) == ("", "on")
    config = meaning({**values, "smtp.host": "a.example", "general.sender_email": "a@b.example"}, {}).config
    assert config is None or config.delivery.selected == after


def test_no_service_on_selects_none() -> None:
    config = meaning(EMPTY, {}).config
    assert config is not None
    assert config.delivery.selected is None


def test_the_header_names_the_empty_fields_a_service_needs_and_not_those_typed_wrongly() -> None:
    values = typed(smtp__enabled="on", smtp__port="abc")
    assert missing({"smtp.host": ["Enter"], "smtp.port": ["Enter"]}, values, "smtp") == ["host"]
