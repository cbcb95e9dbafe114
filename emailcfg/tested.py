"""What tests proved of exact content: the "tested" badge belongs to a content hash, and goes with any change."""

from dataclasses import dataclass
from datetime import datetime

from emailcfg.models import TestSend

_VERDICTS = {
    TestSend.State.RECEIVED: ("tone-ok", "circle-check", "received"),
    TestSend.State.ACCEPTED: ("tone-ok", "circle-check", "test accepted"),
    TestSend.State.PASSED: ("tone-ok", "circle-check", "dry run passed"),
    TestSend.State.FAILED: ("tone-bad", "circle-x", "test failed"),
}


@dataclass(frozen=True, slots=True)
class Tested:
    """The newest finished test of a content. `tone` and `icon` are the page's, `words` are for people."""

    test: TestSend
    tone: str
    icon: str
    words: str
    at: datetime

    @property
    def ok(self) -> bool:
        return self.test.state != TestSend.State.FAILED


def latest(content_hash: str) -> Tested | None:
    """The newest test of this content that ended, or None. A health check is no test: it proves the login alone."""
    ended = TestSend.objects.filter(content_hash=content_hash, state__in=list(_VERDICTS)).exclude(finished_at=None)
    test = ended.exclude(source=TestSend.Source.HEALTH).first()
    if test is None or test.finished_at is None:
        return None
    tone, icon, words = _VERDICTS[TestSend.State(test.state)]
    return Tested(test, tone, icon, words, test.received_at or test.finished_at)
