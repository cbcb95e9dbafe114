"""What differs between two configurations."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emailcfg.diff import compare
from emailcfg.schema import EmailConfig, StoredSecret, walk
from emailcfg.secrets import replace
from tests.emailcfg.making import a_config

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "general__sender_name": st.sampled_from(["Acme", "Berlin", "<b>bold</b>"]),
        "general__suppress_all": st.booleans(),
        "smtp__port": st.sampled_from([25, 465, 587]),
        "smtp__security": st.sampled_from(["starttls", "tls"]),
        "smtp__ip_version": st.sampled_from(["any", "4", "6"]),
        "smtp__auth_mechanism": st.sampled_from(["auto", "plain", "login"]),
        "smtp__rate_limit_per_minute": st.sampled_from([None, 1, 60]),
        "smtp__password": st.sampled_from(["first secret", "second secret"]),
        "sendgrid__region": st.sampled_from(["global", "eu"]),
    },
)


@given(CHANGES)
def test_nothing_differs_from_itself(changes: dict[str, Any]) -> None:
    assert compare(a_config(**changes), a_config(**changes)) == []


@given(CHANGES, CHANGES)
def test_exactly_the_fields_that_differ_are_named(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = a_config(**one), a_config(**other)
    differing = [path for (path, _, old), (_, _, new) in zip(walk(before), walk(after), strict=True) if old != new]
    assert [change.path for change in compare(before, after)] == differing


@given(CHANGES, CHANGES)
def test_turned_round_before_and_after_swap(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = compare(a_config(**one), a_config(**other)), compare(a_config(**other), a_config(**one))
    plain = [(change.path, change.before, change.after) for change in there if not change.secret]
    assert plain == [(change.path, change.after, change.before) for change in back if not change.secret]


@given(CHANGES, CHANGES)
def test_a_secret_is_never_shown(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert "secret" not in "".join(
        f"{change.before}{change.after}" for change in compare(a_config(**one), a_config(**other))
    )


def test_values_read_as_a_person_says_them() -> None:
    after = a_config(smtp__security="tls", smtp__rate_limit_per_minute=60, general__suppress_all=True)
    assert [(change.title, change.before, change.after) for change in compare(a_config(), after)] == [
        ("Suppress all mail", "off", "on"),
        ("SMTP: security", "STARTTLS, required (587)", "TLS from the start (465)"),
        ("SMTP: messages per minute", "no limit", "60"),
    ]


def test_ip_version_and_login_method_read_as_in_the_form() -> None:
    after = a_config(smtp__ip_version="4", smtp__auth_mechanism="login")
    assert [(change.title, change.before, change.after) for change in compare(a_config(), after)] == [
        ("SMTP: IP version", "Both", "IPv4 only"),
        ("SMTP: login method", "Automatic", "LOGIN"),
    ]


def stored(fingerprint: str, row: int = 1) -> EmailConfig:
    return replace(a_config(), {"smtp.password": StoredSecret(secret=row, fingerprint=fingerprint)})


def test_a_stored_secret_is_the_same_by_its_fingerprint_not_its_row() -> None:
    assert compare(stored("a", 1), stored("a", 2)) == []
    (change,) = compare(stored("a", 1), stored("b", 1))
    assert (change.before, change.after, change.secret) == ("set", "changed", True)


def test_a_secret_set_or_removed_is_said() -> None:
    without = replace(stored("a"), {"smtp.password": None})
    assert [(c.before, c.after) for c in compare(without, stored("a"))] == [("not set", "set")]
    assert [(c.before, c.after) for c in compare(stored("a"), without)] == [("set", "not set")]
