"""Fields that the operator pins in the environment."""

from pathlib import Path
from typing import Any

import pytest

from emailcfg import activation, pins, revisions, secrets
from emailcfg.destinations import SecretMisdirected
from emailcfg.pins import PinRefused
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config, a_revision, activated


def applied(**variables: str) -> Any:
    return pins.applied(a_config(), pins.read({f"EMAILCFG__{name}": text for name, text in variables.items()}))


def test_a_pinned_field_has_its_value_whatever_was_saved() -> None:
    config = applied(SMTP__TIMEOUT_S="7", GENERAL__SENDER_NAME="Pinned", SMTP__MAX_CONNECTIONS="2")
    assert (config.smtp.timeout_s, config.general.sender_name, config.smtp.max_connections) == (7, "Pinned", 2)
    assert config.smtp.host == "smtp.acme.com"


def test_ip_version_and_login_method_can_be_pinned() -> None:
    config = applied(SMTP__IP_VERSION="4", SMTP__AUTH_MECHANISM="login")
    assert (config.smtp.ip_version, config.smtp.auth_mechanism) == ("4", "login")
    with pytest.raises(PinRefused, match="EMAILCFG__SMTP__IP_VERSION"):
        applied(SMTP__IP_VERSION="both")


def test_pins_know_their_source() -> None:
    (pin,) = pins.read({"EMAILCFG__SMTP__HOST": "relay.internal", "PATH": "/bin"}).values()
    assert (pin.path, pin.source) == ("smtp.host", "EMAILCFG__SMTP__HOST")


def test_an_empty_text_is_nothing() -> None:
    assert applied(DELIVERY__SELECTED="").provider is None
    assert applied(SMTP__RATE_LIMIT_PER_MINUTE="").smtp.rate_limit_per_minute is None


@pytest.mark.parametrize("name", ["SMTP__HOSTS", "SMTP", "SMTP__HOST__X", "HOST", ""])
def test_a_name_that_is_no_field_is_refused(name: str) -> None:
    with pytest.raises(PinRefused, match=f"EMAILCFG__{name} names no field"):
        pins.read({f"EMAILCFG__{name}": "x"})


def test_a_value_that_does_not_fit_names_its_variable_and_not_the_value() -> None:
    with pytest.raises(PinRefused, match="EMAILCFG__SMTP__PORT") as caught:
        applied(SMTP__PORT="ninety-nine")
    assert "ninety-nine" not in str(caught.value)


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = write_key_file(tmp_path / "secret", b"from a file")
    config = applied(SMTP__PASSWORD_FILE=str(secret))
    assert config.smtp.password.get_secret_value() == "from a file"
    with pytest.raises(PinRefused, match="can't be read"):
        applied(SMTP__PASSWORD_FILE=str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("SMTP__HOSTS", "x"), ("SMTP__PORT", "0"), ("SMTP__SECURITY", "ssl"), ("SENDGRID__API_KEY", "SG.short and more")],
)
def test_what_can_go_with_no_configuration_is_refused_beforehand(settings: Any, name: str, text: str) -> None:
    settings.EMAILCFG_PINS = {f"EMAILCFG__{name}": text}
    with pytest.raises(PinRefused, match=f"EMAILCFG__{name}"):
        pins.check()


def test_what_a_configuration_may_complete_is_not(settings: Any) -> None:
    settings.EMAILCFG_PINS = {
        "EMAILCFG__DELIVERY__SELECTED": "smtp",
        "EMAILCFG__SMTP__ENABLED": "true",
        "EMAILCFG__SMTP__PASSWORD": "pinned",
        "EMAILCFG__SENDGRID__ENABLED": "false",
    }
    pins.check()


@pytest.mark.django_db
def test_a_stored_password_does_not_follow_a_pinned_host(settings: Any) -> None:
    revision = a_revision()
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__HOST": "relay.internal"}
    with pytest.raises(SecretMisdirected):
        secrets.open_all(revisions.for_use(revision), secrets.key_ring())
    with pytest.raises(activation.NotActivatable, match=r"entered for smtp\.acme\.com"):
        activated(revision)


@pytest.mark.django_db
def test_a_pinned_host_with_a_pinned_password_runs(settings: Any) -> None:
    revision = a_revision()
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__HOST": "relay.internal", "EMAILCFG__SMTP__PASSWORD": "pinned"}
    activated(revision)
    opened = secrets.open_all(revisions.for_use(revision), secrets.key_ring())
    assert (opened.smtp.host, opened.smtp.password.get_secret_value()) == ("relay.internal", "pinned")  # type: ignore[union-attr]
    assert revisions.read(revision).config.smtp.host == "smtp.acme.com"


@pytest.mark.django_db
def test_a_pin_that_does_not_fit_stops_an_activation_with_its_name(settings: Any) -> None:
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": "0"}
    with pytest.raises(activation.NotActivatable, match="EMAILCFG__SMTP__PORT"):
        activated(a_revision())


@pytest.mark.django_db
def test_the_form_names_the_variable_that_overrides_a_field(settings: Any, admin_client: Any) -> None:
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__HOST": "relay.internal"}
    assert "Fixed by EMAILCFG__SMTP__HOST" in admin_client.get("/configuration/email/").content.decode()
    settings.EMAILCFG_PINS = {"EMAILCFG__ODD": "x"}
    assert admin_client.get("/configuration/email/").status_code == 200
