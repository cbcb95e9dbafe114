"""Saving, reading and deleting revisions."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emailcfg import activation, revisions, schema_migrations, secrets
from emailcfg.models import AuditEvent, ConfigRevision, Secret
from tests.emailcfg.making import ANA, BEN, a_config, a_revision, activated, no_mail, tamper

pytestmark = pytest.mark.django_db


def test_a_revision_knows_its_author_parent_and_schema() -> None:
    first = a_revision()
    second = a_revision(base=first, general__sender_name="Acme Berlin")
    assert (second.author_name, second.parent, second.schema_version) == ("ana@acme.com", first.number, 1)
    assert AuditEvent.objects.filter(action="revision.saved", subject=f"r{second.number}").get().actor_name == ANA.name


def test_saving_never_activates() -> None:
    a_revision()
    assert activation.current().revision is None


@pytest.mark.parametrize("description", ["", "    ", "four", "  ab  ", "x" * 201, "two\nlines here", "a\x00bcdef"])
def test_a_description_is_five_to_two_hundred_characters_on_one_line(description: str) -> None:
    with pytest.raises(revisions.DescriptionRefused):
        revisions.save(config=a_config(), base=None, description=description, actor=ANA)
    assert not ConfigRevision.objects.exists()


@pytest.mark.parametrize("description", ["fünf!", "x" * 200, "  padded  "])
def test_a_description_at_the_bounds_is_taken_without_its_padding(description: str) -> None:
    saved = revisions.save(config=a_config(), base=None, description=description, actor=ANA)
    assert saved.description == description.strip()


def test_unchanged_values_make_no_revision() -> None:
    base = a_revision()
    with pytest.raises(revisions.NothingChanged, match=f"r{base.number}"):
        a_revision(base=base)
    assert ConfigRevision.objects.count() == 1
    assert Secret.objects.count() == 1


def test_going_back_to_earlier_values_is_a_new_revision() -> None:
    first = a_revision()
    second = a_revision(base=first, smtp__timeout_s=10)
    third = a_revision(base=second)
    assert third.content_hash == first.content_hash
    assert third.number > second.number


def test_the_same_request_is_answered_with_the_same_revision() -> None:
    made = [
        revisions.save(config=a_config(), base=None, description="Saved twice", actor=ANA, request_id="one")
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert ConfigRevision.objects.count() == 1
    assert AuditEvent.objects.filter(action="revision.saved").count() == 1


def test_a_request_id_is_good_for_one_content() -> None:
    revisions.save(config=a_config(), base=None, description="Saved once", actor=ANA, request_id="one")
    with pytest.raises(revisions.RequestIdReused):
        revisions.save(config=no_mail(), base=None, description="Saved once", actor=ANA, request_id="one")


def test_a_deleted_number_is_never_used_again() -> None:
    a_revision()
    last = a_revision(smtp__timeout_s=10)
    revisions.delete(last.number, actor=ANA)
    assert a_revision(smtp__timeout_s=11).number == last.number + 1


def test_deleting_a_draft_removes_only_the_secrets_it_alone_had() -> None:
    base = a_revision()
    shares = a_revision(base=base, smtp__timeout_s=10)
    own = a_revision(base=base, smtp__password="second secret")
    revisions.delete(shares.number, actor=BEN)
    assert Secret.objects.count() == 2
    revisions.delete(own.number, actor=BEN)
    assert Secret.objects.get() == base.secrets.get()
    assert secrets.check(revisions.read(base).config, secrets.key_ring()) == {}
    assert AuditEvent.objects.filter(action="revision.deleted").count() == 2


def test_a_revision_that_was_ever_active_can_not_be_deleted() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    activated(second)
    for revision in (first, second):
        with pytest.raises(revisions.RevisionInUse):
            revisions.delete(revision.number, actor=ANA)


def test_the_database_itself_refuses_to_lose_what_is_active() -> None:
    revision = a_revision()
    activated(revision)
    with pytest.raises(IntegrityError):
        delete_by_sql(revision.number)


def delete_by_sql(number: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM emailcfg_configrevision_secrets")
        cursor.execute("DELETE FROM emailcfg_configrevision WHERE number = %s", [number])
        connection.check_constraints()


def test_a_revision_that_is_gone_is_named() -> None:
    for verb in (revisions.get, lambda number: revisions.delete(number, actor=ANA)):
        with pytest.raises(revisions.RevisionGone, match="r999"):
            verb(999)


def test_saving_on_a_base_that_was_deleted_meanwhile_says_so() -> None:
    base = a_revision()
    revisions.delete(base.number, actor=BEN)
    with pytest.raises(revisions.RevisionGone):
        a_revision(base=base, smtp__timeout_s=10)


def test_altered_bytes_are_noticed_and_never_used() -> None:
    revision = a_revision()
    tamper(revision, payload={**revision.payload, "delivery": {"selected": None}})
    with pytest.raises(revisions.RevisionUnreadable, match="altered outside"):
        revisions.read(revisions.get(revision.number))


def test_a_payload_that_is_no_configuration_is_unreadable_not_an_accident() -> None:
    for payload in (
        {"schema_version": 1, "smtp": {"port": 0}},
        {"schema_version": 1, "odd": 1},
        {"schema_version": "x"},
    ):
        revision = ConfigRevision(
            number=1, schema_version=1, payload=payload, content_hash=secrets.content_hash(payload)
        )
        with pytest.raises(revisions.RevisionUnreadable):
            revisions.read(revision)


def test_a_newer_schema_is_refused_with_both_numbers() -> None:
    payload = {"schema_version": 7}
    revision = ConfigRevision(number=1, schema_version=7, payload=payload, content_hash=secrets.content_hash(payload))
    with pytest.raises(schema_migrations.NewerSchema, match=r"schema 7.*up to 1"):
        revisions.read(revision)


def test_no_model_change_waits_for_a_migration() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(blacklist_characters="\x00\r\n", blacklist_categories=["Cs"]), min_size=1, max_size=60))
def test_any_password_that_smtp_can_carry_survives_saving(password: str) -> None:
    saved = a_revision(smtp__password=password)
    opened = secrets.open_all(revisions.read(revisions.get(saved.number)).config, secrets.key_ring())
    assert opened.smtp.password is not None
    assert opened.smtp.password.get_secret_value() == password  # type: ignore[union-attr]
