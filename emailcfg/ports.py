"""What this room asks of the rooms above it, which it does not know: they register themselves at the start."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ConfirmationAsked:
    """A revision was activated for a while: where to keep it, by whom it was activated, and until when."""

    number: int
    fallback: int
    recipient: str
    path: str
    deadline: datetime


_queued: list[Callable[[], int]] = []
_confirmation: list[Callable[[ConfirmationAsked], None]] = []


def count_queued_with(count: Callable[[], int]) -> None:
    """Registers who knows how many messages wait to leave."""
    _queued[:] = [count]


def ask_for_confirmation_with(send: Callable[[ConfirmationAsked], None]) -> None:
    """Registers who mails a confirmation link through the revision that was just activated."""
    _confirmation[:] = [send]


def queued_messages() -> int | None:
    """How many messages wait to leave; None when nobody knows."""
    return _queued[0]() if _queued else None


def ask_for_confirmation(asked: ConfirmationAsked) -> None:
    """Has the link mailed, where somebody is registered for it."""
    for send in _confirmation:
        send(asked)
