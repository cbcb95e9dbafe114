"""What tests proved of exact content: the "tested" badge belongs to a content hash, and goes with any change, of what
the environment pins too.

Only a real test counts, one that handed a mail over. A dry run and a health check prove less (a login, an address),
so they neither give the badge nor take it; they stand in the list of tests. An interrupted test proved nothing.
The pane, History, the check before an activation and Status all ask here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q

from emailcfg import pins
from emailcfg.models import TestSend

PROVEN = (TestSend.State.ACCEPTED, TestSend.State.RECEIVED)
REAL = Q(dry_run=False, state__in=(*PROVEN, TestSend.State.FAILED), finished_at__isnull=False)


@dataclass(frozen=True, slots=True)
class Tested:
    """The newest real test of a content that ended."""

    test: TestSend
    at: datetime

    @property
    def ok(self) -> bool:
        return self.test.state in PROVEN

    @property
    def tone(self) -> str:
        return "tone-ok" if self.ok else "tone-bad"

    @property
    def icon(self) -> str:
        return "circle-check" if self.ok else "circle-x"

    @property
    def words(self) -> str:
        return f"test {self.test.get_state_display()}"


def latest(hashes: Iterable[str]) -> dict[str, Tested]:
    """The newest real test of each content that has one, by hash: one query for all of them."""
    newest = TestSend.objects.filter(REAL, content_hash__in=set(hashes), pins=pins.digest()).order_by()
    last = newest.values("content_hash").annotate(last=Max("pk")).values("last")
    tests = TestSend.objects.filter(pk__in=last).defer("steps", "explanation")
    return {test.content_hash: Tested(test, test.received_at or test.finished_at or test.started_at) for test in tests}


def of(content_hash: str) -> Tested | None:
    """The newest real test of this content, or None."""
    return latest([content_hash]).get(content_hash)
