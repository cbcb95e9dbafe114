"""What Status warns of: each with its cause, what follows from it, and the next thing to do."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.urls import reverse

from adminapp.verdict import Facts
from emailcfg import confirmation
from emailcfg.models import ServiceInstance, TestSend
from outbound import explained, instances
from outbound.models import Breaker
from outbound.queries import QueueNumbers

EMAIL_PAGE = "/configuration/email/"


@dataclass(frozen=True, slots=True)
class Alert:
    """`words` are a server's own; `url` and `action` a link to what mends it; `probe_at` when the service tries by
    itself, with a button to try now; `resume` offers to end the pause."""

    level: Literal["warning", "error"]
    title: str
    cause: str
    next_step: str = ""
    words: str = ""
    url: str = ""
    action: str = ""
    since: datetime | None = None
    probe_at: datetime | None = None
    can_probe: bool = False
    can_resume: bool = False
    can_check: bool = False


def alerts(facts: Facts, numbers: QueueNumbers) -> list[Alert]:
    """All of them, the gravest first."""
    found = [
        *_configuration(facts),
        *_restored(facts),
        *_pause(facts),
        *_breakers(facts),
        *_processes(facts),
        *_late(facts, numbers),
        *_failed_test(facts),
        *_disk(),
        *_messages(numbers),
    ]
    return sorted(found, key=lambda alert: alert.level != "error")


def _configuration(facts: Facts) -> list[Alert]:
    if facts.active.revision is None:
        return [
            Alert(
                "warning",
                "No configuration is active",
                "Mail is accepted only once there is a sender address.",
                "Enter a delivery service, send a test email, then save and activate.",
                url=EMAIL_PAGE,
                action="Configure email",
            )
        ]
    name = f"r{facts.active.revision_id}"
    found = [
        Alert(
            "error",
            f"{name} can't be run",
            f"{sentence} {_meanwhile(facts)}",
            ("Enter the secret anew" if facts.running else "Mend the configuration")
            + " and activate, or roll back to a revision that works.",
            url=EMAIL_PAGE,
            action="Open the configuration",
        )
        for sentence in facts.problems
    ]
    if stopped := confirmation.sending_paused(facts.active):
        cause, _, step = stopped.rpartition(". ")
        found.append(
            Alert("error", "Sending is paused", f"{cause}.", step, url=reverse("history"), action="Open the history")
        )
    if not facts.selected and not facts.suppresses:
        found.append(
            Alert(
                "warning",
                "No delivery service is switched on",
                facts.refusal or "Mail is accepted and waits.",
                "Switch SMTP or SendGrid on, then save and activate.",
                url=EMAIL_PAGE,
                action="Open the configuration",
            )
        )
    return found


def _meanwhile(facts: Facts) -> str:
    """What becomes of mail while the active revision can't be run."""
    if facts.stand_ins:
        return f"In its place runs {facts.stand_ins}. {facts.refusal}".strip()
    return facts.refusal or "Mail is accepted and waits; nothing is lost."


def _restored(facts: Facts) -> list[Alert]:
    if facts.restored is None:
        return []
    return [
        Alert(
            "warning",
            "An older backup runs",
            f"{facts.restored.sentence} Messages that waited when it was made may have left since, and leave again.",
            "Look whether this is the revision that should run, and activate the right one.",
            url=reverse("history"),
            action="Open the history",
            since=facts.restored.at,
        )
    ]


def _pause(facts: Facts) -> list[Alert]:
    if not facts.queue.paused:
        return []
    by = f"{facts.queue.paused_by} paused it" if facts.queue.paused_by else "It was paused"
    reason = f": “{facts.queue.pause_reason}”" if facts.queue.pause_reason else ""
    waits = "Mail is accepted and waits, through restarts and activations too."
    if facts.refusal:
        waits = f"{facts.refusal} The pause holds through restarts and activations."
    return [
        Alert(
            "warning",
            "Sending is paused",
            f"{by}{reason}. {waits}",
            "Resume sending once the reason is gone.",
            since=facts.queue.paused_at,
            can_resume=True,
        )
    ]


def _breakers(facts: Facts) -> list[Alert]:
    return [_breaker(facts, breaker) for breaker in facts.breakers]


def _breaker(facts: Facts, breaker: Breaker) -> Alert:
    told = explained.of_breaker(breaker)
    what = f"Mail from {breaker.sender} is held" if breaker.sender else "All mail is held"
    waits = "Messages wait"
    if facts.waiting is not None and facts.waiting.number:
        waits = f"{facts.waiting} message{' waits' if facts.waiting.number == 1 else 's wait'}"
    return Alert(
        "error",
        f"{what}: {told.title}",
        f"{told.cause} {waits}, and none fails.",
        told.next_step,
        words=told.words,
        since=breaker.since,
        probe_at=breaker.next_probe_at,
        can_probe=True,
        url=EMAIL_PAGE,
        action="Open the configuration",
    )


def _processes(facts: Facts) -> list[Alert]:
    if not facts.alive:
        return [
            Alert(
                "error",
                "No process is running that delivers mail",
                (facts.refusal or "Mail is accepted and waits.") if facts.active.revision_id else "No mail can leave.",
                "Start the service with “make run”, or with “make worker” beside the web pages.",
            )
        ]
    found = [_refused(facts, one) for one in facts.alive if one.state == ServiceInstance.State.REJECTED]
    lost = [one for one in facts.services if instances.state_of(one) == instances.LOST]
    if lost:
        names = ", ".join(str(one) for one in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        found.append(
            Alert(
                "warning",
                f"{len(lost)} process{' was' if len(lost) == 1 else 'es were'} lost",
                f"No sign of life from {names}. What {'it was' if len(lost) == 1 else 'they were'} sending is taken "
                "over by the others.",
                "Look into the log file of that machine for the reason.",
            )
        )
    return found


def _refused(facts: Facts, one: ServiceInstance) -> Alert:
    title, step = f"{one} refused r{facts.active.revision_id}", "Mend what it names and activate, or roll back."
    if one.stand_in:
        step += f" Do not restart it before: it would lose r{one.stand_in}, and send nothing."
        return Alert("error", title, one.error, step)
    step += " It tries again every few seconds."
    return Alert("error", title, f"{one.error} It has nothing else to send with, so it sends nothing.".strip(), step)


def _late(facts: Facts, numbers: QueueNumbers) -> list[Alert]:
    all_waits = facts.waiting is not None or confirmation.sending_paused(facts.active)  # another alert says why
    if facts.oldest_due_at is None or all_waits:
        return []
    return [
        Alert(
            "warning",
            "Mail leaves late",
            "More mail comes in than the server takes: what may leave waits for more than a quarter of an hour.",
            "Allow more connections or messages per minute under Advanced, or start another outbound process.",
            url=EMAIL_PAGE,
            action="Open the configuration",
            since=numbers.oldest_due_at,
        )
    ]


def _failed_test(facts: Facts) -> list[Alert]:
    test = facts.failed_test
    if test is None or facts.breakers:  # what holds the queue tells it better
        return []
    what = "daily check" if test.source == TestSend.Source.HEALTH else "last test"
    found = test.explanation or {}
    title = str(found.get("title") or "its steps name the reason").rstrip(".")
    return [
        Alert(
            "warning",
            f"The {what} of r{facts.active.revision_id} failed: {title}",
            str(found.get("cause") or "Nothing was accepted since."),
            str(found.get("next_step") or "Send a test email and look at the step that fails."),
            words=str(found.get("words") or ""),
            url=EMAIL_PAGE,
            action="Open the configuration",
            since=test.finished_at,
            can_check=True,
        )
    ]


def _disk() -> list[Alert]:
    free, reserve = shutil.disk_usage(settings.DATA_DIR).free, settings.DISK_RESERVE_MB * 1_000_000
    if free >= 2 * reserve:
        return []
    full = free < reserve
    return [
        Alert(
            "error" if full else "warning",
            "The disk is full" if full else "The disk is nearly full",
            f"{free // 1_000_000:,} MB are free. Below {settings.DISK_RESERVE_MB:,} MB no mail is accepted, so that "
            "outcomes can still be recorded.",
            "Make room on the disk that holds the data folder.",
        )
    ]


def _messages(numbers: QueueNumbers) -> list[Alert]:
    found = []
    if numbers.in_doubt.number:
        one = numbers.in_doubt.number == 1
        found.append(
            Alert(
                "warning",
                f"{numbers.in_doubt} message{' is' if one else 's are'} in doubt",
                "The server's answer is missing, so it is not known whether the mail arrived.",
                "Ask a recipient before sending one again.",
                url=reverse("messages") + "?state=in_doubt",
                action="Show",
            )
        )
    if numbers.held.number:
        one = numbers.held.number == 1
        found.append(
            Alert(
                "warning",
                f"{numbers.held} message{' waits' if one else 's wait'} for you",
                "What is held is not tried by itself.",
                "Look at the cause, then try again or cancel.",
                url=reverse("messages") + "?state=held",
                action="Show",
            )
        )
    return found
