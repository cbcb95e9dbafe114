"""What follows from activating a revision, before anybody does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from adminapp import wiring
from emailcfg import activation, ports
from emailcfg.diagnosis.lookup import Lookup, ResolverSettings
from emailcfg.models import ConfigRevision
from emailcfg.preflight import Preflight, preflight
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config, a_process, a_revision, a_test_of, activated, no_mail, tamper
from tests.servers.dns import SILENT, DnsServer

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
    wiring.connect()


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


def dns_codes(revision: ConfigRevision, zone: dict[str, Any], *, otherwise: str = "") -> set[str]:
    with DnsServer(zone, otherwise=otherwise) as server:
        lookup = Lookup(ResolverSettings(("127.0.0.1",), server.port, timeout_s=0.2, lifetime_s=0.2, total_s=0.5))
        seen = preflight(revision, activation.current(), lookup=lookup)
    return {one.code for one in seen.warnings if one.code.startswith("dns_")}


def test_spf_that_does_not_permit_the_relay_and_replies_without_mx_are_warnings() -> None:
    revision = a_revision(a_config(smtp__host="smtp.gmail.com", general__reply_to_domain="reply.acme.com"))
    google = {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]}
    zone = {"acme.com": {"TXT": ["v=spf1 ip4:198.51.100.1 -all"]}, "_spf.google.com": google}
    assert dns_codes(revision, zone) == {"dns_spf", "dns_reply_to_mx"}


def test_dns_that_vouches_is_no_warning() -> None:
    revision = a_revision(a_config(smtp__host="smtp.gmail.com", general__reply_to_domain="reply.acme.com"))
    zone = {
        "acme.com": {"TXT": ["v=spf1 include:_spf.google.com ~all"], "MX": ["10 mx.acme.com."]},
        "_spf.google.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
        "reply.acme.com": {"MX": ["10 mx.acme.com."]},
        "mx.acme.com": {"A": ["192.0.2.9"]},
    }
    assert dns_codes(revision, zone) == set()


def test_dns_that_is_silent_is_no_warning_and_costs_a_bounded_time() -> None:
    assert dns_codes(a_revision(), {}, otherwise=SILENT) == set()


def test_dns_is_not_asked_when_nothing_it_vouches_for_changes() -> None:
    first = a_revision()
    activated(first)
    second = a_revision(base=first, smtp__timeout_s=10)
    with DnsServer({}) as server:
        preflight(second, activation.current(), lookup=Lookup(ResolverSettings(("127.0.0.1",), server.port)))
        assert server.asked == []


def test_what_the_environment_fixes_is_looked_at_as_it_will_run(settings: Any) -> None:
    revision = a_revision(no_mail())
    assert "stops_all_mail" in codes(revision)
    settings.EMAILCFG_PINS = {
        "EMAILCFG__DELIVERY__SELECTED": "smtp",
        "EMAILCFG__SMTP__ENABLED": "true",
        "EMAILCFG__SMTP__HOST": "relay.internal",
        "EMAILCFG__GENERAL__SENDER_EMAIL": "no-reply@acme.com",
        "EMAILCFG__GENERAL__DIVERT_TO": "trial@acme.com",
    }
    assert "stops_all_mail" not in codes(revision)
    assert "trial@acme.com" in sentence(revision, "divert_all")
