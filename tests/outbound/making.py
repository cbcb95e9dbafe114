"""What the tests of this room have in common: an active configuration, tokens, requests."""

from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet
from django.db import transaction
from pydantic import SecretStr

from emailcfg import activation, revisions
from emailcfg.actor import Actor
from emailcfg.models import ActiveConfig, Secret
from emailcfg.schema import EmailConfig
from outbound.requests import Recipient, Request
from outbound.submit import Submission, submit
from tests.servers.sendgrid import KEY

ANA = Actor(name="ana@acme.example")


def a_config(port: int = 2525, *, general: dict[str, Any] | None = None, **smtp: Any) -> EmailConfig:
    """A relay on loopback, without login."""
    return EmailConfig.model_validate(
        {
            "general": {"sender_email": "no-reply@acme.example", "sender_name": "Acme", **(general or {})},
            "delivery": {"selected": "smtp"},
            "smtp": {"host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 5, **smtp},
        }
    )


def a_sendgrid_config() -> EmailConfig:
    """SendGrid, with the key that the servers of the tests take; SENDGRID_API_URL says where they are."""
    return EmailConfig.model_validate(
        {
            "general": {"sender_email": "no-reply@acme.example", "sender_name": "Acme"},
            "delivery": {"selected": "sendgrid"},
            "sendgrid": {"api_key": KEY},
        }
    )


def activate(config: EmailConfig) -> ActiveConfig:
    """Saves and activates a configuration."""
    active = activation.current()
    revision = revisions.save(config=config, base=active.revision, description="For a test", actor=ANA)
    return activation.activate(
        revision.number, expected_generation=active.generation, actor=ANA, accept_stop=True
    ).active


def activate_unreadable(port: int) -> ActiveConfig:
    """Activates a relay whose password no key opens; in one step, before a service that runs can look."""
    with transaction.atomic():
        active = activate(a_config(port, username="ana", password=SecretStr("secret word")))
        Secret.objects.update(ciphertext=Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
    return active


def a_request(*to: str, subject: str = "Hello", text: str = "Good morning.\n") -> Request:
    return Request(
        kind="raw", to=tuple(Recipient(one) for one in to or ("bob@example.com",)), subject=subject, text=text
    )


def queued(count: int = 1, *, to: Callable[[int], str] = lambda n: f"user{n}@example.com") -> list[int]:
    """Accepts `count` messages and returns their ids."""
    return [one.id for one in submit([Submission(a_request(to(n), subject=f"Number {n}")) for n in range(count)])]
