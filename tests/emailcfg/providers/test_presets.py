"""The presets against the schema, and Amazon SES's password derivation against published vectors."""

from typing import get_args

import pytest

from emailcfg.providers.presets import PRESETS, SES_REGIONS
from emailcfg.providers.ses import endpoint, looks_like_aws_secret, region_of, smtp_password
from emailcfg.schema import Preset, Smtp


def test_every_preset_of_the_schema_is_described_once() -> None:
    assert tuple(PRESETS) == get_args(Preset)
    assert len({preset.label for preset in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("name", get_args(Preset))
def test_a_preset_fills_in_valid_settings(name: Preset) -> None:
    preset = PRESETS[name]
    typed = {"host": "mail.example.com", "username": "u", "password": "p"}
    fills = {field: value for field, value in preset.fills.items() if value}
    if preset.fills.get("username") == "" or preset.fills.get("security") == "none":
        typed = {"host": "mail.example.com"}
    smtp = Smtp(**{"enabled": True, "preset": name, **typed, **fills})  # type: ignore[arg-type]
    assert smtp.host == (preset.fills.get("host") or "mail.example.com")
    assert smtp.security == preset.fills["security"]
    assert preset.explanation.endswith(".")


# terraform-provider-aws, internal/service/iam/access_key_test.go
@pytest.mark.parametrize(
    ("region", "password"),
    [
        ("eu-central-1", "BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2"),
        ("us-west-1", "BH+jbMzper5WwlwUar9E1ySBqHa9whi0GPo+sJ0mVYJj"),
    ],
)
def test_the_smtp_password_follows_from_secret_and_region(region: str, password: str) -> None:
    assert smtp_password("some+secret+key", region) == password


def test_a_secret_is_told_from_an_smtp_password() -> None:
    assert looks_like_aws_secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert not looks_like_aws_secret("BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2")
    assert not looks_like_aws_secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE-EY")
    assert not looks_like_aws_secret("")


def test_the_region_is_read_from_the_host() -> None:
    assert all(region_of(endpoint(region)) == region for region, _ in SES_REGIONS)
    assert region_of("Email-SMTP.us-gov-west-1.amazonaws.com.") == "us-gov-west-1"
    assert region_of("email-smtp.eu-west-1.api.aws") == "eu-west-1"
    assert region_of("vpce-0a1-b2c3.email-smtp.eu-west-1.vpce.amazonaws.com") == "eu-west-1"
    assert region_of("email-smtp-fips.us-east-1.amazonaws.com") == "us-east-1"
    assert region_of("smtp.example.com") is None
    assert region_of("evil.email-smtp.us-east-1.amazonaws.com") is None
    assert region_of("email-smtp.us-east-1.amazonaws.com.evil.example") is None
    assert endpoint("eu-west-1") == "email-smtp.eu-west-1.amazonaws.com"
