"""What holds the queue: how long, told how often, and by one process for all."""

from datetime import UTC, datetime, timedelta

import pytest

from emailcfg.models import AuditEvent
from emailcfg.providers.base import ErrorClass, Failure, Stage
from outbound import breaker
from outbound.breaker import pause_s
from outbound.models import Breaker

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
MINUTE, HOUR = 60, 3600


@pytest.mark.parametrize(
    ("error_class", "pauses"),
    [
        (ErrorClass.CONFIGURATION, (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, HOUR)),
        (ErrorClass.SENDER, (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, HOUR)),
        (ErrorClass.RATE, (15 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, 24 * HOUR, 24 * HOUR)),
    ],
)
def test_probes_grow_rare(error_class: ErrorClass, pauses: tuple[int, ...]) -> None:
    assert tuple(pause_s(error_class, failures, None) for failures in range(1, len(pauses) + 1)) == pauses


def test_a_limit_lasts_as_long_as_the_server_says() -> None:
    assert pause_s(ErrorClass.RATE, 1, 7200) == 7200
    assert pause_s(ErrorClass.RATE, 1, 1e9) == 24 * HOUR


def _fails(error_class: ErrorClass, *, probing: bool = False, now: datetime = NOW) -> bool:
    return breaker.failed(
        1,
        provider="smtp",
        sender="",
        failure=Failure(Stage.LOGIN, error_class, "login_refused"),
        server="mail.example.com:587",
        now=now,
        first_s=60.0,
        probing=probing,
    )


def _row() -> Breaker:
    return Breaker.objects.get()


@pytest.mark.django_db
def test_one_alarm_however_often_it_fails_and_the_next_one_after_it_worked() -> None:
    assert _fails(ErrorClass.CONFIGURATION)
    for _ in range(5):  # other connections, which began before they could know
        assert _fails(ErrorClass.CONFIGURATION)
    assert _row().next_probe_at == NOW + timedelta(minutes=1)
    later = NOW + timedelta(minutes=1)
    assert _fails(ErrorClass.CONFIGURATION, probing=True, now=later)
    assert _row().next_probe_at == later + timedelta(minutes=5)
    assert AuditEvent.objects.filter(action="queue.held").count() == 1
    breaker.worked(1, senders=frozenset(), now=later)
    assert not _row().is_open
    assert _fails(ErrorClass.CONFIGURATION)
    assert AuditEvent.objects.filter(action="queue.held").count() == 2


@pytest.mark.django_db
def test_the_host_has_to_fail_three_times_in_a_row() -> None:
    assert not _fails(ErrorClass.HOST)
    assert not _fails(ErrorClass.HOST)
    breaker.worked(1, senders=frozenset(), now=NOW)
    assert [_fails(ErrorClass.HOST) for _ in range(3)] == [False, False, True]


@pytest.mark.django_db
def test_of_several_processes_one_gets_to_probe() -> None:
    _fails(ErrorClass.CONFIGURATION)
    later = NOW + timedelta(minutes=1)
    seen = [breaker.gate(1, later).probe, breaker.gate(1, later).probe]  # by two, at the same time
    assert all(row is not None for row in seen)
    assert [breaker.begin_probe(row, later, 60.0) for row in seen if row is not None] == [True, False]
    assert breaker.gate(1, later).probe is None
    assert breaker.gate(1, later).shut
