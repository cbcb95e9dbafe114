"""Configurations and revisions for tests, in as few words as possible."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from emailcfg import activation, insert_only, revisions
from emailcfg.actor import Actor
from emailcfg.models import ActiveConfig, ConfigRevision, ServiceInstance, TestSend
from emailcfg.schema import EmailConfig

ANA = Actor(name="ana@acme.com", address="192.0.2.7")
BEN = Actor(name="ben@acme.com")


def a_config(**changes: Any) -> EmailConfig:
    """A valid SMTP configuration; dotted paths with __ for the dot change fields (smtp__host="x.example")."""
    data: dict[str, Any] = {
        "general": {"sender_email": "no-reply@acme.com", "sender_name": "Acme"},
        "delivery": {"selected": "smtp"},
        "smtp": {"enabled": True, "host": "smtp.acme.com", "username": "ana@acme.com", "password": "first secret"},
        "sendgrid": {},
    }
    for path, value in changes.items():
        section, name = path.split("__")
        data[section][name] = value
    return EmailConfig.model_validate(data)


def no_mail() -> EmailConfig:
    """A configuration that stops all mail."""
    return EmailConfig.model_validate({"general": {"sender_name": "Nobody"}})


def a_revision(
    config: EmailConfig | None = None, *, base: ConfigRevision | None = None, **changes: Any
) -> ConfigRevision:
    """A saved revision."""
    return revisions.save(config=config or a_config(**changes), base=base, description="A change for a test", actor=ANA)


def activated(revision: ConfigRevision, **options: Any) -> ActiveConfig:
    """The active row after activating this revision over whatever is active."""
    generation = activation.current().generation
    return activation.activate(revision.number, expected_generation=generation, actor=ANA, **options).active


def a_test_of(revision: ConfigRevision, state: str = "accepted", **fields: Any) -> TestSend:
    """A finished test of exactly this revision's content."""
    return TestSend.objects.create(
        content_hash=revision.content_hash,
        revision=revision,
        provider="smtp",
        actor_name="ana@acme.com",
        state=state,
        **{"source": "revision", "finished_at": timezone.now()} | fields,
    )


def a_process(
    name: str,
    state: str,
    generation: int | None,
    *,
    role: str = "outbound",
    seen: timedelta = timedelta(),
    error: str = "",
    schema_version: int = 1,
) -> ServiceInstance:
    """A running process that gave its last sign of life `seen` ago."""
    return ServiceInstance.objects.create(
        instance=name,
        role=role,
        host="here",
        pid=1,
        last_seen=activation.database_time() - seen,
        generation=generation,
        state=state,
        error=error,
        schema_version=schema_version,
    )


def tamper(row: Model, **values: Any) -> None:
    """Changes a row that the database guards, as somebody who owns the database could."""
    insert_only.remove(connection)
    type(row)._default_manager.filter(pk=row.pk).update(**values)
    insert_only.install(connection, apps)
