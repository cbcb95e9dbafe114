"""What the engine runs: the active configuration, its secrets opened, as one immutable object that is swapped whole."""

from dataclasses import dataclass

from emailcfg import confirmation, revisions
from emailcfg.destinations import SecretUnavailable
from emailcfg.models import ActiveConfig
from emailcfg.pins import PinRefused
from emailcfg.providers.base import Session
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema
from outbound.transport import opened, session_of

HTTP_CONNECTIONS = 10  # an exchange with SendGrid takes a tenth of a second or more


class TransportRefused(Exception):
    """The active revision can't be run by this process. The message is a sentence for the Status page."""


@dataclass(frozen=True, slots=True)
class Transport:
    """`hold` is a sentence when no mail can leave under this generation, else ""."""

    generation: int
    epoch: str
    revision: int | None
    config: EmailConfig
    hold: str = ""

    @property
    def suppresses(self) -> bool:
        return self.config.general.suppress_all

    @property
    def connections(self) -> int:
        """How many sessions may stand at once."""
        return self.config.smtp.max_connections if self.config.provider == "smtp" else HTTP_CONNECTIONS

    @property
    def per_minute(self) -> int | None:
        """The limit of messages per minute, if there is one."""
        return self.config.smtp.rate_limit_per_minute if self.config.provider == "smtp" else None

    def session(self) -> Session:
        """A session, not yet open."""
        return session_of(self.config)


NOTHING = Transport(-1, "", None, EmailConfig(), "Nothing is loaded yet.")


def load(active: ActiveConfig) -> Transport:
    """The transport of what is active. Raises TransportRefused when the revision or its secrets can't be read."""
    if active.revision is None:
        return Transport(active.generation, active.epoch, None, EmailConfig(), "No configuration is active yet.")
    if hold := confirmation.sending_paused(active):  # a configuration that can't be read must not hide this
        return Transport(active.generation, active.epoch, active.revision_id, EmailConfig(), hold)
    try:
        config = opened(revisions.for_use(active.revision))
    except (revisions.RevisionError, NewerSchema, PinRefused, SecretUnavailable) as error:
        raise TransportRefused(str(error)) from error
    if config.provider is None and not config.general.suppress_all:
        hold = "No delivery service is selected: mail is accepted and waits."
    return Transport(active.generation, active.epoch, active.revision_id, config, hold)
