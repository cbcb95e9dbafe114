"""How a state looks in the log: `{% message_state "deferred" %}`, `{% shown_state message %}`, which tells what was
diverted apart, and `{{ attempt|outcome }}` for an attempt's word."""

from django import template

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
