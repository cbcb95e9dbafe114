"""What follows from activating a revision, before anybody does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from emailcfg import activation, ports
from emailcfg.models import ConfigRevision
from emailcfg.preflight import Preflight, preflight
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config, a_process, a_revision, a_test_of, activated, no_mail, tamper

pytestmark = pytest.mark.django_db


def look(revision: ConfigRevision) -> Preflight:
    return preflight(revision, activation.current())


def codes(revision: ConfigRevision) -> dict[str, str]:
    return {one.code: one.level.value for one in look(revision).consequences}


def sentence(revision: ConfigRevision, code: str) -> str:
    return next(one.sentence for one in look(revision).consequences if one.code == code)


def test_the_difference_to_what_runs_comes_first() -> None:
    first = a_revision()
    activated(first)
    second = a_revision(base=first, smtp__timeout_s=10)
    seen = look(second)
    assert seen.changes is not None
    assert [change.path for change in seen.changes] == ["smtp.timeout_s"]
    assert not seen.rollback
    assert seen.can_return


def test_untested_is_a_warning_and_tested_a_note_with_who_and_when() -> None:
    revision = a_revision()
    assert codes(revision) == {"untested": "warning"}
    a_test_of(revision, "accepted")
    assert codes(revision) == {"tested": "note"}
    assert "ana@acme.com" in sentence(revision, "tested")
    a_test_of(revision, "received")
    assert "was received" in sentence(revision, "tested")
    a_test_of(revision, "failed")
    assert codes(revision) == {"test_failed": "warning"}


def test_a_test_of_other_content_proves_nothing() -> None:
    a_test_of(a_revision(), "received")
    assert "untested" in codes(a_revision(smtp__timeout_s=10))


def test_stopping_suppressing_and_diverting_are_warnings() -> None:
    assert codes(a_revision(no_mail()))["stops_all_mail"] == "warning"
    assert codes(a_revision(smtp__enabled=False))["stops_all_mail"] == "warning"
    both = a_revision(a_config(general__suppress_all=True, general__divert_to="test@acme.com"))
    assert {"suppress_all", "divert_all"} <= set(codes(both))
    assert "test@acme.com" in sentence(both, "divert_all")


def test_what_can_not_run_is_hard(key_files: Path) -> None:
    altered = a_revision()
    tamper(altered, payload={**altered.payload, "general": {}})
    altered.refresh_from_db()
    assert codes(altered) == {"revision_unreadable": "hard"}
    assert look(altered).changes is None
    other = a_revision(smtp__timeout_s=10)
    write_key_file(key_files, Fernet.generate_key())
    assert codes(other)["secret_unavailable"] == "hard"


def test_a_running_revision_that_can_not_be_read_does_not_hide_the_rest() -> None:
    first = a_revision()
    activated(first)
    tamper(first, payload={**first.payload, "general": {}})
    seen = look(a_revision(smtp__timeout_s=10))
    assert seen.changes is None
    assert not seen.can_return
    assert not seen.hard


@pytest.fixture
def queued() -> Iterator[None]:
    ports.count_queued_with(lambda: 14)
    yield
    ports.count_queued_with(lambda: 0)


@pytest.mark.usefixtures("queued")
def test_queued_messages_are_counted_where_they_would_leave() -> None:
    activated(a_revision())
    other = a_revision(a_config(general__sender_email="new@acme.com"))
    assert sentence(other, "queued").startswith("14 queued messages leave through this configuration")
    assert "new@acme.com" in sentence(other, "queued")
    assert "queued" not in codes(a_revision(no_mail()))


def test_a_process_that_is_too_old_is_named() -> None:
    revision = a_revision()
    a_process("old", "running", 1, schema_version=0)
    assert codes(revision)["process_too_old"] == "warning"
    assert "here/1" in sentence(revision, "process_too_old")


def test_what_ran_before_is_a_rollback() -> None:
    first = a_revision()
    activated(first)
    activated(a_revision(smtp__timeout_s=10))
    assert look(first).rollback
