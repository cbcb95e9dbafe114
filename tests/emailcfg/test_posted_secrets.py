"""Secrets as the form posts them."""

import pytest

from emailcfg import posted_secrets
from emailcfg.posted_secrets import CHOOSE_A_REGION, SES_WANTS_ANOTHER
from emailcfg.providers import ses
from emailcfg.schema import EmailConfig
from emailcfg.typed import Values, values_of

AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def form(**fields: str) -> Values:
    return {**values_of(EmailConfig()), **{name.replace("__", "."): text for name, text in fields.items()}}


SES = form(smtp__preset="ses", smtp__host="email-smtp.eu-central-1.amazonaws.com")


def test_an_empty_field_says_nothing() -> None:
    found = posted_secrets.read({"smtp__password": "", "sendgrid__api_key": "  "}, form())
    assert (found.typed, found.refused, found.reworked) == ({}, {}, {})


@pytest.mark.parametrize("mask", ["•", "••••••••", "•" * 20])
def test_a_posted_mask_is_refused_at_its_field(mask: str) -> None:
    found = posted_secrets.read({"smtp__password": mask, "sendgrid__api_key": mask}, form())
    assert set(found.refused) == {"smtp.password", "sendgrid.api_key"}
    assert not found.typed


def test_a_password_keeps_its_spaces_and_a_key_loses_those_around_it() -> None:
    found = posted_secrets.read({"smtp__password": " two words ", "sendgrid__api_key": " SG.x \n"}, form())
    assert found.typed == {"smtp.password": " two words ", "sendgrid.api_key": "SG.x"}


def test_an_aws_secret_is_offered_for_conversion_and_not_taken_in() -> None:
    found = posted_secrets.read({"smtp__password": AWS_SECRET}, SES)
    assert (found.typed, found.refused) == ({}, {"smtp.password": SES_WANTS_ANOTHER})


def test_converting_an_aws_secret_keeps_only_the_smtp_password_of_the_region() -> None:
    found = posted_secrets.read({"smtp__password": AWS_SECRET, "convert": "ses"}, SES)
    assert found.typed == {"smtp.password": ses.smtp_password(AWS_SECRET, "eu-central-1")}
    assert AWS_SECRET not in str(found)
    assert "eu-central-1" in found.reworked["smtp.password"]


def test_converting_without_a_region_asks_for_it_and_keeps_other_secrets() -> None:
    posted = {"smtp__password": AWS_SECRET, "sendgrid__api_key": "SG.x", "convert": "ses"}
    found = posted_secrets.read(posted, form(smtp__preset="ses"))
    assert found.refused == {"smtp.password": CHOOSE_A_REGION}
    assert found.typed == {"sendgrid.api_key": "SG.x"}


def test_forty_characters_elsewhere_are_just_a_password() -> None:
    assert posted_secrets.read({"smtp__password": AWS_SECRET}, form()).typed == {"smtp.password": AWS_SECRET}


@pytest.mark.parametrize("pasted", ["abcd efgh ijkl mnop", "abcd\u00a0efgh ijkl mnop "])
def test_a_google_app_password_loses_its_spaces_and_says_so(pasted: str) -> None:
    found = posted_secrets.read({"smtp__password": pasted}, form(smtp__preset="gmail"))
    assert found.typed == {"smtp.password": "abcdefghijklmnop"}
    assert "without its spaces" in found.reworked["smtp.password"]


def test_the_same_words_at_another_relay_stay_as_typed() -> None:
    found = posted_secrets.read({"smtp__password": "abcd efgh ijkl mnop"}, form(smtp__host="relay.example"))
    assert found.typed == {"smtp.password": "abcd efgh ijkl mnop"}
    assert not found.reworked
