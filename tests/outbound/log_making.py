"""A log as the delivery engine leaves it, written directly: messages in every state with their attempts."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from emailcfg.models import ServiceInstance
from outbound import instances
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
DIVERTED = {"code": 250, "reply": "2.0.0 Ok: queued as 4Xk1bC0y2Vz8", "note": "Diverted to box@example.com."}
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
    values = {
        "provider": "smtp",
        "is_open": True,
        "failures": 3,
        "sentence": REFUSED["reply"],
        "server": "smtp.acme.example:587",
        "since": now - timedelta(minutes=5),
        "next_probe_at": now + timedelta(minutes=4),
    }
    told = {name: REFUSED[name] for name in ("error_class", "stage", "reason")}
    return Breaker.objects.create(generation=generation, **{**values, **told, **fields})


def a_day_of_outcomes(now: datetime | None = None) -> None:
    """Office hours: many accepted, some deferred, few failed."""
    now = (now or timezone.now()).replace(minute=0, second=0, microsecond=0)
    for back in range(24):
        slot = now - timedelta(hours=back)
        busy = 40 if 7 <= slot.hour <= 18 else 6
        counts = {"accepted": busy * 5, "sent": busy * 4 + back, "deferred": busy // 3 + (30 if back == 5 else 0)}
        counts["failed"] = busy // 8
        OutcomeCount.objects.bulk_create(OutcomeCount(slot=slot, outcome=name, count=n) for name, n in counts.items())


def a_service(generation: int | None, *, role: str = "outbound", ago_s: float = 0, **fields: Any) -> ServiceInstance:
    """A process that last gave a sign of life so many seconds ago."""
    instance = instances.register(role)
    values = {"generation": generation, "state": "running", "last_seen": timezone.now() - timedelta(seconds=ago_s)}
    ServiceInstance.objects.filter(pk=instance.pk).update(**{**values, **fields})
    instance.refresh_from_db()
    return instance


def an_eventful_log(revision: int) -> list[Message]:
    """A day on which most mail left, some waits, and some needs somebody; the newest last."""
    now = timezone.now()
    invite = Request(
        kind="invite",
        to=(To("grace@berlin.example", "Grace"),),
        context={
            "inviter_name": "Ben Okafor",
            "team_name": "Berlin office",
            "accept_url": "https://app.acme.example/join/p4XwRt",
        },
    )
    made = []
    for number in range(14):
        at = now - timedelta(minutes=9 * (14 - number))
        made.append(
            a_message(
                "sent",
                ACCEPTED,
                to=(f"person{number}@example.com",),
                subject=f"Your order {48210 + number} has shipped",
                at=at,
                revision=revision,
            )
        )
    made += [
        a_message("deferred", GREYLISTED, GREYLISTED, subject="Backup finished", revision=revision) for _ in range(4)
    ]
    made += [
        a_message("failed", UNKNOWN_MAILBOX, subject="Welcome to Acme", to=("nobody@example.com",), revision=revision),
        a_message("in_doubt", NO_ANSWER, subject="Payment received", doubts=1, revision=revision),
        a_message("held", subject="Monthly report", cause="crashes_service"),
        a_message(
            "partial", UNKNOWN_MAILBOX, subject="Minutes of the board meeting", to=("a@b.example", "c@d.example")
        ),
        a_message("cancelled", subject="Draft newsletter", cause="cancelled"),
        a_message("sent", DIVERTED, subject="Your contract is ready", to=("lin@example.org",), revision=revision),
        a_message("sent", GREYLISTED, ACCEPTED, request=invite, revision=revision),
        a_message(subject="Set a new password", to=("ana.maria.de.los.angeles@a-rather-long-domain.example",)),
    ]
    return made
