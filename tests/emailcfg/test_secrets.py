"""Secrets on their way in and out of revisions: sealed, kept, opened, and bound to their destination."""

import json
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from emailcfg import revisions, secrets
from emailcfg.destinations import SecretMisdirected, SecretUndecryptable
from emailcfg.models import ConfigRevision, Secret
from emailcfg.schema import StoredSecret
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import ANA, a_config, a_revision, tamper

pytestmark = pytest.mark.django_db


def altered(revision: ConfigRevision, **smtp: object) -> ConfigRevision:
    """The revision after somebody with write access to the database changed its payload and hash."""
    payload = {**revision.payload, "smtp": {**revision.payload["smtp"], **smtp}}
    tamper(revision, payload=payload, content_hash=secrets.content_hash(payload))
    return revisions.get(revision.number)


def test_a_saved_revision_holds_no_plaintext() -> None:
    revision = a_revision()
    assert "first secret" not in json.dumps(revision.payload)
    assert "first secret" not in Secret.objects.get().ciphertext


def test_a_saved_secret_opens_for_use() -> None:
    opened = secrets.open_all(revisions.read(a_revision()).config, secrets.key_ring())
    assert isinstance(opened.smtp.password, SecretStr)
    assert opened.smtp.password.get_secret_value() == "first secret"


@pytest.mark.parametrize(
    "moved", [{"host": "smtp.evil.example"}, {"port": 2525}, {"security": "tls"}, {"username": "mallory"}]
)
def test_an_update_in_the_database_can_not_redirect_a_password(moved: dict[str, object]) -> None:
    revision = altered(a_revision(), **moved)
    config = revisions.read(revision).config
    with pytest.raises(SecretMisdirected):
        secrets.open_all(config, secrets.key_ring())
    assert set(secrets.check(config, secrets.key_ring())) == {"smtp.password"}


def test_a_row_moved_under_another_revision_does_not_open() -> None:
    ours, theirs = a_revision(), a_revision(smtp__host="smtp.evil.example", smtp__password="their own")
    our_row, their_row = ours.secrets.get(), theirs.secrets.get()
    Secret.objects.filter(pk=their_row.pk).update(ciphertext=our_row.ciphertext)
    with pytest.raises(SecretMisdirected):
        secrets.open_all(revisions.read(theirs).config, secrets.key_ring())


def test_a_payload_that_points_to_another_row_does_not_open() -> None:
    ours, theirs = a_revision(), a_revision(smtp__host="smtp.evil.example", smtp__password="their own")
    reference = {"secret": ours.secrets.get().pk, "fingerprint": theirs.secrets.get().fingerprint}
    with pytest.raises(SecretUndecryptable, match="missing or was altered"):
        secrets.open_all(revisions.read(altered(theirs, password=reference)).config, secrets.key_ring())


def test_a_vanished_row_is_named_not_ignored() -> None:
    revision = a_revision()
    config = revisions.read(revision).config
    revision.secrets.clear()
    Secret.objects.all().delete()
    with pytest.raises(SecretUndecryptable):
        secrets.open_all(config, secrets.key_ring())


def test_a_new_ring_does_not_open_old_secrets_and_entering_them_again_repairs(key_files: Path) -> None:
    broken = a_revision()
    write_key_file(key_files, Fernet.generate_key())
    assert "can't be decrypted" in secrets.check(revisions.read(broken).config, secrets.key_ring())["smtp.password"]
    repaired = revisions.save(config=a_config(), base=broken, description="Password again", actor=ANA)
    assert secrets.check(revisions.read(repaired).config, secrets.key_ring()) == {}
    assert repaired.content_hash == broken.content_hash


def test_a_kept_secret_shares_its_row() -> None:
    base = a_revision()
    kept = secrets.keep(
        a_config(smtp__password=None, smtp__username="ana@acme.com", smtp__enabled=False),
        base=revisions.read(base).config,
        paths=["smtp.password"],
    )
    saved = revisions.save(config=kept, base=base, description="Switched off", actor=ANA)
    assert saved.secrets.get() == base.secrets.get()
    assert Secret.objects.count() == 1


@pytest.mark.parametrize(
    "moved",
    [{"smtp__host": "other.acme.com"}, {"smtp__port": 2587}, {"smtp__security": "tls"}, {"smtp__username": "ben"}],
)
def test_a_secret_is_asked_for_again_when_its_destination_changes(moved: dict[str, object]) -> None:
    base = revisions.read(a_revision()).config
    changed = a_config(smtp__password=None, smtp__enabled=False, **moved)
    with pytest.raises(secrets.SecretNeeded, match="Enter the password again") as caught:
        secrets.keep(changed, base=base, paths=["smtp.password"])
    assert caught.value.path == "smtp.password"


def test_a_host_written_differently_is_the_same_destination() -> None:
    base = revisions.read(a_revision()).config
    changed = a_config(smtp__password=None, smtp__enabled=False, smtp__host="SMTP.ACME.COM.")
    assert isinstance(secrets.keep(changed, base=base, paths=["smtp.password"]).smtp.password, StoredSecret)


def test_there_is_nothing_to_keep_without_a_base_or_without_a_secret() -> None:
    for base in (None, a_config(smtp__password=None, smtp__username="")):
        with pytest.raises(secrets.SecretNeeded, match="no stored secret"):
            secrets.keep(a_config(), base=base, paths=["smtp.password"])


def test_typing_the_same_secret_again_makes_no_new_row() -> None:
    base = a_revision()
    saved = a_revision(base=base, general__sender_name="Other")
    assert saved.secrets.get() == base.secrets.get()


def test_the_hash_of_a_form_equals_the_hash_of_the_revision_it_becomes() -> None:
    revision = a_revision()
    assert secrets.hash_of(a_config(), secrets.key_ring()) == revision.content_hash
    assert secrets.hash_of(a_config(smtp__password="other"), secrets.key_ring()) != revision.content_hash


def test_what_is_shown_of_a_configuration_says_only_that_a_secret_is_set() -> None:
    shown = secrets.public(revisions.read(a_revision()).config)
    assert shown["smtp"]["password"] == {"keep": True}
    assert shown["sendgrid"]["api_key"] is None
    assert secrets.public(a_config())["smtp"]["password"] == {"keep": True}
