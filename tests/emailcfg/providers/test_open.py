"""The factory: which session a configuration leads to."""

from typing import Any

import pytest

from emailcfg.network import NetworkPolicy
from emailcfg.providers.open import NoProvider, session_for
from emailcfg.providers.sendgrid import SendGridSession
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import EmailConfig, StoredSecret
from tests.servers.sendgrid import KEY


def config(selected: str | None, **sections: Any) -> EmailConfig:
    return EmailConfig.model_validate(
        {"general": {"sender_email": "a@example.com"}, "delivery": {"selected": selected}, **sections}
    )


def opened(configuration: EmailConfig, url: str | None = None) -> Any:
    return session_for(
        configuration, policy=NetworkPolicy(), ehlo_default="a.example.com", deadline_s=5, sendgrid_api_url=url
    )


def test_the_selected_service_decides() -> None:
    smtp = opened(config("smtp", smtp={"host": "2001:db8::1", "port": 25}))
    assert isinstance(smtp, SmtpSession)
    assert smtp.server == "[2001:db8::1]:25"


@pytest.mark.parametrize(
    ("region", "override", "server"),
    [
        ("global", None, "api.sendgrid.com:443"),
        ("eu", None, "api.eu.sendgrid.com:443"),
        ("eu", "http://127.0.0.1:8025", "127.0.0.1:8025"),
    ],
)
def test_sendgrids_address_follows_from_region_or_override(region: str, override: str | None, server: str) -> None:
    session = opened(config("sendgrid", sendgrid={"api_key": KEY, "region": region}), override)
    assert isinstance(session, SendGridSession)
    assert session.server == server


@pytest.mark.parametrize(
    "configuration",
    [config(None), config("smtp", smtp={"enabled": False, "host": "mail.example.com"})],
    ids=["none selected", "selected but off"],
)
def test_without_a_service_there_is_no_session(configuration: EmailConfig) -> None:
    with pytest.raises(NoProvider):
        opened(configuration)


def test_a_secret_must_be_resolved_before() -> None:
    stored = StoredSecret(secret=1, fingerprint="f")
    with pytest.raises(TypeError, match="resolved"):
        opened(config("smtp", smtp={"host": "mail.example.com", "username": "u", "password": stored}))
    with pytest.raises(TypeError, match="resolved"):
        opened(config("sendgrid", sendgrid={"api_key": stored}))


def test_an_override_that_is_no_web_address_is_refused() -> None:
    with pytest.raises(ValueError, match="https://"):
        opened(config("sendgrid", sendgrid={"api_key": KEY}), "ftp://127.0.0.1/")
