"""Running a prepared test: each step is written to its row as it ends, then comes why it failed and what would help."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from emailcfg import activation
from emailcfg.actor import Actor
from emailcfg.diagnosis.explain import Context, Explanation, explain
from emailcfg.diagnosis.facts import context_of, learnt_from
from emailcfg.diagnosis.ladder import Ladder, climb
from emailcfg.models import TestSend
from emailcfg.providers.base import Failure, Mail, Result, SessionError, Step
from outbound import caveats, queue, remedies
from outbound.remedies import Remedy
from outbound.testsend import Prepared
from outbound.transport import opened, own_name

logger = logging.getLogger(__name__)

PROBING = "Trying what else the same server offers: ports, encryption, IP version, login method…"
PROBING_REGION = "Asking SendGrid's other region about the key…"

_runners = ThreadPoolExecutor(max_workers=4, thread_name_prefix="testsend")


def start(prepared: Prepared, *, then: Callable[[TestSend], None] = lambda test: None) -> None:
    """Runs the test in the background, and then `then` with the finished row."""
    _runners.submit(_run_and_release, prepared, then).add_done_callback(_report)


def _run_and_release(prepared: Prepared, then: Callable[[TestSend], None]) -> None:
    try:
        then(run(prepared))
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
            elif not self.plan.login_only:
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
        self._record(self._ladder(finished=False))

    def _ladder(self, *, finished: bool, explanation: Explanation | None = None) -> Ladder:
        return climb(
            self.steps,
            mode=self.plan.mode,
            finished=finished,
            explanation=explanation,
            dry_run=self.plan.dry_run,
            login_only=self.plan.login_only,
        )

    def _record(self, ladder: Ladder, **more: Any) -> None:
        self.test.steps = {**ladder.as_json(), **more}
        self.test.save()
        self.observer(ladder)

    def _finish(self, failure: Failure | None) -> TestSend:
        explanation, found = None, []
        if failure is not None:
            explanation = self._explain(failure, {})
            if not self.plan.login_only:
                found = self._remedies(failure, explanation)
        for remedy in found:
            if "sendgrid.region" in remedy.alternative.changes and failure is not None:
                learnt = {"other_region_accepts": remedy.alternative.changes["sendgrid.region"]}
                explanation = self._explain(failure, learnt)
        ladder = self._ladder(finished=True, explanation=explanation)
        self.test.explanation = explanation.as_json() if explanation is not None else None
        self.test.alternatives = [remedy.as_json() for remedy in found]
        self.test.finished_at = timezone.now()
        unsent = self.plan.dry_run or self.plan.login_only
        passed = TestSend.State.PASSED if unsent else TestSend.State.ACCEPTED
        self.test.state = passed if ladder.ok and failure is None else TestSend.State.FAILED
        self._record(ladder, **self._told_beside(failure))
        return self.test

    def _told_beside(self, failure: Failure | None) -> dict[str, Any]:
        """What is true of other mail, as this test ends. A mail that was taken ends what holds the queue, too."""
        told: dict[str, Any] = {"caveats": caveats.found(self.test, self.plan, failure)}
        if self.test.state == TestSend.State.ACCEPTED:
            told["note"] = caveats.note(self.test)
            active = activation.current()
            if active.revision is not None and active.revision.content_hash == self.test.content_hash:
                queue.try_after_a_proof(active.generation, actor=Actor(name=self.test.actor_name))
        return told

    def _explain(self, failure: Failure, learnt: dict[str, object]) -> Explanation:
        return explain(failure, context=self._context(learnt))

    def _remedies(self, failure: Failure, explanation: Explanation) -> list[Remedy]:
        """Looks for what would work, while the page already shows the failure and that the search goes on."""
        sentence = PROBING_REGION if self.test.provider == "sendgrid" else PROBING
        self._record(self._ladder(finished=True, explanation=explanation), probing=sentence)
        return remedies.find(
            opened(self.plan.running), failure, explained=explanation.code, learnt=learnt_from(self.steps)
        )

    def _context(self, learnt: dict[str, object]) -> Context:
        api_host = urlsplit(settings.SENDGRID_API_URL or "").hostname or ""
        context = context_of(
            opened(self.plan.running),
            recipient=self.plan.to,
            steps=self.steps,
            api_host=api_host,
            ehlo_name=own_name(),
        )
        return replace(context, learnt={**context.learnt, **learnt})
