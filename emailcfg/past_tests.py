"""The tests of one content, newest first: when, who, to whom, through what, and what came of it.

Daily health checks are many and alike, so they are listed only when asked for; how the last one went is always told.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone

from emailcfg import pins
from emailcfg.models import TestSend

SIZE = 10
_TONES = {
    TestSend.State.ACCEPTED: "ok",
    TestSend.State.RECEIVED: "ok",
    TestSend.State.PASSED: "ok",
    TestSend.State.FAILED: "bad",
}


# So long a test belongs to what its administrator is doing, and stands in the page again when that is loaded anew.
AT_HAND = timedelta(minutes=15)


def at_hand(content_hash: str, user: AbstractBaseUser) -> TestSend | None:
    """The test of this content that the administrator started last, running or ended, unless it is a while ago."""
    own = TestSend.objects.filter(content_hash=content_hash, actor=user.pk, pins=pins.digest())
    recent = own.filter(started_at__gte=timezone.now() - AT_HAND).exclude(source=TestSend.Source.HEALTH)
    return recent.first() if content_hash else None


@dataclass(frozen=True, slots=True)
class Row:
    """One test as the list shows it. `elsewhere` says that the environment fixed other fields then than now."""

    test: TestSend
    elsewhere: bool

    @property
    def kind(self) -> str:
        if self.test.source == TestSend.Source.HEALTH:
            return "Health check"
        return "Dry run" if self.test.dry_run else "Test"

    @property
    def tone(self) -> str:
        return _TONES.get(TestSend.State(self.test.state), "")

    @property
    def why(self) -> str:
        """One line about the outcome: why it failed, or how long the mail took; "" where the state says it all."""
        if self.test.state == TestSend.State.FAILED:
            return str((self.test.explanation or {}).get("title") or self.test.summary)
        return f"after {self.test.took}" if self.test.took else ""


@dataclass(frozen=True, slots=True)
class Page:
    """`older` is the key with which the next page begins, None at the end; `checks` how many health checks there are
    beside those listed."""

    rows: tuple[Row, ...]
    older: int | None
    checks: int
    last_check: TestSend | None


def page(content_hash: str, *, before: int | None = None, with_checks: bool = False) -> Page:
    """The tests with keys below `before`, whichever revision or form they were started from."""
    every = TestSend.objects.filter(content_hash=content_hash)
    checks = every.filter(source=TestSend.Source.HEALTH)
    found = every if with_checks else every.exclude(source=TestSend.Source.HEALTH)
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: SIZE + 1])
    here = pins.digest()
    shown = tuple(Row(test, test.pins != here) for test in rows[:SIZE])
    return Page(shown, shown[-1].test.pk if len(rows) > SIZE else None, checks.count(), checks.first())
