"""How a state looks in the log: `{% message_state "deferred" %}`, `{% shown_state message %}`, which tells what was
diverted apart, `{{ attempt|outcome }}` for an attempt's state and `{{ attempt|failure }}` for why it failed."""

from django import template

from emailcfg.diagnosis.ladder import LABELS
from emailcfg.providers.base import ErrorClass, Stage
from outbound.models import Attempt, Message, State

register = template.Library()

# state: (tone, icon). Colour is never alone: the icon and the word tell the same.
LOOKS = {
    State.QUEUED: ("plain", "clock"),
    State.SENDING: ("busy", "send"),
    State.DEFERRED: ("warn", "hourglass"),
    State.SENT: ("ok", "circle-check"),
    State.PARTIAL: ("warn", "split"),
    State.FAILED: ("bad", "circle-x"),
    State.IN_DOUBT: ("warn", "circle-question-mark"),
    State.HELD: ("warn", "circle-pause"),
    State.SUPPRESSED: ("plain", "shield-off"),
    State.CANCELLED: ("plain", "ban"),
}


@register.inclusion_tag("outbound/state.html")
def message_state(state: str) -> dict[str, str]:
    """The icon and the word of a state."""
    tone, icon = LOOKS[State(state)]
    return {"tone": tone, "icon": icon, "word": str(State(state).label)}


@register.inclusion_tag("outbound/state.html")
def shown_state(message: Message) -> dict[str, str]:
    """The state of a message; "Diverted" where it was sent, and not to whom it was for."""
    if message.state == State.SENT and message.diverted:
        return {"tone": "warn", "icon": "corner-up-right", "word": "Diverted"}
    return message_state(message.state)


@register.filter
def outcome(attempt: Attempt) -> str:
    """What an attempt ended with, as a state: accepted, refused for good, or to be tried again."""
    if not attempt.error_class:  # what we did not try to send has a reason of our own
        return str(State.HELD if attempt.reason else State.SENT)
    if attempt.error_class == "in_doubt":
        return str(State.IN_DOUBT)
    return str(State.FAILED if attempt.error_class.endswith("_hard") else State.DEFERRED)


# What kind of failure it was, in words; what follows from each is in docs/outbound.md.
FAILURES = {
    ErrorClass.CONFIGURATION: "the configuration does not work",
    ErrorClass.SENDER: "sender refused",
    ErrorClass.RATE: "limit reached",
    ErrorClass.HOST: "server out of reach or unwell",
    ErrorClass.RECIPIENT_SOFT: "recipient refused for now",
    ErrorClass.RECIPIENT_HARD: "recipient refused for good",
    ErrorClass.MESSAGE_SOFT: "message refused for now",
    ErrorClass.MESSAGE_HARD: "message refused for good",
    ErrorClass.IN_DOUBT: "answer missing",
    ErrorClass.DEFECT: "error of this program",
}


@register.filter
def failure(attempt: Attempt) -> str:
    """What kind of failure an attempt ended with, and at which step."""
    words = FAILURES[ErrorClass(attempt.error_class)]
    return f"{words}, at “{LABELS[Stage(attempt.stage)]}”" if attempt.stage in set(Stage) else words
