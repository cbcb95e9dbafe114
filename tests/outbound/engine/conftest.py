"""The engine's tests commit for real, keep their journals apart and may reach any port of loopback."""

from pathlib import Path
from typing import Any

import pytest

from emailcfg.network import NetworkPolicy


@pytest.fixture(autouse=True)
def _engine_settings(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    settings.RETRY_FIRST_S = 60.0
    settings.ATTEMPT_DEADLINE_S = 3.0
