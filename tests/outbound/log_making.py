"""A log as the delivery engine leaves it, written directly: messages in every state with their attempts."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from outbound.models import Attempt, Breaker, Message, OutcomeCount, Recipient
from outbound.requests import Recipient as To
from outbound.requests import Request
from outbound.submit import Submission, submit

REFUSED = {
    "code": 535,
    "enhanced": "5.7.8",
    "reply": "535 5.7.8 Error: authentication failed",
    "stage": "login",
    "error_class": "configuration",
    "reason": "login_refused",
}
GREYLISTED = {
    "code": 451,
    "enhanced": "4.7.1",
    "reply": "451 4.7.1 Greylisting in action, please come back later",
    "stage": "recipient",
    "error_class": "recipient_soft",
    "reason": "greylisted",
}
UNKNOWN_MAILBOX = {
    "code": 550,
    "enhanced": "5.1.1",
    "reply": "550 5.1.1 <nobody@example.com>: Recipient address rejected: User unknown",
    "stage": "recipient",
    "error_class": "recipient_hard",
    "reason": "recipient_refused",
}
NO_ANSWER = {
    "reply": "The connection ended before the server answered.",
    "stage": "accepted",
    "error_class": "in_doubt",
    "reason": "no_reply",
}
ACCEPTED = {
    "code": 250,
    "enhanced": "2.0.0",
    "reply": "2.0.0 Ok: queued as 4Xk1bC0y2Vz9",
    "provider_id": "4Xk1bC0y2Vz9",
}


def a_message(
    state: str = "queued",
    *attempts: dict[str, Any],
    request: Request | None = None,
    to: tuple[str, ...] = ("bob@example.com",),
    subject: str = "Hello",
    at: datetime | None = None,
    revision: int | None = 1,
    **fields: Any,
) -> Message:
    """An accepted message (a configuration must be active), put into this state after these attempts."""
    asked = request or Request(
        kind="raw",
        to=tuple(To(one) for one in to),
        subject=subject,
        text="Good morning.\n",
        html="<p>Good <b>morning</b>.</p>\n",
    )
    pk = submit([Submission(asked)])[0].id
    at = at or timezone.now()
    failing = [one for one in attempts if one.get("error_class")]
    last = attempts[-1] if attempts else {}
    values = {
        "state": state,
        "attempts": len(attempts),
        "changed_at": at,
        "cause": failing[-1]["reason"] if failing and state != "sent" else "",
        "due_at": at + timedelta(minutes=5) if state in ("queued", "deferred", "in_doubt") else None,
        **fields,
    }
    Message.objects.filter(pk=pk).update(**values)
    shared = "sent" if state == "partial" else state
    Recipient.objects.filter(message=pk).update(
        state=shared, code=last.get("code", 0), text=last.get("reply", "") if failing else ""
    )
    for number, attempt in enumerate(attempts):
        Attempt.objects.create(
            message_id=pk,
            at=at - timedelta(minutes=5 * (len(attempts) - 1 - number)),
            revision=revision,
            generation=revision,
            **{"server": "smtp.acme.example:587", "tls": "TLSv1.3", "ms": 84.2, **attempt},
        )
    return Message.objects.get(pk=pk)


def an_open_breaker(generation: int, **fields: Any) -> Breaker:
    """The relay refused the password five minutes ago."""
    now = timezone.now()
    return Breaker.objects.create(
        generation=generation,
        provider="smtp",
        is_open=True,
        failures=3,
        error_class=REFUSED["error_class"],
        stage=REFUSED["stage"],
        reason=REFUSED["reason"],
        sentence=REFUSED["reply"],
        server="smtp.acme.example:587",
        **{"since": now - timedelta(minutes=5), "next_probe_at": now + timedelta(minutes=4), **fields},
    )


def a_day_of_outcomes(now: datetime | None = None) -> None:
    """Office hours: many accepted, some deferred, few failed."""
    now = (now or timezone.now()).replace(minute=0, second=0, microsecond=0)
    for back in range(24):
        slot = now - timedelta(hours=back)
        busy = 40 if 7 <= slot.hour <= 18 else 6
        counts = {"accepted": busy * 5, "sent": busy * 4 + back, "deferred": busy // 3 + (30 if back == 5 else 0)}
        counts["failed"] = busy // 8
        OutcomeCount.objects.bulk_create(OutcomeCount(slot=slot, outcome=name, count=n) for name, n in counts.items())
