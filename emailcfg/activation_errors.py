"""Why an activation, a rollback or a confirmation is refused: ActivationError and one class for each reason. Nothing
changed when one is raised.
"""

from emailcfg.models import ActiveConfig


class ActivationError(Exception):
    """An activation was refused; nothing changed. The message is a sentence; `code` is stable."""

    code = "activation_error"


class GenerationConflict(ActivationError):
    """Somebody else activated in the meantime."""

    code = "generation_conflict"

    def __init__(self, current: ActiveConfig) -> None:
        name = f"r{current.revision_id}" if current.revision_id else "no revision"
        super().__init__(f"{name} is now active. Look at what changed, then decide again.")
        self.current = current


class ConfirmationPending(ActivationError):
    """The active revision still waits for its confirmation."""

    code = "confirmation_pending"

    def __init__(self, current: ActiveConfig) -> None:
        super().__init__(
            f"r{current.revision_id} still waits for its confirmation. Keep it or return to r{current.fallback_id}, "
            "then activate another."
        )
        self.current = current


class NotActivatable(ActivationError):
    """The revision can't run as it is; `problems` holds a sentence for each reason."""

    code = "not_activatable"

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class NeedsReason(ActivationError):
    """The consequences need to be accepted with a reason."""

    code = "reason_required"


class NoFallback(ActivationError):
    """There is nothing to return to."""

    code = "no_fallback"


class RequestIdReused(ActivationError):
    """The same request id came for another activation."""

    code = "request_id_reused"
