"""After an update of the program the active revision is the first to come to today's schema: what runs is stored."""

from django.db import transaction

from emailcfg import activation, revisions
from emailcfg.actor import SYSTEM
from emailcfg.convergence import LOST_AFTER
from emailcfg.models import Activation, ActiveConfig, ServiceInstance
from emailcfg.revisions import RevisionUnreadable
from emailcfg.schema import SCHEMA_VERSION
from emailcfg.schema_migrations import NewerSchema


def bring_up_to_date() -> ActiveConfig | None:
    """Activates what runs in today's schema, as a revision derived from it; returns what is active then, or None when
    there was nothing to do. What stays behind is brought up in memory whenever it is read, so waiting costs nothing:
    while a confirmation is awaited, while a process of the older program still runs, and when it can't be read."""
    with transaction.atomic():
        active = ActiveConfig.objects.locked()
        revision = active.revision
        if revision is None or revision.schema_version >= SCHEMA_VERSION:
            return None
        if active.confirm_state != ActiveConfig.Confirm.NONE or _an_older_program_runs():
            return None
        fallback = active.fallback_id
        try:
            steps = revisions.read(revision).migrated
            derived, kind = activation.in_todays_schema(revision, SYSTEM, Activation.Kind.MIGRATE)
        except (RevisionUnreadable, NewerSchema):
            return None  # Status says why it can't run
        activation.move(active, derived, kind=kind, actor=SYSTEM, reason=" ".join(steps))
        ActiveConfig.objects.filter(singleton=1).update(fallback_id=fallback)  # to go back is to go to other content
        return activation.current()


def _an_older_program_runs() -> bool:
    living = ServiceInstance.objects.filter(last_seen__gt=activation.database_time() - LOST_AFTER)
    return living.exclude(state=ServiceInstance.State.STOPPED).filter(schema_version__lt=SCHEMA_VERSION).exists()
