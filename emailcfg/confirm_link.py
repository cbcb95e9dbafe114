"""The mail with the link that keeps an activation: it comes through the revision that waits, and so proves it."""

from django.urls import reverse

from emailcfg import ports
from emailcfg.activation import Activated


def mail(done: Activated, *, recipient: str) -> None:
    """Has the link mailed to whoever activated, when a confirmation is awaited and `recipient` is an address (a
    program has none). Never fails: what can't be mailed can still be confirmed on the page or through the API."""
    active = done.active
    if not done.confirm_token or "@" not in recipient:
        return
    if active.confirm_deadline is None or active.revision_id is None or active.fallback_id is None:
        return
    ports.ask_for_confirmation(
        ports.ConfirmationAsked(
            number=active.revision_id,
            fallback=active.fallback_id,
            recipient=recipient,
            path=reverse("confirm-link", args=[done.confirm_token]),
            deadline=active.confirm_deadline,
        )
    )
