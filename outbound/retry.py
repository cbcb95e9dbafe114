"""When a failed delivery is tried again: a pure function of the failure, the attempt and the time.

The steps follow RFC 5321 section 4.5.4.1 (at least 30 minutes between tries once the cause is unclear, give up after
4 to 5 days), with quick first tries because greylisting needs a little over five minutes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from emailcfg.providers.base import ErrorClass

STEPS_S = (60, 5 * 60, 15 * 60, 60 * 60, 4 * 60 * 60)  # the last repeats
GIVE_UP_AFTER = timedelta(days=5)
MAX_RETRY_AFTER_S = 3600.0  # what a server may ask for
MAX_COPIES = 3  # of a message in doubt; the Message-ID is the same, so mailboxes may drop the others

HARD = frozenset((ErrorClass.MESSAGE_HARD, ErrorClass.RECIPIENT_HARD))
SOFT = frozenset((ErrorClass.HOST, ErrorClass.MESSAGE_SOFT, ErrorClass.RECIPIENT_SOFT))
QUEUE_WIDE = frozenset((ErrorClass.CONFIGURATION, ErrorClass.SENDER, ErrorClass.RATE, ErrorClass.DEFECT))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a message or recipient: a state of outbound.models.State, and when it is due (None: never)."""

    state: str
    due_at: datetime | None


def delay_s(attempt: int, *, first_s: float = 60.0, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after the given attempt (1 for the first), ±20 %. `first_s` scales the whole schedule."""
    step = STEPS_S[min(max(attempt, 1), len(STEPS_S)) - 1]
    return step * (first_s / STEPS_S[0]) * (0.8 + 0.4 * jitter())


def decide(
    error_class: ErrorClass,
    *,
    attempt: int,
    now: datetime,
    expires_at: datetime,
    retry_after_s: float | None = None,
    doubts: int = 0,
    hold_doubtful: bool = False,
    first_s: float = 60.0,
    jitter: Callable[[], float] = random.random,
) -> Decision:
    """The state that follows a failure. `doubts` counts this failure when it is one in doubt.

    Failures that concern the whole queue (QUEUE_WIDE) leave the message as it was: the breaker holds it."""
    if error_class in HARD:
        return Decision("failed", None)
    if error_class in QUEUE_WIDE:
        return Decision("queued", now)
    wait = delay_s(attempt, first_s=first_s, jitter=jitter)
    if retry_after_s is not None:
        wait = max(min(retry_after_s, MAX_RETRY_AFTER_S), min(wait, 1.0))
    due = now + timedelta(seconds=wait)
    if error_class is ErrorClass.IN_DOUBT:
        again = not hold_doubtful and doubts < MAX_COPIES and due < expires_at
        return Decision("in_doubt", due if again else None)
    if due >= expires_at:
        return Decision("failed", None)
    return Decision("deferred", due)
