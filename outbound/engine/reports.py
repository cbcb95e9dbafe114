"""What the lanes reported, put in order and written into the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from emailcfg import confirmation
from emailcfg.models import ActiveConfig
from emailcfg.providers.base import ErrorClass
from outbound.engine import outcomes, store
from outbound.engine.settle import Policy, failed_attempt
from outbound.engine.work import QUEUE_WIDE, Broken, Event, Outcome, Tripped, Work
from outbound.models import Breaker, GenerationTally, Message

_FAULTS = (ErrorClass.CONFIGURATION, ErrorClass.SENDER)  # of the configuration


@dataclass(frozen=True, slots=True)
class Report:
    """Some events by what is to be done with them: outcomes are recorded, `freed` messages go back into the queue,
    and `tripped` concerns more than one message."""

    outcomes: list[Outcome]
    freed: list[Work]
    tripped: list[Tripped]


def sort(events: Sequence[Event], policy: Policy) -> Report:
    """What to do with these events. The message that met a broken session gets an attempt of its own."""
    report = Report([], [], [])
    for event in events:
        if isinstance(event, Outcome):
            report.outcomes.append(event)
        elif isinstance(event, Tripped):
            report.tripped.append(event)
            report.freed.extend(event.rest)
        else:
            _sort_broken(event, policy, report)
    return report


def _sort_broken(event: Broken, policy: Policy, report: Report) -> None:
    report.freed.extend(event.rest)
    wide = event.failure.error_class in QUEUE_WIDE
    if event.first is not None:
        report.outcomes.append(failed_attempt(event.first, event.failure, event.stamp, policy, counted=not wide))
    if not event.stale and not (event.told and wide):
        sender = event.first.mail_from if event.first is not None else ""
        report.tripped.append(Tripped(event.failure, event.stamp, sender))


def ids(events: Sequence[Event]) -> list[int]:
    """The messages that are out of this process's hands once these events are recorded."""
    found: list[int] = []
    for event in events:
        if isinstance(event, Outcome):
            found.append(event.id)
        else:
            found += [work.id for work in event.rest]
            found += [event.first.id] if isinstance(event, Broken) and event.first is not None else []
    return found


def write(lease: int, report: Report, now: datetime) -> None:
    """Records the outcomes and puts back what was not tried, in the caller's transaction."""
    outcomes.record(lease, report.outcomes, now)
    if report.freed:
        store.release(lease, report.freed, now)


def tell_confirmation(generation: int, report: Report) -> None:
    """An activation that awaits confirmation is judged by its attempts. A refused login is the failure of every
    message that was claimed by then."""
    failed = sum(one.error_class in _FAULTS for one in report.outcomes)
    if any(one.failure.error_class in _FAULTS for one in report.tripped):
        failed += len(report.freed)
    attempts = sum(one.counted for one in report.outcomes) + failed
    if not attempts:
        return
    total, all_failed = store.tally(generation, attempts=attempts, configuration_failures=failed)
    if failed:
        words = next((one.failure.words for one in report.tripped if one.failure.error_class in _FAULTS), "")
        confirmation.report_attempts(generation, attempts=total, configuration_failures=all_failed, words=words)


def tell_of_what_waits(now: datetime) -> None:
    """Once a breaker holds the queue, nothing is tried for a while that could be counted; the messages behind it
    speak for themselves. Does nothing when no activation awaits its confirmation."""
    pending = ActiveConfig.objects.filter(confirm_state=ActiveConfig.Confirm.PENDING)
    generation = pending.values_list("generation", flat=True).first()
    if generation is None:
        return
    breaker = Breaker.objects.filter(generation=generation, is_open=True, sender="", error_class__in=_FAULTS).first()
    if breaker is None:
        return
    tally = GenerationTally.objects.filter(generation=generation).first() or GenerationTally()
    confirmation.report_attempts(
        generation,
        attempts=tally.attempts,
        configuration_failures=tally.configuration_failures,
        held=Message.objects.filter(due_at__lte=now).order_by()[: store.BATCH].count(),
        words=breaker.sentence,
    )
