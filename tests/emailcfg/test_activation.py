"""Activating and rolling back: compare-and-set, repeats, conflicts, and what can't run."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from emailcfg import activation, revisions, secrets
from emailcfg.models import Activation, ActiveConfig, AuditEvent, ConfigRevision
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import ANA, BEN, a_config, a_revision, activated, no_mail, tamper

pytestmark = pytest.mark.django_db


def test_a_fresh_installation_has_nothing_active() -> None:
    active = activation.current()
    assert (active.generation, active.revision, active.fallback) == (0, None, None)


def test_an_activation_moves_the_row_and_writes_its_log_and_audit() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    active = activated(second, reason="  shorter timeout ", warnings=["untested"], request_id="one")
    assert (active.generation, active.revision, active.fallback) == (2, second, first)
    log = Activation.objects.first()
    assert log is not None
    assert (log.generation, log.kind, log.revision, log.previous) == (2, "activate", second, first)
    assert (log.actor_name, log.reason, log.warnings) == ("ana@acme.com", "shorter timeout", ["untested"])
    event = AuditEvent.objects.filter(action="revision.activate").first()
    assert event is not None
    assert (event.subject, event.detail["before"], event.address) == (
        f"r{second.number}",
        f"r{first.number}",
        "192.0.2.7",
    )


def test_activating_the_active_revision_is_a_success_without_effect() -> None:
    revision = a_revision()
    before = activated(revision)
    again = activation.activate(revision.number, expected_generation=before.generation, actor=BEN)
    assert not again.changed
    assert again.active.generation == before.generation
    assert Activation.objects.count() == 1


def test_the_second_of_two_administrators_is_told_what_is_active_now() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activation.activate(first.number, expected_generation=0, actor=ANA)
    with pytest.raises(activation.GenerationConflict, match=f"r{first.number} is now active") as caught:
        activation.activate(second.number, expected_generation=0, actor=BEN)
    assert caught.value.current.revision == first
    assert activation.current().revision == first
    assert Activation.objects.count() == 1


def test_a_repeated_request_is_answered_alike_even_after_others_activated() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first, request_id="one")
    activated(second)
    repeated = activation.activate(first.number, expected_generation=0, actor=ANA, request_id="one")
    assert not repeated.changed
    assert activation.current().revision == second


def test_a_request_id_is_good_for_one_activation() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first, request_id="one")
    with pytest.raises(activation.RequestIdReused):
        activation.activate(second.number, expected_generation=1, actor=ANA, request_id="one")


def test_a_revision_deleted_meanwhile_leaves_everything_as_it_was() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    revisions.delete(second.number, actor=BEN)
    with pytest.raises(revisions.RevisionGone):
        activation.activate(second.number, expected_generation=1, actor=ANA)
    assert activation.current().revision == first


def test_stopping_all_mail_needs_to_be_meant() -> None:
    stops = a_revision(no_mail())
    with pytest.raises(activation.NeedsReason, match="stops all mail"):
        activated(stops)
    assert activated(stops, reason="Moving house").revision == stops


def test_a_selected_service_that_is_switched_off_stops_all_mail_too() -> None:
    off = a_revision(smtp__enabled=False)
    with pytest.raises(activation.NeedsReason):
        activated(off)
    assert activated(off, accept_stop=True).revision == off


def test_secrets_that_do_not_open_stop_an_activation(key_files: Path) -> None:
    revision = a_revision()
    write_key_file(key_files, Fernet.generate_key())
    with pytest.raises(activation.NotActivatable, match="can't be decrypted"):
        activated(revision)
    key_files.unlink()
    with pytest.raises(activation.NotActivatable, match="can't be read"):
        activated(revision)
    assert activation.current().generation == 0


def test_altered_content_stops_an_activation() -> None:
    revision = a_revision()
    tamper(revision, payload={**revision.payload, "general": {}})
    with pytest.raises(activation.NotActivatable, match="altered outside"):
        activated(revision)


def test_a_newer_schema_stops_an_activation_with_both_numbers() -> None:
    payload = {**a_revision().payload, "schema_version": 3}
    newer = ConfigRevision.objects.create(
        schema_version=3, payload=payload, content_hash=secrets.content_hash(payload), description="From tomorrow"
    )
    with pytest.raises(activation.NotActivatable, match=r"schema 3.*up to 1"):
        activated(newer)


def test_rolling_back_without_a_number_returns_to_what_ran_before() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    activated(second)
    back = activation.rollback(expected_generation=2, actor=BEN, reason="Too short", request_id="back")
    assert (back.active.revision, back.active.generation, back.active.fallback) == (first, 3, second)
    assert Activation.objects.first().kind == "rollback"  # type: ignore[union-attr]
    assert not activation.rollback(expected_generation=2, actor=BEN, request_id="back").changed


def test_rolling_back_uses_exactly_the_secret_that_worked_then() -> None:
    first = a_revision()
    activated(first)
    activated(a_revision(base=first, smtp__password="second secret"))
    back = activation.rollback(first.number, expected_generation=2, actor=ANA).active
    assert back.revision is not None
    opened = secrets.open_all(revisions.read(back.revision).config, secrets.key_ring())
    assert opened.smtp.password.get_secret_value() == "first secret"  # type: ignore[union-attr]


def test_there_may_be_nothing_to_roll_back_to() -> None:
    with pytest.raises(activation.NoFallback):
        activation.rollback(expected_generation=0, actor=ANA)
    activated(a_revision())
    with pytest.raises(activation.NoFallback):
        activation.rollback(expected_generation=1, actor=ANA)


def test_a_rollback_from_a_stale_page_is_a_conflict() -> None:
    activated(a_revision())
    activated(a_revision(smtp__timeout_s=10))
    with pytest.raises(activation.GenerationConflict):
        activation.rollback(expected_generation=1, actor=ANA)


def test_a_rollback_to_what_can_not_run_any_more_is_refused() -> None:
    first = a_revision()
    activated(first)
    activated(a_revision(a_config(smtp__timeout_s=10)))
    tamper(first, payload={**first.payload, "general": {}})
    with pytest.raises(activation.NotActivatable):
        activation.rollback(expected_generation=2, actor=ANA)
    assert activation.current().generation == 2


def test_a_second_row_of_the_active_configuration_is_impossible() -> None:
    from django.db import IntegrityError, transaction

    activation.current()
    with pytest.raises(IntegrityError), transaction.atomic():
        ActiveConfig.objects.create(singleton=2)
