"""Fields that came after the first revisions (IP version, login method): what was saved before is as it was."""

import hashlib
import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from emailcfg import drafts, revisions, secrets, tested
from emailcfg.editing import understand
from emailcfg.models import ConfigRevision, FormDraft
from tests.emailcfg.making import ANA, a_config, a_revision, a_test_of, activated

pytestmark = pytest.mark.django_db

LATER = ("ip_version", "auth_mechanism")
# As the program wrote it before it had these fields.
BEFORE: dict[str, Any] = {
    "schema_version": 1,
    "general": {
        "sender_email": "no-reply@acme.com",
        "sender_name": "Acme",
        "reply_to_domain": "",
        "reply_to_email": "",
        "support_email": "",
        "divert_to": "",
        "suppress_all": False,
    },
    "delivery": {"selected": "smtp"},
    "smtp": {
        "enabled": True,
        "preset": "relay-login",
        "host": "smtp.acme.com",
        "port": 587,
        "security": "starttls",
        "username": "",
        "password": None,
        "ca_certificate": "",
        "ehlo_hostname": "",
        "timeout_s": 30,
        "max_connections": 5,
        "rate_limit_per_minute": None,
    },
    "sendgrid": {"enabled": False, "api_key": None, "region": "global", "click_tracking": False},
}
TODAY = {"smtp__username": "", "smtp__password": None}


def hash_of(payload: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def saved_before() -> ConfigRevision:
    return ConfigRevision.objects.create(
        schema_version=1,
        payload=BEFORE,
        content_hash=hash_of(BEFORE),
        description="Saved by the program before",
        author_name="ana@acme.com",
    )


def test_a_configuration_that_does_not_use_them_has_the_bytes_and_the_hash_it_had() -> None:
    revision = a_revision(**TODAY)
    assert revision.payload == BEFORE
    assert revision.content_hash == hash_of(BEFORE)
    explicit = a_config(smtp__ip_version="any", smtp__auth_mechanism="auto", **TODAY)
    assert secrets.hash_of(explicit, secrets.key_ring()) == hash_of(BEFORE)


def test_a_configuration_that_uses_them_has_other_bytes_and_comes_back() -> None:
    revision = a_revision(smtp__ip_version="4", smtp__auth_mechanism="login", **TODAY)
    assert revision.content_hash != hash_of(BEFORE)
    config = revisions.read(revision).config
    assert (config.smtp.ip_version, config.smtp.auth_mechanism) == ("4", "login")


def test_a_revision_saved_before_is_read_with_the_defaults() -> None:
    loaded = revisions.read(saved_before())
    assert (loaded.config.smtp.ip_version, loaded.config.smtp.auth_mechanism) == ("any", "auto")
    assert loaded.config == a_config(**TODAY)
    assert loaded.migrated == ()


def test_saving_a_revision_from_before_unchanged_is_still_no_change() -> None:
    base = saved_before()
    with pytest.raises(revisions.NothingChanged):
        revisions.save(config=revisions.read(base).config, base=base, description="Nothing new", actor=ANA)


def test_a_test_from_before_still_counts() -> None:
    revision = saved_before()
    a_test_of(revision, "received")
    assert tested.of(secrets.hash_of(a_config(**TODAY), secrets.key_ring())) is not None


def test_activating_a_revision_from_before_makes_no_other_of_it() -> None:
    revision = saved_before()
    assert activated(revision).revision_id == revision.number


def test_a_form_that_starts_from_before_has_no_changes_and_takes_the_new_fields(admin_user: User) -> None:
    activated(saved_before())
    editing = drafts.load(admin_user, "s")
    assert understand(editing).changed == ()
    assert (editing.values["smtp.ip_version"], editing.values["smtp.auth_mechanism"]) == ("any", "auto")
    typed = drafts.store(admin_user, "s", drafts.Typed({"smtp.ip_version": "4"}))
    assert understand(typed).changed == ("smtp.ip_version",)
    back = drafts.store(admin_user, "s", drafts.Typed({"smtp.ip_version": "any"}))
    assert understand(back).changed == ()


def test_a_draft_typed_before_is_taken_up(admin_user: User) -> None:
    activated(saved_before())
    drafts.store(admin_user, "s", drafts.Typed({"smtp.timeout_s": "9"}))
    draft = FormDraft.objects.get(user=admin_user)
    draft.values = {path: text for path, text in draft.values.items() if path.split(".")[1] not in LATER}
    draft.save()
    understood = understand(drafts.load(admin_user, "s"))
    assert understood.config is not None
    assert understood.changed == ("smtp.timeout_s",)
