"""The form kept on the server: what is typed, changed, undone, lost with a session, or fought over by two tabs."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from emailcfg import drafts, secrets
from emailcfg.destinations import KeyRingUnusable
from emailcfg.drafts import DraftConflict, Typed
from emailcfg.editing import Editing, understand
from emailcfg.models import ConfigRevision, FormDraft
from emailcfg.schema import EmailConfig, StoredSecret
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config, a_revision, activated

pytestmark = pytest.mark.django_db

SESSION = "s" * 32
PASSWORD = "smtp.password"


@pytest.fixture
def ana(admin_user: User) -> User:
    return admin_user


def store(user: User, session: str = SESSION, *, stamp: str | None = None, **fields: str) -> Editing:
    """Types into fields, secrets among them."""
    texts = {name.replace("__", "."): text for name, text in fields.items()}
    typed = {path: texts.pop(path) for path in ("smtp.password", "sendgrid.api_key") if path in texts}
    return drafts.store(user, session, Typed(texts, typed, stamp=stamp))


def state(editing: Editing, path: str = PASSWORD) -> str:
    return understand(editing).secrets[path].state


def filled(user: User, **fields: str) -> Editing:
    """A form that means a configuration with a login."""
    given = {
        "general__sender_email": "no-reply@acme.com",
        "smtp__enabled": "on",
        "smtp__host": "smtp.acme.com",
        "smtp__username": "ana",
        "smtp__password": "typed secret",
    }
    return store(user, **given | fields)


# Starting


def test_without_a_revision_the_form_starts_empty(ana: User) -> None:
    editing = drafts.load(ana, SESSION)
    assert (editing.base, editing.base_config, editing.stamp) == (None, EmailConfig(), "0.0")
    assert understand(editing).changed == ()


def test_the_form_starts_from_the_active_revision_and_not_from_a_newer_draft(ana: User) -> None:
    active = a_revision()
    activated(active)
    a_revision(smtp__port=2525)
    assert drafts.load(ana, SESSION).base == active


def test_the_form_starts_from_the_newest_revision_while_none_is_active(ana: User) -> None:
    a_revision()
    newest = a_revision(smtp__port=2525)
    assert drafts.load(ana, SESSION).base == newest


def test_a_base_that_was_altered_leaves_the_form_empty_and_says_why(ana: User) -> None:
    payload = a_config(smtp__password=None, smtp__username="").model_dump(mode="json")
    ConfigRevision.objects.create(
        schema_version=1, payload=payload, content_hash="of other bytes", description="Altered"
    )
    editing = drafts.load(ana, SESSION)
    assert "altered" in editing.problem
    assert editing.base_config == EmailConfig()


def test_a_base_of_a_newer_schema_leaves_the_form_empty_and_says_why(ana: User) -> None:
    payload = {**a_config(smtp__password=None, smtp__username="").model_dump(mode="json"), "schema_version": 99}
    digest = secrets.content_hash(payload)
    ConfigRevision.objects.create(schema_version=99, payload=payload, content_hash=digest, description="From tomorrow")
    assert "99" in drafts.load(ana, SESSION).problem


# Changes


def test_what_is_typed_counts_as_changes_until_it_is_typed_back(ana: User) -> None:
    activated(a_revision())
    editing = store(ana, smtp__host="other.acme.com", smtp__timeout_s="5")
    assert {"smtp.host", "smtp.timeout_s"} <= set(understand(editing).changed)
    assert drafts.unsaved_changes(ana) == len(understand(editing).changed)
    store(ana, smtp__host="SMTP.acme.com.", smtp__timeout_s="030")
    assert not FormDraft.objects.exists()
    assert drafts.unsaved_changes(ana) == 0


def test_a_value_whose_normal_form_is_the_old_one_is_no_change(ana: User) -> None:
    activated(a_revision())
    assert understand(store(ana, general__sender_email="no-reply@ACME.com")).changed == ()


def test_switching_services_is_one_change(ana: User) -> None:
    activated(a_revision())
    editing = store(ana, smtp__enabled="on", sendgrid__enabled="on")
    assert (editing.values["smtp.enabled"], editing.values["sendgrid.enabled"]) == ("", "on")
    assert [path for path in understand(editing).changed if path != "smtp.password"] == ["delivery.selected"]


def test_undo_puts_one_field_back_and_leaves_the_others(ana: User) -> None:
    activated(a_revision())
    store(ana, smtp__timeout_s="5", smtp__max_connections="7")
    editing = drafts.undo(ana, SESSION, "smtp.timeout_s")
    assert (editing.values["smtp.timeout_s"], editing.values["smtp.max_connections"]) == ("30", "7")
    assert understand(editing).changed == ("smtp.max_connections",)


def test_undoing_a_switch_puts_both_services_back(ana: User) -> None:
    activated(a_revision())
    store(ana, smtp__enabled="on", sendgrid__enabled="on")
    editing = drafts.undo(ana, SESSION, "sendgrid.enabled")
    assert (editing.values["smtp.enabled"], editing.values["sendgrid.enabled"]) == ("on", "")
    assert not FormDraft.objects.exists()


def test_undoing_the_last_change_forgets_the_draft(ana: User) -> None:
    activated(a_revision())
    store(ana, smtp__timeout_s="5")
    drafts.undo(ana, SESSION, "smtp.timeout_s")
    assert not FormDraft.objects.exists()


def test_undoing_an_unknown_field_changes_nothing(ana: User) -> None:
    store(ana, smtp__timeout_s="5")
    assert understand(drafts.undo(ana, SESSION, "smtp.nonsense")).changed == ("smtp.timeout_s",)


def test_a_repair_is_said_as_long_as_the_repaired_text_stands(ana: User) -> None:
    store(ana, smtp__host="https://a.example")
    assert "Removed" in store(ana, smtp__timeout_s="5").repairs["smtp.host"][1]
    assert "smtp.host" not in store(ana, smtp__host="b.example").repairs
    store(ana, smtp__host="https://a.example")
    assert "smtp.host" not in drafts.undo(ana, SESSION, "smtp.host").repairs


def test_discarding_shows_what_is_saved_again(ana: User) -> None:
    activated(a_revision())
    store(ana, smtp__host="other.acme.com")
    drafts.discard(ana)
    assert drafts.load(ana, SESSION).values["smtp.host"] == "smtp.acme.com"


def test_invalid_values_are_kept_as_typed(ana: User) -> None:
    store(ana, smtp__port="abc", general__sender_email="no address")
    editing = drafts.load(ana, SESSION)
    assert (editing.values["smtp.port"], editing.values["general.sender_email"]) == ("abc", "no address")
    assert set(understand(editing).errors) == {"smtp.port", "general.sender_email"}


# Secrets


def test_a_typed_secret_is_kept_encrypted_and_used_in_the_same_session(ana: User) -> None:
    filled(ana)
    assert "typed secret" not in str(FormDraft.objects.get().secrets)
    understood = understand(drafts.load(ana, SESSION))
    assert understood.config is not None
    assert understood.config.smtp.password.get_secret_value() == "typed secret"  # type: ignore[union-attr]


def test_a_secret_typed_before_its_server_is_bound_once_the_server_is_known(ana: User) -> None:
    store(ana, smtp__password="early")
    editing = filled(ana, smtp__password="")
    assert state(editing) == "typed"
    assert editing.pending[PASSWORD].bound_to.host == "smtp.acme.com"
    assert state(store(ana, smtp__host="evil.example")) == "again"


@pytest.mark.parametrize(
    "change",
    [
        {"smtp__host": "evil.example"},
        {"smtp__port": "2525"},
        {"smtp__security": "tls"},
        {"smtp__username": "ben"},
    ],
)
@pytest.mark.parametrize("kind", ["typed", "stored"])
def test_a_secret_is_asked_for_again_when_its_destination_changes(ana: User, kind: str, change: dict[str, str]) -> None:
    if kind == "stored":
        activated(a_revision())
    else:
        filled(ana)
    editing = store(ana, **change)
    understood = understand(editing)
    assert understood.secrets[PASSWORD].state == "again"
    assert understood.config is None
    assert "Enter" in understood.errors[PASSWORD][0]


def test_a_secret_comes_back_when_its_destination_does(ana: User) -> None:
    filled(ana)
    store(ana, smtp__host="other.example")
    assert state(store(ana, smtp__host="smtp.acme.com")) == "typed"


def test_the_way_a_host_is_written_does_not_change_a_destination(ana: User) -> None:
    activated(a_revision(smtp__host="bücher.example"))
    assert state(store(ana, smtp__host="XN--BCHER-KVA.example.")) == "stored"


def test_an_empty_field_keeps_the_stored_secret(ana: User) -> None:
    activated(a_revision())
    understood = understand(store(ana, smtp__timeout_s="5", smtp__password=""))
    assert understood.secrets[PASSWORD].state == "stored"
    assert understood.config is not None
    assert isinstance(understood.config.smtp.password, StoredSecret)


def test_entering_the_stored_secret_again_is_no_change(ana: User) -> None:
    activated(a_revision())
    editing = store(ana, smtp__password="first secret", smtp__timeout_s="5")
    understood = understand(editing)
    assert (understood.secrets[PASSWORD].state, understood.changed) == ("same", ("smtp.timeout_s",))
    assert understood.config is not None
    assert isinstance(understood.config.smtp.password, StoredSecret)


def test_entering_a_secret_that_can_not_be_decrypted_any_more_repairs_it(ana: User, key_files: Path) -> None:
    from cryptography.fernet import Fernet

    activated(a_revision())
    write_key_file(key_files, Fernet.generate_key())
    editing = store(ana, smtp__password="first secret")
    assert (state(editing), understand(editing).changed) == ("typed", (PASSWORD,))


def test_a_removed_secret_is_gone_until_it_is_undone(ana: User) -> None:
    activated(a_revision())
    editing = drafts.store(ana, SESSION, Typed({}, removed=frozenset({PASSWORD})))
    assert (state(editing), understand(editing).changed) == ("none", (PASSWORD,))
    assert state(drafts.load(ana, SESSION)) == "none"
    assert state(drafts.undo(ana, SESSION, PASSWORD)) == "stored"


def test_clearing_the_user_name_drops_the_stored_password_with_a_sentence(ana: User) -> None:
    activated(a_revision())
    understood = understand(store(ana, smtp__username=""))
    assert understood.secrets[PASSWORD].state == "dropped"
    assert understood.config is not None
    assert understood.config.smtp.password is None


def test_a_password_with_a_space_at_an_end_is_kept_and_says_so(ana: User) -> None:
    editing = filled(ana, smtp__password=" spaced")
    assert "space" in understand(editing).secrets[PASSWORD].sentence
    assert editing.pending[PASSWORD].text.get_secret_value() == " spaced"


# Sessions and tabs


def test_after_a_lapsed_session_the_values_are_back_and_the_secret_is_asked_for_until_entered(ana: User) -> None:
    filled(ana)
    editing = drafts.load(ana, "another session")
    assert editing.values["smtp.host"] == "smtp.acme.com"
    assert editing.lost == {PASSWORD}
    assert "session ended" in understand(editing).errors[PASSWORD][0]
    later = store(ana, "another session", smtp__timeout_s="5")
    assert state(later) == "again"
    assert state(drafts.load(ana, "another session")) == "again"
    assert state(store(ana, "another session", smtp__password="once more")) == "typed"


def test_a_lost_secret_does_not_silently_become_the_stored_one(ana: User) -> None:
    activated(a_revision())
    store(ana, smtp__password="a new secret")
    assert state(store(ana, "another session", smtp__timeout_s="5")) == "again"
    assert state(drafts.undo(ana, "another session", PASSWORD)) == "stored"


def test_a_second_tab_can_not_overwrite_what_it_does_not_show(ana: User) -> None:
    stamp = drafts.load(ana, SESSION).stamp
    store(ana, stamp=stamp, smtp__host="first.example")
    with pytest.raises(DraftConflict):
        store(ana, stamp=stamp, smtp__host="second.example")
    assert drafts.load(ana, SESSION).values["smtp.host"] == "first.example"
    assert store(ana, stamp=None, smtp__host="second.example").values["smtp.host"] == "second.example"


def test_a_page_made_before_another_revision_became_active_can_not_put_its_values_over_it(ana: User) -> None:
    activated(a_revision())
    stale = drafts.load(ana, SESSION).stamp
    activated(a_revision(smtp__host="new.acme.com"))
    with pytest.raises(DraftConflict):
        store(ana, stamp=stale, smtp__host="smtp.acme.com", general__sender_name="Acme Inc.")


def test_a_draft_stays_with_its_base_when_another_revision_becomes_active(ana: User) -> None:
    first = a_revision()
    activated(first)
    store(ana, smtp__timeout_s="5")
    activated(a_revision(smtp__port=2525))
    editing = drafts.load(ana, SESSION)
    assert (editing.base, understand(editing).changed) == (first, ("smtp.timeout_s",))


def test_two_administrators_have_a_form_each(ana: User) -> None:
    ben = User.objects.create(username="ben@acme.com")
    store(ana, smtp__timeout_s="5")
    assert drafts.load(ben, SESSION).values["smtp.timeout_s"] == "30"


# Loading a revision


def test_loading_a_revision_makes_it_the_base_and_replaces_the_draft(ana: User) -> None:
    old = a_revision(smtp__timeout_s=9)
    activated(a_revision())
    store(ana, smtp__host="typed.example", smtp__password="typed")
    editing, migrated = drafts.load_revision(ana, SESSION, old.number)
    assert (editing.base, editing.values["smtp.timeout_s"], migrated) == (old, "9", ())
    assert editing.values["smtp.host"] == "smtp.acme.com"
    assert (state(editing), understand(editing).changed) == ("stored", ())


def test_a_tab_from_before_the_loading_is_stale(ana: User) -> None:
    old = a_revision(smtp__timeout_s=9)
    stamp = store(ana, smtp__port="25").stamp
    drafts.load_revision(ana, SESSION, old.number)
    with pytest.raises(DraftConflict):
        store(ana, stamp=stamp, smtp__port="26")


# Keys


def test_without_a_key_ring_the_form_still_loads_and_a_typed_secret_is_refused(
    ana: User, settings: Any, tmp_path: Path
) -> None:
    filled(ana)
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "gone"]
    assert state(drafts.load(ana, SESSION)) == "again"
    assert store(ana, smtp__timeout_s="5").values["smtp.timeout_s"] == "5"
    with pytest.raises(KeyRingUnusable):
        store(ana, smtp__password="another")
