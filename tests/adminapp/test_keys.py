"""Key files: made once, private, never while secrets exist; and the certificate."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from cryptography import x509

from adminapp import certificate, keys
from emailcfg.encryption import KeyRing

ROOT = Path(__file__).parents[2]
NAMES = ["mail.example", "localhost", "127.0.0.1", "::1"]


def make(folder: Path, *, ciphertext_exists: bool = False) -> bool:
    ring, fingerprint = folder / "ring" / "encryption.keys", folder / "fingerprint.key"
    return keys.make_encryption_keys(ring=(ring,), fingerprint=fingerprint, ciphertext_exists=ciphertext_exists)


def test_keys_are_made_once_for_the_owner_alone_and_the_ring_can_be_read(tmp_path: Path) -> None:
    assert make(tmp_path)
    files = [tmp_path / "ring" / "encryption.keys", tmp_path / "fingerprint.key"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600, 0o600]
    before = [path.read_text() for path in files]
    assert not make(tmp_path)
    assert [path.read_text() for path in files] == before
    assert len(KeyRing.read(files[:1], files[1]).fingerprint_key) == 32


def test_the_folder_of_the_keys_is_for_the_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "ring").stat().st_mode) == 0o700


def test_what_is_written_into_a_data_folder_that_all_may_read_is_for_the_owner_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    environment = {"DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "adminapp.settings"}
    script = "import django; django.setup(); from django.db import connection; connection.ensure_connection()"
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, check=True, timeout=60, umask=0o022)
    shared = [path.name for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    assert (tmp_path / "db.sqlite3").exists()
    assert shared == []


def test_no_key_is_made_while_secrets_exist(tmp_path: Path) -> None:
    with pytest.raises(keys.KeyProblem, match=r"encryption\.keys is missing.*backup"):
        make(tmp_path, ciphertext_exists=True)
    make(tmp_path)
    (tmp_path / "fingerprint.key").unlink()
    with pytest.raises(keys.KeyProblem, match=r"fingerprint\.key is missing"):
        make(tmp_path, ciphertext_exists=True)


def test_of_processes_that_start_together_one_makes_the_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(keys.secret_keys, [tmp_path / "secret.key"] * 8))
    assert len(found) == 1
    assert len(found.pop()[0]) >= 50


def test_a_short_secret_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("x" * 49)
    with pytest.raises(keys.KeyProblem, match="at least 50"):
        keys.secret_keys(tmp_path / "secret.key")


def test_the_keys_before_the_newest_stand_below_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    before = keys.secret_keys(path)[0]
    path.write_text("n" * 50 + "\n" + before + "\n")
    assert keys.secret_keys(path) == ("n" * 50, before)
    path.write_text("n" * 50 + "\nshort\n")
    with pytest.raises(keys.KeyProblem, match="at least 50"):
        keys.secret_keys(path)


def names_in(path: Path) -> list[str]:
    loaded = x509.load_pem_x509_certificate(path.read_bytes())
    return [str(entry.value) for entry in loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_the_certificate_names_the_machine_and_is_kept(tmp_path: Path) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES)
    assert names_in(cert) == NAMES
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = cert.read_bytes()
    certificate.ensure(tmp_path, NAMES)
    assert cert.read_bytes() == before


@pytest.mark.parametrize(("days_left", "renewed"), [(31, False), (29, True), (-1, True)])
def test_the_certificate_is_renewed_thirty_days_before_its_end(tmp_path: Path, days_left: int, renewed: bool) -> None:
    cert, _ = certificate.ensure(tmp_path, NAMES)
    before = cert.read_bytes()
    end = x509.load_pem_x509_certificate(before).not_valid_after_utc
    with time_machine.travel(end - timedelta(days=days_left), tick=False):
        certificate.ensure(tmp_path, NAMES)
    assert (cert.read_bytes() != before) is renewed


def test_a_new_name_or_a_broken_file_makes_a_new_certificate(tmp_path: Path) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES)
    certificate.ensure(tmp_path, [*NAMES, "other.example"])
    assert "other.example" in names_in(cert)
    key.write_text("broken")
    certificate.ensure(tmp_path, NAMES)
    assert x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_before_utc < datetime.now(UTC)
    assert "PRIVATE KEY" in key.read_text()
