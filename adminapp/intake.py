"""Why no mail is accepted now: what `outbound.submit` answers to whoever hands some over."""

import shutil

from django.conf import settings

from emailcfg import revisions
from emailcfg.models import ActiveConfig
from emailcfg.pins import PinRefused
from emailcfg.schema_migrations import NewerSchema


def refusal(active: ActiveConfig) -> str:
    """The reason as a sentence; "" when mail is accepted."""
    if active.revision is None:
        return "No mail is accepted: no configuration is active."
    try:
        sender = revisions.for_use(active.revision).general.sender_email
    except (revisions.RevisionError, NewerSchema, PinRefused):
        return "New mail may be refused with 503, so that programs try again later; what was accepted waits."
    if not sender:
        return "No mail is accepted: the active configuration has no sender address."
    if shutil.disk_usage(settings.DATA_DIR).free < settings.DISK_RESERVE_MB * 1_000_000:
        return "No mail is accepted: the disk is full."
    return ""
