"""Tells the configuration room what only the rooms above it know: how many messages wait, and how a mail is sent."""

import logging

from django.conf import settings
from django.db import DatabaseError

from emailcfg import ports
from emailcfg.ports import ConfirmationAsked
from outbound import queries

log = logging.getLogger(__name__)


def connect() -> None:
    """Registers both; called once when the program starts."""
    ports.count_queued_with(queued_messages)
    ports.ask_for_confirmation_with(mail_confirmation_link)


def queued_messages() -> int:
    """How many messages have not left yet; counted up to a limit that is many anyway."""
    numbers = queries.queue_numbers()
    return numbers.due.number + numbers.scheduled.number + numbers.deferred.number


def mail_confirmation_link(asked: ConfirmationAsked) -> None:
    """Queues the mail with the link: it leaves through the revision that waits for its confirmation. Where it can't
    be queued, the page still has the buttons, so this never fails an activation."""
    # Here: the service connects too, and never composes.
    from outbound.requests import Recipient, Request
    from outbound.submit import BatchRefused, DiskNearlyFull, KeyReused, NotConfigured, Submission, submit

    request = Request(
        kind="notification",
        to=(Recipient(asked.recipient),),
        context={
            "title": f"Keep r{asked.number}?",
            "message": f"This mail came through r{asked.number}, which is active until "
            f"{asked.deadline:%H:%M} UTC. Without confirmation, r{asked.fallback} runs again by itself.",
            "action_url": f"{settings.PUBLIC_BASE_URL}{asked.path}",
            "action_label": f"Look and keep r{asked.number}",
        },
    )
    try:
        submit([Submission(request)])
    except (BatchRefused, DiskNearlyFull, KeyReused, NotConfigured, DatabaseError) as error:
        log.warning("The confirmation link of r%s could not be mailed: %s", asked.number, type(error).__name__)
