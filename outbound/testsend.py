"""Test sends: the composer and the session of real mail, watched step by step and recorded.

A test is a row from its first moment. The steps are written to it as they happen, so that every process can
show them; a test whose runner died is recognised by its silence and told to be interrupted.
"""

import hashlib
import hmac
import logging
import secrets as random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from pydantic import SecretStr

from emailcfg import audit, secrets
from emailcfg.actor import Actor
from emailcfg.diagnosis.explain import Context, explain
from emailcfg.diagnosis.facts import secret_shape
from emailcfg.diagnosis.ladder import Ladder, Mode, climb
from emailcfg.encryption import SecretUnavailable
from emailcfg.models import ConfigRevision, TestSend
from emailcfg.providers.base import Failure, Mail, Result, Session, SessionError, Step
from emailcfg.schema import EmailConfig
from outbound.compose import Composed, UnusableSender, compose, sample_request
from outbound.requests import BadRequest, Recipient, Request
from outbound.transport import own_name, session_of

logger = logging.getLogger(__name__)

PER_MINUTE = 5
DEADLINE_S = 60.0  # a person waits; real mail may take ATTEMPT_DEADLINE_S
_CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without what is misread: I L O 0 1
_SILENT_S = 30.0  # beyond the two deadlines of a test: opening, and the mail

_runners = ThreadPoolExecutor(max_workers=4, thread_name_prefix="testsend")


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
    dry_run: bool = False

    @property
    def mode(self) -> Mode:
        return "sendgrid" if self.config.provider == "sendgrid" else self.config.smtp.security

    @property
    def server(self) -> str:
        if self.config.provider == "sendgrid":
            return "SendGrid (EU)" if self.config.sendgrid.region == "eu" else "SendGrid"
        return f"{self.config.smtp.host}:{self.config.smtp.port}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recorded test that is ready to run."""

    test: TestSend
    plan: Plan
    composed: Composed
    session: Session


def prepare(plan: Plan, actor: Actor) -> Prepared:
    """Checks and records a test, which then has to be run with `run` or `start`.

    Raises TestRefused: no service is on, the address is none, a secret does not open, or the limit is reached."""
    if plan.config.provider is None:
        raise TestRefused("No delivery service is on, so there is nothing to test. Switch one on first.")
    _within_limit(actor)
    test = TestSend(
        content_hash=secrets.hash_of(plan.config, secrets.key_ring()),
        source=plan.source,
        revision=plan.revision,
        provider=plan.config.provider,
        server=plan.server[:300],
        recipient=plan.to,
        mail_kind=plan.kind,
        dry_run=plan.dry_run,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
    )
    code, token = _receipt_code(), random.token_urlsafe(24)
    test.receipt_code_hash, test.receipt_token_hash = code_hash(code), token_hash(token)
    try:
        composed = compose(_request(plan, actor, code, token), plan.config.general)
        session = session_of(plan.config, deadline_s=min(DEADLINE_S, settings.ATTEMPT_DEADLINE_S))
    except BadRequest as error:
        raise TestRefused(" ".join(error.fields.values())) from error
    except (UnusableSender, SecretUnavailable) as error:
        raise TestRefused(str(error)) from error
    test.message_id = composed.message_id
    test.steps = climb((), mode=plan.mode, finished=False, dry_run=plan.dry_run).as_json()
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


def _receipt_code() -> str:
    letters = [random.choice(_CODE_ALPHABET) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def code_hash(code: str) -> str:
    """How a receipt code is stored: by the hash of its letters, however a person spaced them."""
    return token_hash("".join(letter for letter in code.upper() if letter.isalnum()))


def token_hash(token: str) -> str:
    """How the token of a receipt link is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def start(prepared: Prepared) -> None:
    """Runs the test in the background."""
    _runners.submit(_run_and_release, prepared).add_done_callback(_report)


def _run_and_release(prepared: Prepared) -> None:
    try:
        run(prepared)
    finally:
        connection.close()


def _report(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:  # the row stays "running" and is told to be interrupted when it stays silent
        logger.error("A test send ended without an outcome.", exc_info=error)


def run(prepared: Prepared, observer: Callable[[Ladder], None] = lambda ladder: None) -> TestSend:
    """Runs the test to its end and returns its row; `observer` receives the ladder after each step."""
    return _Run(prepared, observer).run()


class _Run:
    """One test while it runs."""

    def __init__(self, prepared: Prepared, observer: Callable[[Ladder], None]) -> None:
        self.test = prepared.test
        self.plan = prepared.plan
        self.composed = prepared.composed
        self.session = prepared.session
        self.observer = observer
        self.steps: list[Step] = []

    def run(self) -> TestSend:
        failure: Failure | None = None
        try:
            self.session.open(self._step)
            if self.plan.dry_run:
                self.session.probe(self._mail(), self._step)
            else:
                failure = self._deliver()
        except SessionError as error:
            failure = error.failure
        finally:
            self.session.close()
        return self._finish(failure)

    def _mail(self) -> Mail:
        return Mail(self.test.pk, self.composed.mail_from, self.composed.recipients, self.composed.content)

    def _deliver(self) -> Failure | None:
        results: list[Result] = []
        self.session.deliver(
            [self._mail()], before_data=lambda mail: None, on_result=results.append, observer=self._step
        )
        refused = [one.failure for result in results for one in result.recipients if one.failure is not None]
        whole = [result.failure for result in results if result.failure is not None]
        return next(iter(whole + refused), None)

    def _step(self, step: Step) -> None:
        self.steps.append(step)
        self._record(climb(self.steps, mode=self.plan.mode, finished=False, dry_run=self.plan.dry_run))

    def _record(self, ladder: Ladder) -> None:
        self.test.steps = ladder.as_json()
        self.test.save()
        self.observer(ladder)

    def _finish(self, failure: Failure | None) -> TestSend:
        explanation = explain(failure, context=self._context()) if failure is not None else None
        self.test.explanation = explanation.as_json() if explanation is not None else None
        self.test.finished_at = timezone.now()
        ladder = climb(
            self.steps, mode=self.plan.mode, finished=True, explanation=explanation, dry_run=self.plan.dry_run
        )
        passed = TestSend.State.PASSED if self.plan.dry_run else TestSend.State.ACCEPTED
        self.test.state = passed if ladder.ok and failure is None else TestSend.State.FAILED
        self._record(ladder)
        return self.test

    def _context(self) -> Context:
        config = self.plan.config
        learnt = {name: value for step in self.steps for name, value in step.facts.items()}
        secret = secrets.get(secrets.open_all(config, secrets.key_ring()), _SECRET_OF[self.test.provider])
        smtp = self.test.provider == "smtp"
        return Context(
            provider=self.test.provider,
            host=config.smtp.host if smtp else "",
            port=config.smtp.port if smtp else None,
            security=config.smtp.security if smtp else "",
            username=config.smtp.username if smtp else "",
            sender=config.general.sender_email,
            recipient=self.plan.to,
            preset=config.smtp.preset if smtp else "",
            ehlo_name=config.smtp.ehlo_hostname or own_name(),
            secret_shape=secret_shape(secret.get_secret_value()) if isinstance(secret, SecretStr) else "",
            learnt=learnt,
        )


_SECRET_OF = {"smtp": "smtp.password", "sendgrid": "sendgrid.api_key"}


def settle_silent(test: TestSend) -> TestSend:
    """Marks a test whose runner fell silent as interrupted; returns it as it now is."""
    limit = timezone.now() - timedelta(seconds=2 * DEADLINE_S + _SILENT_S)
    if test.state == TestSend.State.RUNNING and test.beat_at < limit:
        TestSend.objects.filter(pk=test.pk, state=TestSend.State.RUNNING).update(
            state=TestSend.State.INTERRUPTED, finished_at=timezone.now()
        )
        test.refresh_from_db()
    return test


def code_matches(test: TestSend, code: str) -> bool:
    """Whether this is the code that the test's mail carries."""
    return hmac.compare_digest(code_hash(code), test.receipt_code_hash)


def receive(test: TestSend) -> bool:
    """Turns *accepted* into *received*, once. Returns whether this call did it."""
    return bool(
        TestSend.objects.filter(pk=test.pk, state=TestSend.State.ACCEPTED).update(
            state=TestSend.State.RECEIVED, received_at=timezone.now()
        )
    )
