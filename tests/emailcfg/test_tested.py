"""The "tested" badge: of exact content, by real tests alone."""

import pytest

from emailcfg import tested
from tests.emailcfg.making import a_config, a_revision, a_test_of

pytestmark = pytest.mark.django_db


def test_the_last_finished_real_test_counts() -> None:
    revision = a_revision()
    a_test_of(revision, "accepted")
    failed = a_test_of(revision, "failed")
    a_test_of(revision, "passed", dry_run=True)
    a_test_of(revision, "failed", dry_run=True, source="health")
    a_test_of(revision, "running", finished_at=None)
    a_test_of(revision, "interrupted")
    found = tested.of(revision.content_hash)
    assert found is not None
    assert found.test == failed
    assert (found.ok, found.words) == (False, "test failed")


@pytest.mark.parametrize(
    "change",
    [
        {"smtp__password": "another secret"},
        {"smtp__timeout_s": 10},
        {"smtp__ip_version": "4"},
        {"smtp__auth_mechanism": "login"},
        {"general__sender_name": "Acme Ltd"},
        {"sendgrid__region": "eu"},
    ],
)
def test_any_change_takes_the_badge_and_the_change_back_gives_it_again(change: dict[str, object]) -> None:
    first = a_revision()
    a_test_of(first, "received")
    changed = a_revision(a_config(**change))
    again = a_revision(base=changed)
    assert tested.of(first.content_hash) is not None
    assert tested.of(changed.content_hash) is None
    assert again.content_hash == first.content_hash


def test_many_are_read_in_one_query(django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    revisions = [a_revision(smtp__timeout_s=seconds) for seconds in range(10, 15)]
    for revision in revisions:
        a_test_of(revision, "accepted")
    with django_assert_num_queries(1):
        assert len(tested.latest(revision.content_hash for revision in revisions)) == 5
