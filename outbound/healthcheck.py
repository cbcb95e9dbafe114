"""The health check of the active configuration: once a day and on demand, the session is opened as far as the login.

No mail is sent. Whoever has to know is told only when it changes: works to fails, or fails to works.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from emailcfg import activation, audit, pins, revisions
from emailcfg.actor import SYSTEM, Actor
from emailcfg.destinations import SecretUnavailable
from emailcfg.models import ActiveConfig, TestSend
from emailcfg.revisions import RevisionUnreadable
from emailcfg.schema_migrations import NewerSchema
from outbound import daily_check, testrun, testsend
from outbound.testsend import Plan, Prepared, TestRefused, TooManyTests

_ENDED = (TestSend.State.PASSED, TestSend.State.FAILED)


class NothingToCheck(Exception):
    """No configuration is active, or the active one lets no mail leave. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last health check of the active configuration said, and since when it says so."""

    test: TestSend
    since: datetime

    @property
    def ok(self) -> bool:
        return self.test.state == TestSend.State.PASSED

    @property
    def sentence(self) -> str:
        if self.ok:
            return "The mail service is reached and takes the login."
        found = self.test.explanation or {}
        return f"The health check failed: {found.get('title') or 'the reason stands in its steps.'}"


def standing() -> Standing | None:
    """For the Status page: the newest finished check of what is active now; None when there is none."""
    active = activation.current()
    if active.revision is None:
        return None
    checks = _checks().filter(content_hash=active.revision.content_hash, pins=pins.digest())
    last = checks.first()
    if last is None:
        return None
    before = checks.exclude(state=last.state).first()
    same = checks.filter(state=last.state, pk__gt=before.pk if before is not None else 0).last()
    return Standing(last, (same or last).started_at)


def start(actor: Actor) -> TestSend:
    """Starts a check in the background and returns its row. Raises NothingToCheck, TooManyTests."""
    prepared = _prepared(actor)
    if isinstance(prepared, TestSend):
        return prepared
    testrun.start(prepared, then=_tell)
    return prepared.test


def run(actor: Actor) -> TestSend:
    """Runs a check to its end. Raises NothingToCheck, TooManyTests."""
    prepared = _prepared(actor)
    if isinstance(prepared, TestSend):
        return prepared
    test = testrun.run(prepared)
    _tell(test)
    return test


def daily(now: datetime) -> bool:
    """Starts a check if it is still due. Returns whether it did."""
    with transaction.atomic():
        if not daily_check.due(ActiveConfig.objects.locked(), now):  # another process was first
            return False
        try:
            prepared = _prepared(SYSTEM)
        except (NothingToCheck, TooManyTests):
            return False
    if isinstance(prepared, Prepared):
        testrun.start(prepared, then=_tell)
    return True


def _prepared(actor: Actor) -> Prepared | TestSend:
    """A check that is ready to run; or the row of one that failed before it could."""
    revision = activation.current().revision
    if revision is None:
        raise NothingToCheck("No configuration is active, so there is nothing to check.")
    try:
        config = revisions.read(revision).config
        if config.provider is None:
            raise NothingToCheck("The active configuration lets no mail leave, so there is nothing to check.")
        plan = Plan(config, TestSend.Source.HEALTH, revision, config.general.sender_email, login_only=True)
        return testsend.prepare(plan, actor)
    except TooManyTests:
        raise
    except (TestRefused, SecretUnavailable, RevisionUnreadable, NewerSchema) as error:
        test = TestSend.objects.create(
            content_hash=revision.content_hash,
            pins=pins.digest(),
            source=TestSend.Source.HEALTH,
            revision=revision,
            dry_run=True,
            actor_name=actor.name,
            state=TestSend.State.FAILED,
            steps={"ok": False, "ms": 0, "summary": str(error), "steps": []},
            explanation={"code": "configuration-unusable", "title": str(error), "cause": "", "next_step": ""},
            finished_at=timezone.now(),
        )
        _tell(test)
        return test


def _tell(test: TestSend) -> None:
    """Records a change of the outcome for the audit log; the same outcome again is no news."""
    before = _checks().filter(pk__lt=test.pk).first()
    failed_before = before is not None and before.state == TestSend.State.FAILED
    failed = test.state == TestSend.State.FAILED
    if failed == failed_before:
        return
    action = "health.failed" if failed else "health.recovered"
    title = (test.explanation or {}).get("title", "")
    audit.record(action, actor=SYSTEM, subject=f"test {test.pk}", server=test.server, reason=title)


def _checks() -> QuerySet[TestSend]:
    return TestSend.objects.filter(source=TestSend.Source.HEALTH, state__in=_ENDED)
