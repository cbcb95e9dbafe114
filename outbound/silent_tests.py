"""Tests whose process died: how long one may be silent, and what is told of it after that."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from emailcfg.models import TestSend

DEADLINE_S = 60.0  # of opening, and of the mail: a person waits; real mail may take ATTEMPT_DEADLINE_S
_SEARCH_S = 45.0  # beyond both: the search for what would help


def settle(test: TestSend) -> TestSend:
    """Marks a test whose runner fell silent as interrupted; returns it as it now is."""
    if test.state == TestSend.State.RUNNING and settle_all(TestSend.objects.filter(pk=test.pk)):
        test.refresh_from_db()
    return test


def settle_all(tests: QuerySet[TestSend] | None = None) -> int:
    """The same for all tests, so that lists tell it too; returns how many there were."""
    now = timezone.now()
    silent = (TestSend.objects.all() if tests is None else tests).filter(
        state=TestSend.State.RUNNING, beat_at__lt=now - timedelta(seconds=2 * DEADLINE_S + _SEARCH_S)
    )
    return silent.update(state=TestSend.State.INTERRUPTED, finished_at=now)
