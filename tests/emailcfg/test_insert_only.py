"""The database refuses to change what was written, whichever program asks."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from emailcfg import audit, revisions
from emailcfg.actor import Actor
from emailcfg.models import Activation, AuditEvent, ConfigRevision, Secret
from tests.emailcfg.making import ANA, a_config, a_revision, activated

pytestmark = pytest.mark.django_db


def refuses(statement: str, *values: Any) -> None:
    with pytest.raises(IntegrityError, match="kept as they were written"):
        execute(statement, *values)


def execute(statement: str, *values: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_audit_events_and_activations_stay_as_they_were_written() -> None:
    activated(a_revision())
    for table in ("emailcfg_auditevent", "emailcfg_activation"):
        refuses(f"UPDATE {table} SET actor_name = %s", "somebody else")
        refuses(f"UPDATE {table} SET id = id + 100")
        refuses(f"DELETE FROM {table}")
    assert AuditEvent.objects.filter(actor_name="ana@acme.com").count() == 2
    assert Activation.objects.count() == 1


def test_a_revision_is_never_changed() -> None:
    a_revision()
    for column in ("payload", "description", "content_hash", "author_name"):
        refuses(f"UPDATE emailcfg_configrevision SET {column} = %s", "{}")


def test_a_revision_that_was_active_is_never_deleted() -> None:
    revision = a_revision()
    activated(revision)
    with pytest.raises(IntegrityError):
        delete_by_force(revision)
    assert ConfigRevision.objects.filter(pk=revision.pk).exists()


def delete_by_force(revision: ConfigRevision) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM emailcfg_configrevision_secrets")
        cursor.execute("DELETE FROM emailcfg_configrevision WHERE number = %s", [revision.number])
        connection.check_constraints()


def test_a_draft_is_deleted_with_its_secrets() -> None:
    draft = a_revision()
    revisions.delete(draft.number, actor=ANA)
    assert not ConfigRevision.objects.exists()
    assert not Secret.objects.exists()


def test_of_a_secret_only_the_ciphertext_may_change() -> None:
    a_revision()
    refuses("UPDATE emailcfg_secret SET fingerprint = %s", "x")
    execute("UPDATE emailcfg_secret SET ciphertext = %s", "re-encrypted")


def test_deleting_an_account_only_takes_the_link_away(django_user_model: Any) -> None:
    user = django_user_model.objects.create(username="ana")
    activated(revisions.save(config=a_config(), base=None, description="Somebody's", actor=Actor("ana", user)))
    audit.record("login.succeeded", actor=Actor("ana", user))
    user.delete()
    event = AuditEvent.objects.filter(action="login.succeeded").get()
    assert (event.actor_id, event.actor_name) == (None, "ana")
    other = django_user_model.objects.create(username="ben")
    refuses("UPDATE emailcfg_auditevent SET actor_id = %s", other.pk)
