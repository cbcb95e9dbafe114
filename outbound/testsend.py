"""Preparing test sends: the composer and the session of real mail, recorded from the first moment.

A test is a row before it runs. The steps are written to it as they happen (`outbound.testrun`), so that every
process can show them; a test whose runner died is recognised by its silence and told to be interrupted.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from emailcfg import activation, audit, pins, revisions, secrets
from emailcfg.actor import Actor
from emailcfg.destinations import SecretUnavailable
from emailcfg.diagnosis.ladder import Mode, climb
from emailcfg.models import ConfigRevision, TestSend
from emailcfg.pins import PinRefused
from emailcfg.providers.base import Session
from emailcfg.schema import EmailConfig
from outbound import receipts
from outbound.compose import Composed, UnusableSender, compose, sample_request
from outbound.requests import BadRequest, Recipient, Request
from outbound.silent_tests import DEADLINE_S
from outbound.transport import opened, session_of

PER_MINUTE = 5
_TWICE_S = 10.0  # the same test started again this soon is the same click


class TestRefused(Exception):
    """A test was not started. The message is a sentence; `code` is stable."""

    __test__ = False
    code = "test_refused"


class TooManyTests(TestRefused):
    """The limit of tests a minute is used up."""

    code = "too_many_tests"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be tested, and how."""

    config: EmailConfig  # secrets typed (SecretStr) or stored
    source: TestSend.Source
    revision: ConfigRevision | None
    to: str
    kind: str = "test"
    dry_run: bool = False  # as far as the recipient
    login_only: bool = False  # as far as the login, or the check of the key

    @property
    def running(self) -> EmailConfig:
        """The configuration as it would run here, with what the operator pinned. Raises pins.PinRefused."""
        return pins.applied(self.config)

    @property
    def mode(self) -> Mode:
        return "sendgrid" if self.running.provider == "sendgrid" else self.running.smtp.security

    @property
    def server(self) -> str:
        running = self.running
        if running.provider == "sendgrid":
            return "SendGrid (EU)" if running.sendgrid.region == "eu" else "SendGrid"
        return f"{running.smtp.host}:{running.smtp.port}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recorded test that is ready to run."""

    test: TestSend
    plan: Plan
    composed: Composed
    session: Session


def of_revision(number: int | None, to: str, kind: str = "test", dry_run: bool = False) -> Plan:
    """The plan to test a saved revision, by default the active one.

    Raises TestRefused, RevisionGone, RevisionUnreadable, NewerSchema."""
    active = activation.current().revision_id
    wanted = active if number is None else number
    if wanted is None:
        raise TestRefused("No revision is active. Name the one to test.")
    loaded = revisions.read(revisions.get(wanted))
    source = TestSend.Source.ACTIVE if wanted == active else TestSend.Source.REVISION
    return Plan(loaded.config, source, loaded.revision, to, kind, dry_run)


def prepare(plan: Plan, actor: Actor) -> Prepared:
    """Checks and records a test, which then has to be run with `testrun.run` or `testrun.start`.

    Raises TestRefused: no service is on, the address is none, a secret does not open, or the limit is reached; and
    SecretUnavailable: there is no key ring by which to tell what is tested."""
    with transaction.atomic():
        _lock(actor)
        _within_limit(actor)
        return _recorded(plan, actor)


def prepare_once(plan: Plan, actor: Actor) -> Prepared | TestSend:
    """Like `prepare`; a second click, while the same test of the same person still runs, gives that running test."""
    with transaction.atomic():
        _lock(actor)
        running = _same_running(plan, actor)
        return running if running is not None else prepare(plan, actor)


def _lock(actor: Actor) -> None:
    """Lets one request of a person count and start at a time, until the transaction ends."""
    if actor.user is not None:
        get_user_model().objects.select_for_update().filter(pk=actor.user.pk).first()


def _same_running(plan: Plan, actor: Actor) -> TestSend | None:
    return TestSend.objects.filter(
        actor_name=actor.name,
        state=TestSend.State.RUNNING,
        started_at__gt=timezone.now() - timedelta(seconds=_TWICE_S),
        content_hash=secrets.hash_of(plan.config, secrets.key_ring()),
        recipient=plan.to,
        mail_kind=plan.kind,
        dry_run=plan.dry_run,
    ).first()


def _recorded(plan: Plan, actor: Actor) -> Prepared:
    try:
        running = plan.running
    except PinRefused as error:
        raise TestRefused(str(error)) from error
    if running.provider is None:
        raise TestRefused("No delivery service is on, so there is nothing to test. Switch one on first.")
    test = TestSend(
        content_hash=secrets.hash_of(plan.config, secrets.key_ring()),
        pins=pins.digest(),
        source=plan.source,
        revision=plan.revision,
        provider=running.provider,
        server=plan.server[:300],
        recipient="" if plan.login_only else plan.to,
        mail_kind=plan.kind,
        dry_run=plan.dry_run or plan.login_only,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
    )
    code, token = receipts.new_code(), receipts.new_token()
    test.receipt_code_hash, test.receipt_token_hash = receipts.code_hash(code), receipts.token_hash(token)
    try:
        composed = compose(_request(plan, actor, code, token), running.general)
        session = session_of(opened(running), deadline_s=min(DEADLINE_S, settings.ATTEMPT_DEADLINE_S))
    except BadRequest as error:
        raise TestRefused(" ".join(error.fields.values())) from error
    except (UnusableSender, SecretUnavailable) as error:
        raise TestRefused(str(error)) from error
    test.message_id = composed.message_id
    ladder = climb((), mode=plan.mode, finished=False, dry_run=plan.dry_run, login_only=plan.login_only)
    test.steps = ladder.as_json()
    test.save()
    audit.record(
        "test.started", actor=actor, subject=f"test {test.pk}", source=plan.source, server=plan.server, to=plan.to
    )
    return Prepared(test, plan, composed, session)


def _within_limit(actor: Actor) -> None:
    since = timezone.now() - timedelta(minutes=1)
    if TestSend.objects.filter(actor_name=actor.name, started_at__gt=since).count() >= PER_MINUTE:
        raise TooManyTests(
            f"{PER_MINUTE} tests were started within a minute. Wait a minute: servers lock accounts that log in "
            "too often."
        )


def _request(plan: Plan, actor: Actor, code: str, token: str) -> Request:
    to = Recipient(plan.to)
    if plan.kind != "test":
        return sample_request(plan.kind, to)
    revision = f"r{plan.revision.number}" if plan.revision is not None else "unsaved form"
    if plan.source == TestSend.Source.ACTIVE:
        revision += " (active)"
    context = {
        "installation": settings.PUBLIC_BASE_URL.split("://", 1)[-1],
        "revision": revision,
        "server": plan.server,
        "sent_at": f"{timezone.now():%-d %B %Y, %H:%M} UTC",
        "asked_by": actor.name,
        "receipt_code": code,
        "receipt_url": settings.PUBLIC_BASE_URL.rstrip("/") + reverse("receipt", args=[token]),
    }
    return Request(kind="test", to=(to,), context=context)
