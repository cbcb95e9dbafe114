"""Every test of this room has a key ring of its own."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet


def write_key_file(path: Path, *lines: bytes) -> Path:
    """A key file that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines) + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def key_files(tmp_path: Path, settings: Any) -> Path:
    """A fresh ring in files; returns the file that lists the encryption keys."""
    keys = write_key_file(tmp_path / "keys" / "encryption.keys", Fernet.generate_key())
    settings.ENCRYPTION_KEY_FILES = [keys]
    settings.FINGERPRINT_KEY_FILE = write_key_file(
        tmp_path / "keys" / "fingerprint.key", base64.b64encode(os.urandom(32))
    )
    return keys


@pytest.fixture(autouse=True)
def _no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Activate page asks DNS; tests of other things don't wait for an answer that can't come."""
    monkeypatch.setattr("emailcfg.views.activate.Lookup", lambda settings: None)
