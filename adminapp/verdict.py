"""Does mail work now? The one answer that the OmniBar, Status and /metrics share, from a few indexed queries."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from adminapp import intake
from adminapp.templatetags.time_shown import words
from emailcfg import confirmation, obstacles, pins, restored, revisions, tested
from emailcfg.models import ActiveConfig, ServiceInstance, TestSend
from emailcfg.revisions import section
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema
from outbound import explained, instances, queries
from outbound.models import Attempt, Breaker, Message, Priority, QueueState

Level = Literal["ok", "warning", "error", "unknown"]

_LOOKED_AT = 100  # the newest attempts, among which the last acceptance is looked for
_COUNTED = 1_000
_TESTS = 20  # the newest, among which the last that worked is looked for
# What the environment pins is read at the start: a mail that was accepted before may have gone another way.
_STARTED_AT = timezone.now()
_SLOW = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Proof:
    """That mail was taken under the active revision: by real mail or by a test of exactly this configuration."""

    at: datetime
    what: str  # "last accepted", "test received"
    server: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verdict and the alerts judge by. `services` are the processes that deliver, the stopped ones
    excepted; `waiting` is None when nothing stands in the way, so that a healthy queue is never counted."""

    active: ActiveConfig
    running: EmailConfig | None  # what the active revision is here, pinned fields included; None when it can't be read
    now: datetime
    problems: tuple[str, ...]
    queue: QueueState
    breakers: tuple[Breaker, ...]
    services: tuple[ServiceInstance, ...]
    proof: Proof | None
    failed_test: TestSend | None
    oldest_due_at: datetime | None
    waiting: queries.Count | None
    restored: restored.Restored | None
    refusal: str  # why no mail is accepted, as a sentence; "" when it is

    @property
    def alive(self) -> list[ServiceInstance]:
        return [one for one in self.services if instances.state_of(one) != instances.LOST]

    @property
    def stand_ins(self) -> str:
        """What mail leaves through in the place of the active revision that can't be run ("r1"); "" for nothing."""
        return instances.stand_ins(self.alive)

    @property
    def selected(self) -> str:
        """The delivery service that the active revision selects, or ""."""
        if self.running is not None:
            return self.running.provider or ""
        payload = self.active.revision.payload if self.active.revision is not None else None
        return str(section(payload, "delivery").get("selected") or "")

    @property
    def suppresses(self) -> bool:
        return self.running is not None and self.running.general.suppress_all

    @property
    def diverts_to(self) -> str:
        return self.running.general.divert_to if self.running is not None else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`short` fits the OmniBar and carries the proof's age; `sentence` answers on Status and is stable while the
    answer is, so that it is announced once; `at` is when it was proven. `ok` only for what was proven."""

    level: Level
    short: str
    sentence: str
    at: datetime | None = None


def gather(active: ActiveConfig) -> Facts:
    """Reads the facts. Nine queries at most, each by index."""
    now = timezone.now()
    problems = tuple(obstacles.problems(active.revision)) if active.revision is not None else ()
    queue = queries.queue_state()
    services = tuple(one for one in instances.recent() if one.role != "web" and one.state != _STOPPED)
    living = [one for one in services if instances.state_of(one) != instances.LOST]
    breakers = tuple(queries.open_breakers(*instances.generations_in_use(active.generation, living)))
    failed_test, proof = _proof(active)
    late = Message.objects.filter(priority__in=Priority.values, due_at__lte=now - _SLOW)
    first_due = late.order_by("priority", "due_at").values_list("due_at", flat=True)[:1]
    facts = Facts(
        active,
        _running(active),
        now,
        problems,
        queue,
        breakers,
        services,
        proof,
        failed_test,
        oldest_due_at=next(iter(first_due), None),
        waiting=None,
        restored=restored.standing(active),
        refusal=intake.refusal(active),
    )
    if _stands_still(facts):
        waiting = Message.objects.filter(due_at__isnull=False).order_by()[: _COUNTED + 1].count()
        count = queries.Count(min(waiting, _COUNTED), waiting > _COUNTED)
        return replace(facts, waiting=count)
    return facts


def _running(active: ActiveConfig) -> EmailConfig | None:
    try:
        return revisions.for_use(active.revision) if active.revision is not None else None
    except (revisions.RevisionUnreadable, NewerSchema, pins.PinRefused):
        return None


_STOPPED = ServiceInstance.State.STOPPED


def _stands_still(facts: Facts) -> bool:
    if facts.queue.paused or facts.breakers or not facts.alive:
        return True
    return not facts.stand_ins and bool(facts.problems or not facts.selected)


def _proof(active: ActiveConfig) -> tuple[TestSend | None, Proof | None]:
    """The last test or health check if it failed after everything that worked, and the last thing that worked."""
    if active.revision is None:
        return None, None
    since = _STARTED_AT if settings.EMAILCFG_PINS else None
    newest = Attempt.objects.order_by("-pk").values_list("error_class", "code", "revision", "at", "server")[:_LOOKED_AT]
    sent = next(
        (
            Proof(at, "last accepted", server)
            for error_class, code, revision, at, server in newest
            if not error_class and 200 <= code < 300 and revision == active.revision_id and (not since or at >= since)
        ),
        None,
    )
    tests = list(
        TestSend.objects.filter(
            content_hash=active.revision.content_hash, pins=pins.digest(), finished_at__isnull=False
        )
        .filter(tested.REAL | Q(source=TestSend.Source.HEALTH))
        .defer("steps")[:_TESTS]
    )
    worked = next((test for test in tests if test.state in tested.PROVEN), None)
    proofs = [sent] if sent is not None else []
    if worked is not None and worked.finished_at is not None:
        at = worked.received_at or worked.finished_at
        proofs.append(Proof(at, f"test {worked.get_state_display()}", worked.server))
    proof = max(proofs, key=lambda one: one.at, default=None)
    last = tests[0] if tests and tests[0].state == TestSend.State.FAILED else None
    stands = last is not None and last.finished_at is not None and (proof is None or proof.at < last.finished_at)
    return (last if stands else None), proof


def verdict(facts: Facts) -> Verdict:
    """The first of the reasons why no mail leaves; else how it was proven that it does."""
    return _nothing_can_leave(facts) or _held(facts) or _nobody_sends(facts) or _refused(facts) or _proven(facts)


def _nothing_can_leave(facts: Facts) -> Verdict | None:
    if facts.active.revision is None:
        return Verdict("unknown", "Not configured", "No mail leaves yet: no configuration is active.")
    if facts.problems and not facts.stand_ins:
        return Verdict(
            "error",
            f"{_waits(facts)}: r{facts.active.revision_id} can't be read",
            f"No mail leaves. {facts.problems[0]}",
        )
    if stopped := confirmation.sending_paused(facts.active):
        return Verdict("error", "No mail leaves: sending is paused", f"No mail leaves. {stopped}")
    if not facts.selected and not facts.suppresses and not facts.stand_ins:
        sentence = "No mail leaves: the active configuration has no delivery service switched on."
        return Verdict("warning", "No delivery service: no mail leaves", sentence)
    return None


def _held(facts: Facts) -> Verdict | None:
    if facts.queue.paused:
        by = f" by {facts.queue.paused_by}" if facts.queue.paused_by else ""
        return Verdict("warning", "Sending is paused", f"No mail leaves: sending was paused{by}.")
    if facts.suppresses and not facts.stand_ins:
        return Verdict("warning", "All mail is suppressed", "No mail leaves: the configuration suppresses all mail.")
    for breaker in facts.breakers:
        told = explained.of_breaker(breaker)
        if not breaker.sender:
            return Verdict("error", f"{_waits(facts)}: {told.title}", f"No mail leaves: {told.title}.")
    return None


def _nobody_sends(facts: Facts) -> Verdict | None:
    if not facts.alive:
        sentence = "No mail leaves: no process is running that delivers it."
        return Verdict("error", f"{_waits(facts)}: no process delivers", sentence)
    return None


def _refused(facts: Facts) -> Verdict | None:
    name, alive = f"r{facts.active.revision_id}", facts.alive
    refused = [one for one in alive if one.state == ServiceInstance.State.REJECTED]
    if len(refused) == len(alive) and facts.stand_ins:
        sentence = f"{name} can't be run: mail still leaves through {facts.stand_ins}."
        return Verdict("error", f"{name} can't be run, {facts.stand_ins} goes on", sentence)
    if len(refused) == len(alive):
        error = next((one.error for one in refused if one.error), "")
        sentence = f"No mail leaves: every process refused {name}. {error}".strip()
        return Verdict("error", f"No process runs {name}", sentence)
    if refused:
        who = f"{len(refused)} of {len(alive)} processes"
        return Verdict("warning", f"{who} refused {name}", f"Mail leaves, but {who} refused {name}.")
    return None


def _proven(facts: Facts) -> Verdict:
    if facts.oldest_due_at is not None:
        age = words((facts.now - facts.oldest_due_at).total_seconds())
        return Verdict("warning", f"Mail is late by {age}", f"Mail leaves late: messages wait for {age} and longer.")
    held = next((breaker for breaker in facts.breakers if breaker.sender), None)
    if held is not None:
        return Verdict("warning", f"Mail from {held.sender} waits", f"Mail leaves, but not from {held.sender}.")
    if facts.failed_test is not None and facts.failed_test.finished_at is not None:
        level: Level = "error" if facts.proof is None else "warning"
        when = _ago(facts, facts.failed_test.finished_at)
        what = "daily check" if facts.failed_test.source == TestSend.Source.HEALTH else "last test"
        return Verdict(
            level,
            f"The {what} failed {when}",
            f"It is not certain that mail works: the {what} of the active configuration failed.",
            facts.failed_test.finished_at,
        )
    if facts.proof is None:
        sentence = f"r{facts.active.revision_id} is active, and nothing has proven yet that mail works."
        return Verdict("unknown", "Active, not proven yet", sentence)
    if facts.diverts_to:
        sentence = f"All mail goes to {facts.diverts_to}: nobody else receives any."
        return Verdict("warning", "All mail is diverted", sentence, facts.proof.at)
    return Verdict(
        "ok", f"Mail works ({facts.proof.what} {_ago(facts, facts.proof.at)})", "Mail works.", facts.proof.at
    )


def _waits(facts: Facts) -> str:
    if facts.waiting is None or not facts.waiting.number:
        return "No mail leaves"
    return f"{facts.waiting} message{' waits' if facts.waiting.number == 1 else 's wait'}"


def _ago(facts: Facts, at: datetime) -> str:
    return f"{words((facts.now - at).total_seconds())} ago"
