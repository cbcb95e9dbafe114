"""From a provider's result to the states of a message and its recipients: pure. The table is in docs/outbound.md."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from emailcfg.providers.base import ErrorClass, Failure, RecipientResult, Result
from outbound.engine.work import QUEUE_WIDE, Outcome, RecipientOutcome, Stamp, Work
from outbound.retry import HARD, Decision, decide

_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Policy:
    """`first_s` scales the retry schedule; `hold_doubtful` leaves messages in doubt to an operator."""

    first_s: float = 60.0
    hold_doubtful: bool = False


def settle(work: Work, result: Result, stamp: Stamp, policy: Policy) -> Outcome:
    """The outcome of a delivery. Failures that concern the whole queue leave the message waiting, uncounted."""
    failure = result.failure
    if failure is None and result.reply is not None and not _any_failed(result.recipients):
        reply = result.reply
        state = _derived([*work.closed, "sent"]) if work.closed else "sent"
        answer = (reply.code, reply.enhanced, reply.text, result.provider_id[:200])
        return Outcome(work.id, state, time.time(), stamp, work.doubts, *answer, _note(work), result.ms)
    return _mixed(work, result, stamp, policy)


def kept(work: Work, state: str, cause: str, stamp: Stamp, note: str = "") -> Outcome:
    """The outcome of a message that is given to no session at all."""
    return Outcome(work.id, state, time.time(), stamp, cause=cause, doubts=work.doubts, reason=cause, note=note)


def _any_failed(entries: tuple[RecipientResult, ...]) -> bool:
    for entry in entries:  # noqa: SIM110 - a generator costs a microsecond, and every mail comes through here
        if entry.failure is not None:
            return True
    return False


def _mixed(work: Work, result: Result, stamp: Stamp, policy: Policy) -> Outcome:
    now = datetime.now(UTC)
    failures = _failures(work, result)
    wide = next((found for found in failures if found is not None and found.error_class in QUEUE_WIDE), None)
    if wide is not None and all(found is not None and found.error_class in QUEUE_WIDE for found in failures):
        return failed_attempt(work, wide, stamp, policy, counted=False)
    doubted = any(found is not None and found.error_class is ErrorClass.IN_DOUBT for found in failures)
    doubts = work.doubts + doubted
    outcomes, decisions = [], []
    for (position, _), found, entry in zip(work.open, failures, _entries(work, result), strict=True):
        decision = Decision("sent", None) if found is None else _decision(work, found, now, doubts, policy)
        decisions.append(decision)
        reply = (found.reply if found is not None else None) or entry.reply or result.reply
        text = found.words if found is not None else ""
        outcomes.append(RecipientOutcome(position, decision.state, reply.code if reply else 0, text[:_MAX_TEXT]))
    state = _derived([*work.closed, *(decision.state for decision in decisions)])
    worst = _worst(failures, decisions)
    shown = (worst.reply if worst is not None else None) or result.reply
    return Outcome(
        id=work.id,
        state=state,
        at=now.timestamp(),
        stamp=stamp,
        cause=_cause(worst, state, decisions),
        due_at=_due(state, decisions),
        doubts=doubts,
        recipients=tuple(outcomes),
        code=shown.code if shown is not None else 0,
        enhanced=shown.enhanced[:12] if shown is not None else "",
        reply=(worst.words if worst is not None else shown.text if shown is not None else "")[:_MAX_TEXT],
        provider_id=result.provider_id[:200],
        stage=worst.stage if worst is not None else "",
        error_class=worst.error_class if worst is not None else "",
        reason=worst.reason[:48] if worst is not None else "",
        note=_note(work),
        ms=result.ms,
    )


def failed_attempt(work: Work, failure: Failure, stamp: Stamp, policy: Policy, *, counted: bool = True) -> Outcome:
    """The outcome when a failure met the message as a whole, before anything was answered for a recipient."""
    now = datetime.now(UTC)
    if counted:
        return _mixed(work, Result(work.mail(), _same(work, None), failure=failure), stamp, policy)
    return Outcome(
        id=work.id,
        state=work.was,
        at=now.timestamp(),
        stamp=stamp,
        cause=failure.reason[:48],
        due_at=now,
        doubts=work.doubts,
        counted=False,
        code=failure.reply.code if failure.reply is not None else 0,
        enhanced=failure.reply.enhanced[:12] if failure.reply is not None else "",
        reply=failure.words[:_MAX_TEXT],
        stage=failure.stage,
        error_class=failure.error_class,
        reason=failure.reason[:48],
        note=_note(work),
    )


def _same(work: Work, failure: Failure | None) -> tuple[RecipientResult, ...]:
    return tuple([RecipientResult(address, None, failure) for _, address in work.open])


def _entries(work: Work, result: Result) -> tuple[RecipientResult, ...]:
    """The results by recipient of the message; a diverted mail has one, which stands for all."""
    entries = result.recipients
    return entries * len(work.open) if len(entries) == 1 else entries


def _failures(work: Work, result: Result) -> list[Failure | None]:
    """For each open recipient its own failure, else that of the message."""
    return [entry.failure if entry.failure is not None else result.failure for entry in _entries(work, result)]


def _decision(work: Work, failure: Failure, now: datetime, doubts: int, policy: Policy) -> Decision:
    """A failure of the queue that met only some recipients is soft for them: the others were answered."""
    error_class = ErrorClass.MESSAGE_SOFT if failure.error_class in QUEUE_WIDE else failure.error_class
    return decide(
        error_class,
        attempt=work.attempts,
        now=now,
        expires_at=work.expires_at,
        retry_after_s=failure.retry_after_s,
        doubts=doubts,
        hold_doubtful=policy.hold_doubtful,
        first_s=policy.first_s,
    )


def _derived(states: list[str]) -> str:
    """The state of a message by its recipients'."""
    found = set(states)
    for waiting in ("in_doubt", "deferred", "queued"):
        if waiting in found:
            return "deferred" if waiting == "queued" else waiting
    if len(found) == 1:
        return states[0]
    return "partial" if "sent" in found else "failed"


def _due(state: str, decisions: list[Decision]) -> datetime | None:
    """When the message is next tried: with its first recipient who is due. A doubt that is held holds all."""
    if state not in ("in_doubt", "deferred"):
        return None
    if any(decision.state == "in_doubt" and decision.due_at is None for decision in decisions):
        return None
    return min((decision.due_at for decision in decisions if decision.due_at is not None), default=None)


def _worst(failures: list[Failure | None], decisions: list[Decision]) -> Failure | None:
    order = {"in_doubt": 0, "failed": 1, "deferred": 2, "queued": 3, "sent": 4}
    pairs = [(order.get(decision.state, 5), n) for n, decision in enumerate(decisions) if failures[n] is not None]
    return failures[min(pairs)[1]] if pairs else None


def _cause(worst: Failure | None, state: str, decisions: list[Decision]) -> str:
    if worst is None or state == "sent":
        return ""
    if state in ("failed", "partial") and worst.error_class not in HARD:
        return "expired"
    return worst.reason[:48]


def _note(work: Work) -> str:
    return f"Diverted to {work.diverted_to}." if work.diverted_to else ""
