"""What was saved, what ran when and what was proven, also of long histories."""

from datetime import UTC, datetime, timedelta

import pytest

from emailcfg import activation, confirmation, history
from emailcfg.models import Activation, ConfigRevision
from tests.emailcfg.making import ANA, a_config, a_revision, a_test_of, activated, tamper

pytestmark = pytest.mark.django_db


def many(count: int) -> None:
    ConfigRevision.objects.bulk_create(
        ConfigRevision(
            schema_version=1,
            payload={},
            content_hash=f"{number:064}",
            description=f"Change {number}",
            author_name="ana",
        )
        for number in range(count)
    )


def test_states_are_active_was_active_and_draft() -> None:
    first, second, third = a_revision(), a_revision(smtp__timeout_s=10), a_revision(smtp__timeout_s=11)
    activated(first)
    activated(second)
    shown = {listed.revision.number: listed.state for listed in history.page(activation.current()).revisions}
    assert shown == {first.number: "was_active", second.number: "active", third.number: "draft"}


def test_tested_belongs_to_exact_content() -> None:
    first = a_revision()
    a_test_of(first, "accepted")
    second = a_revision(a_config(smtp__timeout_s=10))
    listed = {one.revision.number: one for one in history.page(activation.current()).revisions}
    first_tested = listed[first.number].tested
    assert first_tested is not None
    assert first_tested.ok
    assert listed[second.number].tested is None


def test_pages_hold_every_revision_once_and_in_order() -> None:
    many(25)
    seen: list[int] = []
    before = None
    while True:
        page = history.page(activation.current(), before=before, size=10)
        seen += [listed.revision.number for listed in page.revisions]
        before = page.older
        if before is None:
            break
    assert seen == list(ConfigRevision.objects.values_list("number", flat=True))
    assert len(seen) == 25


def test_a_last_page_that_is_full_names_no_next() -> None:
    many(10)
    assert history.page(activation.current(), size=10).older is None


def test_a_page_costs_three_queries_however_long_the_history(django_assert_num_queries: object) -> None:
    many(10_000)
    active = activation.current()
    with django_assert_num_queries(3):  # type: ignore[operator]
        page = history.page(active, before=5_000)
    assert len(page.revisions) == 50


def at(hour: int) -> datetime:
    return datetime(2026, 11, 17, hour, tzinfo=UTC)


def activations_at(*hours: int) -> list[ConfigRevision]:
    """One revision activated at each hour."""
    made = []
    for hour in hours:
        revision = a_revision(smtp__timeout_s=hour + 1)
        activated(revision)
        tamper(Activation.objects.get(revision=revision), at=at(hour))
        made.append(revision)
    return made


def test_the_timeline_says_what_ran_from_when_to_when() -> None:
    one, two, three = activations_at(1, 5, 6)
    shown = [(period.activation.revision, period.since, period.until) for period in history.timeline().periods]
    assert shown == [(three, at(6), None), (two, at(5), at(6)), (one, at(1), at(5))]


def test_a_confirmation_is_no_period_of_its_own() -> None:
    activations_at(1)
    activated(a_revision(smtp__timeout_s=200), confirm_within_s=600)
    confirmation.confirm(actor=ANA, expected_generation=2)
    assert len(history.timeline().periods) == 2


def test_the_timeline_continues_without_a_gap() -> None:
    activations_at(1, 2, 3, 4, 5, 6, 7)
    whole = history.timeline(size=20)
    assert whole.older is None
    parts: list[history.Period] = []
    before = None
    while True:
        part = history.timeline(before=before, size=3)
        parts += part.periods
        before = part.older
        if before is None:
            break
    assert parts == list(whole.periods)


def test_what_ran_at_a_moment_is_found() -> None:
    one, two = activations_at(1, 5)
    assert history.live_at(at(0)) is None
    found = [history.live_at(moment) for moment in (at(1), at(4), at(5), at(23))]
    assert [period.activation.revision for period in found if period] == [one, one, two, two]
    assert [period.until for period in found if period] == [at(5), at(5), None, None]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=61), "1 h 1 min"),
        (timedelta(hours=8), "8 h"),
        (timedelta(days=1, minutes=5), "1 day"),
        (timedelta(days=3, hours=4), "3 days 4 h"),
        (timedelta(days=40, hours=4), "40 days"),
    ],
)
def test_durations_are_said_in_two_units(span: timedelta, words: str) -> None:
    assert history.duration(span) == words
