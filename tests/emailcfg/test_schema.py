"""The one definition of the configuration: its normal form, its refusals, and the sentences they speak."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from emailcfg.schema import EmailConfig, field_errors, walk
from tests.emailcfg.making import a_config

LABEL = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?", fullmatch=True)
HOSTS = st.builds(lambda labels: ".".join([*labels, "example"]), st.lists(LABEL, min_size=1, max_size=3))


def errors(data: dict[str, Any]) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        EmailConfig.model_validate(data)
    return field_errors(caught.value)


def test_an_empty_configuration_is_valid_and_stops_all_mail() -> None:
    assert EmailConfig().provider is None
    assert EmailConfig.model_validate({}) == EmailConfig()


@given(
    host=HOSTS,
    port=st.integers(min_value=1, max_value=65535),
    padding=st.sampled_from(["", " ", "\t", "  "]),
    timeout=st.integers(min_value=1, max_value=300),
)
def test_the_normal_form_is_reached_in_one_step_and_stays(host: str, port: int, padding: str, timeout: int) -> None:
    config = a_config(smtp__host=f"{padding}{host.upper()}.{padding}", smtp__port=port, smtp__timeout_s=timeout)
    assert config.smtp.host == host.lower()
    dumped = config.model_dump(mode="json", exclude={"smtp": {"password"}, "sendgrid": {"api_key"}})
    again = EmailConfig.model_validate({**dumped, "smtp": {**dumped["smtp"], "password": "first secret"}})
    assert again == config


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("smtp.port", 0, "Enter a number that is at least 1."),
        ("smtp.port", 65536, "Enter a number that is at most 65535."),
        ("smtp.port", "abc", "Enter a whole number."),
        ("smtp.timeout_s", 301, "Enter a number that is at most 300."),
        ("general.sender_name", "x" * 121, "Use at most 120 characters."),
        ("general.unknown", 1, "This field is not part of the configuration."),
        ("smtp.ip_version", "5", "Choose one of: 'any', '4' or '6'."),
        ("smtp.ip_version", True, "Choose one of: 'any', '4' or '6'."),
        ("smtp.auth_mechanism", "cram-md5", "Choose one of: 'auto', 'plain' or 'login'."),
        ("smtp.security", "opportunistic", "Choose one of: 'starttls', 'tls' or 'none'."),
        ("general.suppress_all", "maybe", "Choose yes or no."),
        ("smtp.password", 5, "Enter the secret as text."),
        ("smtp.password", {"plain": "x"}, "Enter the secret as text."),
    ],
)
def test_a_refusal_is_a_sentence_at_its_field(path: str, value: object, sentence: str) -> None:
    section, name = path.split(".")
    assert errors({section: {name: value}}) == {path: [sentence]}


def test_a_refused_secret_is_not_repeated_in_its_refusal() -> None:
    found = errors({"sendgrid": {"api_key": "SG.very-secret-but-short"}, "smtp": {"password": "two\nlines-secret"}})
    assert set(found) == {"sendgrid.api_key", "smtp.password"}
    assert "secret" not in str(found)


def test_a_service_that_is_on_needs_what_it_sends_with() -> None:
    sender = {"sender_email": "no-reply@acme.com"}
    assert set(errors({"general": sender, "delivery": {"selected": "smtp"}})) == {"smtp.host"}
    assert set(errors({"general": sender, "delivery": {"selected": "sendgrid"}})) == {"sendgrid.api_key"}
    assert set(errors({"general": sender, "smtp": {"enabled": True, "host": "a.example", "username": "x"}})) == {
        "smtp.password"
    }


def test_mail_needs_a_sender() -> None:
    assert set(errors({"delivery": {"selected": "smtp"}, "smtp": {"host": "a.example"}})) == {"general.sender_email"}


@pytest.mark.parametrize(("host", "allowed"), [("127.0.0.1", True), ("localhost", True), ("relay.acme.com", False)])
def test_a_password_without_encryption_is_for_this_machine_alone(host: str, allowed: bool) -> None:
    smtp = {"host": host, "security": "none", "username": "ana", "password": "x"}
    if allowed:
        EmailConfig.model_validate({"smtp": smtp})
    else:
        assert set(errors({"smtp": smtp})) == {"smtp.security"}


@pytest.mark.parametrize(("host", "version"), [("192.0.2.7", "6"), ("2001:db8::7", "4")])
def test_an_address_of_the_other_ip_version_can_not_be_reached_and_is_said_so(host: str, version: str) -> None:
    sender = {"sender_email": "no-reply@acme.com"}
    smtp = {"enabled": True, "host": host, "security": "none", "ip_version": version}
    assert errors({"general": sender, "smtp": smtp})["smtp.ip_version"][0].startswith("The host is an IPv")
    EmailConfig.model_validate({"general": sender, "smtp": {**smtp, "ip_version": {"4": "6", "6": "4"}[version]}})
    EmailConfig.model_validate({"general": sender, "smtp": {**smtp, "ip_version": "any"}})


def test_the_ip_version_may_be_a_number_as_yaml_reads_it() -> None:
    assert EmailConfig.model_validate({"smtp": {"ip_version": 4}}).smtp.ip_version == "4"


NAMES = ["general", "smtp", "host", "port", "password", "enabled", "delivery", "selected"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING)
def test_anything_at_all_is_taken_or_refused_in_sentences(data: Any) -> None:
    found: dict[str, list[str]] = {}
    try:
        EmailConfig.model_validate(data)
    except ValidationError as error:
        found = field_errors(error)
    assert all(sentence.endswith(".") for sentences in found.values() for sentence in sentences)


def test_every_field_is_walked_with_its_title() -> None:
    paths = [path for path, _, _ in walk(EmailConfig())]
    assert len(paths) == len(set(paths)) == 26
    assert all(title and title[0].isupper() for _, title, _ in walk(EmailConfig()))
