"""The retry schedule, as a function."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.providers.base import ErrorClass
from outbound.retry import GIVE_UP_AFTER, Decision, decide, delay_s

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=4)


@pytest.mark.parametrize(("attempt", "minutes"), [(1, 1), (2, 5), (3, 15), (4, 60), (5, 240), (6, 240), (40, 240)])
def test_the_steps_are_1_5_15_60_minutes_then_4_hours(attempt: int, minutes: int) -> None:
    assert delay_s(attempt, jitter=lambda: 0.5) == pytest.approx(minutes * 60)


@given(st.integers(0, 60), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_fifth(attempt: int, random: float) -> None:
    middle = delay_s(attempt, jitter=lambda: 0.5)
    assert 0.8 * middle <= delay_s(attempt, jitter=lambda: random) <= 1.2 * middle


def test_greylisting_of_five_minutes_is_survived_by_the_second_retry() -> None:
    assert sum(delay_s(n, jitter=lambda: 0.0) for n in (1, 2)) >= 288


@pytest.mark.parametrize("error_class", [ErrorClass.MESSAGE_HARD, ErrorClass.RECIPIENT_HARD])
def test_hard_failures_are_final(error_class: ErrorClass) -> None:
    assert decide(error_class, attempt=1, now=NOW, expires_at=LATER) == Decision("failed", None)


@pytest.mark.parametrize(
    "error_class", [ErrorClass.CONFIGURATION, ErrorClass.SENDER, ErrorClass.RATE, ErrorClass.DEFECT]
)
def test_what_concerns_the_queue_leaves_the_message_waiting(error_class: ErrorClass) -> None:
    assert decide(error_class, attempt=30, now=NOW, expires_at=NOW) == Decision("queued", NOW)


@pytest.mark.parametrize("error_class", [ErrorClass.HOST, ErrorClass.MESSAGE_SOFT, ErrorClass.RECIPIENT_SOFT])
def test_soft_failures_are_tried_until_they_expire(error_class: ErrorClass) -> None:
    soon = decide(error_class, attempt=1, now=NOW, expires_at=LATER, jitter=lambda: 0.5)
    assert soon == Decision("deferred", NOW + timedelta(minutes=1))
    assert decide(error_class, attempt=9, now=LATER, expires_at=LATER).state == "failed"


def test_the_schedule_gives_about_thirty_tries_in_five_days() -> None:
    now, attempt = NOW, 0
    while True:
        attempt += 1
        decision = decide(ErrorClass.HOST, attempt=attempt, now=now, expires_at=NOW + GIVE_UP_AFTER)
        if decision.due_at is None:
            break
        now = decision.due_at
    assert 25 <= attempt <= 45
    assert NOW + timedelta(days=4, hours=19) <= now <= NOW + GIVE_UP_AFTER


def test_a_server_may_ask_for_a_time_but_for_no_more_than_an_hour() -> None:
    asked = decide(ErrorClass.MESSAGE_SOFT, attempt=1, now=NOW, expires_at=LATER, retry_after_s=600)
    assert asked.due_at == NOW + timedelta(minutes=10)
    greedy = decide(ErrorClass.MESSAGE_SOFT, attempt=1, now=NOW, expires_at=LATER, retry_after_s=1e9)
    assert greedy.due_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("doubts", "hold", "due"), [(1, False, True), (2, False, True), (3, False, False), (1, True, False)]
)
def test_a_message_in_doubt_is_repeated_with_bounds_or_held(doubts: int, hold: bool, due: bool) -> None:
    decision = decide(ErrorClass.IN_DOUBT, attempt=1, now=NOW, expires_at=LATER, doubts=doubts, hold_doubtful=hold)
    assert decision.state == "in_doubt"
    assert (decision.due_at is not None) == due
