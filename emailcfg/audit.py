"""Records who did what. The one way to write an AuditEvent; `detail` must never hold a secret."""

from typing import Any

from emailcfg.actor import Actor
from emailcfg.models import AuditEvent


def record(action: str, *, actor: Actor, subject: str = "", **detail: Any) -> None:
    """Adds one event, in the caller's transaction. `action` is a dotted word such as "revision.saved",
    which audit_words says plainly; `detail` holds JSON values."""
    AuditEvent.objects.create(
        action=action,
        actor_id=actor.user.pk if actor.user is not None else None,
        actor_name=actor.name,
        address=actor.address,
        subject=subject,
        detail=detail,
        request_id=actor.request_id,
    )
