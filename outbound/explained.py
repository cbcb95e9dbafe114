"""Why mail did not leave, in plain words: what the log recorded, given to the rules of `emailcfg.diagnosis`."""

from dataclasses import dataclass

from emailcfg.diagnosis.explain import Context, explain
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage
from outbound.models import Attempt, Breaker

# Causes of our own, which no server told: (title, cause, next step).
_OWN = {
    "expired": (
        "Tried for five days without success",
        "Every attempt met an obstacle that seemed to pass, and the time for trying is over.",
        "Mend what the last attempt names, then try again.",
    ),
    "content_missing": (
        "The content is gone",
        "The mail's bytes were deleted, so nothing can be sent.",
        "Have the product send the message anew.",
    ),
    "suppress_all": (
        "All mail was suppressed",
        "The configuration that was active accepted mail and let none leave.",
        "Switch “suppress all mail” off under Configuration > Email, then try these again.",
    ),
    "process_lost": (
        "The process that was sending it was lost",
        "It ended while the server's answer was outstanding, so nobody knows whether the mail was accepted.",
        "Ask a recipient whether it arrived before you send it again.",
    ),
    "crashes_service": (
        "The service ended several times while it held this message",
        "The message is held back so that it can't stop all other mail.",
        "Look into the log file for the reason, then try it again or cancel it.",
    ),
    "cancelled": ("Cancelled", "An administrator took it out of the queue.", "Nothing needs to be done."),
    "": (
        "No cause was recorded",
        "The message was not tried under a known cause yet.",
        "Open one to see its attempts.",
    ),
}


@dataclass(frozen=True, slots=True)
class Told:
    """A failure as the pages tell it. `words` are the server's own, or the local cause; `help_page` is plain text."""

    title: str
    cause: str
    next_step: str
    words: str = ""
    help_page: str = ""


def of_attempt(attempt: Attempt, *, sender: str = "", recipient: str = "") -> Told | None:
    """Why an attempt failed; None when it was accepted."""
    if not attempt.error_class:
        return None
    words = attempt.reply
    code = f"{attempt.code} "
    reply = Reply(attempt.code, words.removeprefix(code), attempt.enhanced) if attempt.code else None
    return _told(
        Failure(
            _stage(attempt.stage), ErrorClass(attempt.error_class), attempt.reason, reply, "" if attempt.code else words
        ),
        server=attempt.server,
        tls=attempt.tls,
        sender=sender,
        recipient=recipient,
    )


def of_breaker(breaker: Breaker) -> Told:
    """Why the queue is held."""
    code, _, rest = breaker.sentence.partition(" ")
    reply = Reply(int(code), rest) if code.isascii() and code.isdigit() and len(code) == 3 else None
    error_class = ErrorClass(breaker.error_class or ErrorClass.HOST)
    failure = Failure(
        _stage(breaker.stage), error_class, breaker.reason, reply, "" if reply is not None else breaker.sentence
    )
    return _told(failure, server=breaker.server, sender=breaker.sender)


def of_cause(cause: str) -> Told:
    """A cause of our own by its word; the word itself where it is not one."""
    title, why, step = _OWN.get(cause) or (cause.replace("_", " ").capitalize(), "", "Open one to see its attempts.")
    return Told(title, why, step)


def is_own(cause: str) -> bool:
    """Whether the cause was ours and not a server's."""
    return cause in _OWN


def _stage(name: str) -> Stage:
    return Stage(name) if name in set(Stage) else Stage.DATA


def _told(failure: Failure, *, server: str, tls: str = "", sender: str = "", recipient: str = "") -> Told:
    host, _, port = server.rpartition(":")
    by_api = "sendgrid" in host or failure.stage is Stage.KEY
    context = Context(
        provider="sendgrid" if by_api else "smtp",
        host=host.strip("[]"),
        port=int(port) if port.isascii() and port.isdigit() else None,
        sender=sender,
        recipient=recipient,
    )
    found = explain(failure, context=context)
    return Told(found.title.rstrip("."), found.cause, found.next_step, found.words, found.help_page)
