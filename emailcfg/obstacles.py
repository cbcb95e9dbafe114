"""What keeps a revision from running, and whether mail stops while it does."""

from emailcfg import revisions, secrets
from emailcfg.destinations import SecretUnavailable
from emailcfg.models import ConfigRevision
from emailcfg.pins import PinRefused
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema

_SECRETS = {"smtp.password": "SMTP password", "sendgrid.api_key": "SendGrid API key"}


def obstacles(revision: ConfigRevision) -> list[tuple[str, str]]:
    """Why a revision can't run, as (stable code, sentence): unreadable, of a newer schema, at odds with a pinned
    field, or with secrets of the selected service that don't open."""
    try:
        found = secrets.unreadable(revisions.for_use(revision).as_used())
        return [("secret_unavailable", f"{_SECRETS[path]}: {sentence}") for path, sentence in found.items()]
    except SecretUnavailable as error:
        return [("secret_unavailable", str(error))]
    except (revisions.RevisionUnreadable, NewerSchema, PinRefused) as error:
        return [(error.code, str(error))]


def problems(revision: ConfigRevision) -> list[str]:
    """The sentences of `obstacles`."""
    return [sentence for _, sentence in obstacles(revision)]


def stops_all_mail(config: EmailConfig) -> bool:
    """Whether mail stops under this configuration, so that whoever activates it must say that it is meant."""
    return config.provider is None
