"""A configuration on its way to a session: which secrets it needs opened."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from emailcfg import revisions
from emailcfg.destinations import KeyRingUnusable
from emailcfg.schema import EmailConfig
from outbound.transport import opened
from tests.outbound.making import ANA, a_config, a_sendgrid_config

pytestmark = pytest.mark.django_db


def _stored(config: EmailConfig) -> EmailConfig:
    return revisions.read(revisions.save(config=config, base=None, description="For a test", actor=ANA)).config


def test_a_stored_password_is_opened_for_use() -> None:
    config = opened(_stored(a_config(username="ana", password="secret word")))
    assert config.smtp.password == SecretStr("secret word")


def test_key_files_that_are_gone_stop_only_what_needs_them(settings: Any, tmp_path: Path) -> None:
    with_password, without = _stored(a_config(username="ana", password="secret word")), _stored(a_config())
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone.keys"]
    with pytest.raises(KeyRingUnusable):
        opened(with_password)
    assert opened(without) == without


def test_the_password_of_the_service_that_is_not_selected_needs_no_key(settings: Any, tmp_path: Path) -> None:
    stored = _stored(a_config().model_copy(update={"sendgrid": a_sendgrid_config().sendgrid}))
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone.keys"]
    assert opened(stored).sendgrid.api_key is None
