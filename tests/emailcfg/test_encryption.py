"""A secret opens only for the destination it was entered for, and only with the ring it was sealed with."""

import base64
import dataclasses
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, MultiFernet

from emailcfg.destinations import Destination, KeyRingUnusable, SecretMisdirected, SecretUndecryptable
from emailcfg.encryption import KeyRing
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config

HERE = Destination("smtp", "smtp.acme.com", 587, "starttls", "ana@acme.com")


def ring(*keys: bytes) -> KeyRing:
    return KeyRing(MultiFernet([Fernet(key) for key in keys or (Fernet.generate_key(),)]), b"f" * 32)


def test_a_secret_opens_for_its_own_destination() -> None:
    held = ring()
    assert held.decrypt(held.encrypt("pässword / % #", HERE), HERE) == "pässword / % #"


@pytest.mark.parametrize(
    "moved",
    [
        {"host": "smtp.evil.example"},
        {"port": 25},
        {"security": "none"},
        {"username": "ben@acme.com"},
        {"provider": "sendgrid"},
    ],
)
def test_a_secret_never_opens_for_another_destination(moved: dict[str, object]) -> None:
    held = ring()
    token = held.encrypt("first secret", HERE)
    with pytest.raises(SecretMisdirected, match=r"entered for smtp\.acme\.com \(port 587\)") as caught:
        held.decrypt(token, dataclasses.replace(HERE, **moved))
    assert "first secret" not in str(caught.value)


def test_another_ring_does_not_open_a_secret() -> None:
    with pytest.raises(SecretUndecryptable, match="Enter it again"):
        ring().decrypt(ring().encrypt("first secret", HERE), HERE)


@pytest.mark.parametrize("token", ["", "plain password", "gAAAAA", "ü"])
def test_plaintext_or_rubbish_where_a_token_belongs_is_refused(token: str) -> None:
    with pytest.raises(SecretUndecryptable):
        ring().decrypt(token, HERE)


@pytest.mark.parametrize("body", [b"text", b"{}", b"[]", b'{"for": {"host": "x"}, "secret": "s"}', b"null"])
def test_a_token_with_another_body_is_refused(body: bytes) -> None:
    key = Fernet.generate_key()
    with pytest.raises(SecretUndecryptable):
        ring(key).decrypt(Fernet(key).encrypt(body).decode(), HERE)


def test_every_altered_byte_of_a_token_is_noticed() -> None:
    held = ring()
    token = held.encrypt("first secret", HERE)
    for position in range(0, len(token) - 2, 7):
        altered = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(SecretUndecryptable):
            held.decrypt(altered, HERE)


def test_rotation_moves_to_the_newest_key_and_keeps_the_destination() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    token = ring(old).encrypt("first secret", HERE)
    rotated = ring(new, old).rotate(token)
    assert ring(new).decrypt(rotated, HERE) == "first secret"
    with pytest.raises(SecretMisdirected):
        ring(new).decrypt(rotated, dataclasses.replace(HERE, host="smtp.evil.example"))


def test_fingerprints_tell_equal_secrets_for_equal_destinations_apart_from_all_others() -> None:
    held = ring()
    same = held.fingerprint("first secret", HERE)
    assert same == held.fingerprint("first secret", HERE)
    assert same != held.fingerprint("second secret", HERE)
    assert same != held.fingerprint("first secret", dataclasses.replace(HERE, port=465))
    assert same != dataclasses.replace(held, fingerprint_key=b"g" * 32).fingerprint("first secret", HERE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SMTP.Acme.com", "smtp.acme.com."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[2001:DB8::1]", "2001:db8:0::1"),
    ],
)
def test_destinations_are_compared_in_normal_form(one: str, other: str) -> None:
    assert Destination.of(a_config(smtp__host=one), "smtp.password") == Destination.of(
        a_config(smtp__host=other), "smtp.password"
    )


def test_a_sendgrid_key_belongs_to_sendgrid_in_either_region() -> None:
    assert Destination.of(a_config(sendgrid__region="eu"), "sendgrid.api_key") == Destination.of(
        a_config(), "sendgrid.api_key"
    )


def test_a_ring_is_read_from_its_files(key_files: Path, tmp_path: Path) -> None:
    fingerprint = tmp_path / "keys" / "fingerprint.key"
    held = KeyRing.read([key_files], fingerprint)
    assert held.decrypt(held.encrypt("x", HERE), HERE) == "x"


def test_a_key_file_that_others_can_read_is_refused(key_files: Path, tmp_path: Path) -> None:
    key_files.chmod(0o640)
    with pytest.raises(KeyRingUnusable, match="chmod 600"):
        KeyRing.read([key_files], tmp_path / "keys" / "fingerprint.key")


def test_missing_and_empty_key_files_are_named(key_files: Path, tmp_path: Path) -> None:
    fingerprint = tmp_path / "keys" / "fingerprint.key"
    with pytest.raises(KeyRingUnusable, match=r"gone\.keys can't be read"):
        KeyRing.read([tmp_path / "gone.keys"], fingerprint)
    with pytest.raises(KeyRingUnusable, match="No encryption key"):
        KeyRing.read([write_key_file(tmp_path / "empty.keys")], fingerprint)


@pytest.mark.parametrize("content", [b"not a key", base64.b64encode(b"sixteen bytes..!"), b"\xff\xfe\x00"])
def test_a_malformed_key_file_is_named_and_its_content_is_not_shown(content: bytes, tmp_path: Path) -> None:
    broken = write_key_file(tmp_path / "broken.keys", content)
    with pytest.raises(KeyRingUnusable, match=r"broken\.keys") as caught:
        KeyRing.read([broken], tmp_path / "keys" / "fingerprint.key")
    assert "not a key" not in str(caught.value)


def test_a_malformed_fingerprint_key_is_named(key_files: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyRingUnusable, match=r"odd\.key"):
        KeyRing.read([key_files], write_key_file(tmp_path / "odd.key", b"%%%"))
