"""The session through which a configuration delivers, with what this installation allows and is called.

Test sends and the service both come here, so a test can't take another way than real mail does.
"""

import socket
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from emailcfg import secrets
from emailcfg.providers.base import Session
from emailcfg.providers.open import session_for
from emailcfg.schema import EmailConfig


def opened(config: EmailConfig) -> EmailConfig:
    """The configuration with the stored secrets of its selected service decrypted for the destination they were
    entered for. The other service is left out: a broken key of it stops no mail.

    Raises emailcfg.destinations.SecretUnavailable."""
    used = config.as_used()
    encrypted = used.provider is not None and secrets.has_stored(used)
    return secrets.open_all(used, secrets.key_ring()) if encrypted else used


def session_of(config: EmailConfig, *, deadline_s: float | None = None) -> Session:
    """A session of an opened configuration, not yet connected. `deadline_s` bounds opening it and each mail;
    ATTEMPT_DEADLINE_S when None. Raises emailcfg.providers.open.NoProvider."""
    return session_for(
        config,
        policy=settings.NETWORK_POLICY,
        ehlo_default=own_name(),
        deadline_s=settings.ATTEMPT_DEADLINE_S if deadline_s is None else deadline_s,
        sendgrid_api_url=settings.SENDGRID_API_URL,
        trust_file=str(settings.SSL_CERT_FILE) if settings.SSL_CERT_FILE else None,
    )


@lru_cache(maxsize=1)
def own_name() -> str:
    """The name this machine gives itself at EHLO when the configuration has none: that of PUBLIC_BASE_URL, else
    of the machine, if it is a full name; "" lets the session use an address literal (RFC 5321, 4.1.4)."""
    for name in (urlsplit(settings.PUBLIC_BASE_URL).hostname or "", socket.getfqdn()):
        if "." in name.strip(".") and not name.replace(".", "").isdigit() and not name.endswith(".local"):
            return name.rstrip(".")
    return ""
