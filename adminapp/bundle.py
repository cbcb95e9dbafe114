"""The support bundle: one zip that tells whoever helps how this installation stands, without a single secret."""

import importlib.metadata
import io
import json
import platform
import re
import sqlite3
import ssl
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone

from adminapp.masking import cleaner
from emailcfg import activation, confirmation, revisions, secrets
from emailcfg.models import AuditEvent, ConfigRevision, TestSend
from emailcfg.revisions import RevisionUnreadable
from emailcfg.schema_migrations import NewerSchema
from outbound import healthcheck, instances, log_queries, queries
from outbound.models import Attempt, Breaker, QueueState

_README = """Support bundle of Admin App, made {at}.

Passwords, keys and tokens are not in here: a secret reads "set" or "not set", and every known secret was replaced in
all texts. {addresses}

versions.json     the programs and packages that run
environment.json  what the operator set
revisions.json    the configurations, newest first, and which one is active
tests.json        the last tests and health checks, with each step
queue.json        the queue in numbers, what holds it, the processes
attempts.json     the last attempts to deliver
audit.json        the last acts
log.txt           the last warnings and errors of the log
"""
_ROWS = 100
_TESTS = 20
_LOG_BYTES = 2_000_000  # of the end of the log are looked at
_LOG_LINES = 500
_TROUBLE = re.compile(r"^\S+ \S+ (?:WARNING|ERROR|CRITICAL) ")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*(?=@)")


def build(*, full_addresses: bool = False) -> bytes:
    """The zip. With `full_addresses` the addresses of recipients and administrators stay readable."""
    clean = cleaner(full_addresses=full_addresses)
    parts: dict[str, Callable[[], Any]] = {
        "versions.json": _versions,
        "environment.json": _environment,
        "revisions.json": _revisions,
        "tests.json": _tests,
        "queue.json": _queue,
        "attempts.json": _attempts,
        "audit.json": _audit,
    }
    addresses = "Addresses are complete." if full_addresses else "Addresses are masked: a***@example.com."
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("README.txt", _README.format(at=_moment(timezone.now()), addresses=addresses))
        for name, part in parts.items():
            bundle.writestr(name, json.dumps(clean(part()), indent=2, ensure_ascii=False) + "\n")
        bundle.writestr("log.txt", "\n".join(clean(_log())) + "\n")
    return out.getvalue()


def _moment(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""


def _versions() -> dict[str, Any]:
    packages = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    return {
        "admin_app": settings.VERSION,
        "python": sys.version,
        "django": django.get_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "database": connection.vendor,
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _environment() -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in fields(settings.ENVIRONMENT):
        value = getattr(settings.ENVIRONMENT, field.name)
        if field.name == "pins":
            shown[field.name] = dict.fromkeys(value, "set")  # values may be secrets
        else:
            shown[field.name] = _PASSWORD_IN_URL.sub(r"\1:***", str(value)) if value is not None else None
    return shown


def _revisions() -> dict[str, Any]:
    active = activation.current()
    rows = []
    for revision in ConfigRevision.objects.all()[:_TESTS]:
        try:
            config: Any = secrets.public(revisions.read(revision).config)
            for section in ("smtp", "sendgrid"):
                for name in ("password", "api_key"):
                    if name in config[section]:
                        config[section][name] = "set" if config[section][name] else "not set"
        except (RevisionUnreadable, NewerSchema) as error:
            config = str(error)
        rows.append(
            {
                "number": revision.number,
                "description": revision.description,
                "author": revision.author_name,
                "created_at": _moment(revision.created_at),
                "schema_version": revision.schema_version,
                "content_hash": revision.content_hash,
                "config": config,
            }
        )
    return {
        "active": active.revision_id,
        "generation": active.generation,
        "activated_at": _moment(active.activated_at),
        "confirm": active.confirm_state,
        "sending_paused": confirmation.sending_paused(active),
        "revisions": rows,
    }


def _tests() -> dict[str, Any]:
    standing = healthcheck.standing()
    names = ["pk", "source", "revision_id", "provider", "server", "recipient", "mail_kind", "dry_run", "state", "steps"]
    names += ["explanation", "alternatives", "message_id", "actor_name", "started_at", "finished_at", "received_at"]
    return {
        "health": standing.sentence if standing is not None else "never checked",
        "tests": list(TestSend.objects.values(*names)[:_TESTS]),
    }


def _queue() -> dict[str, Any]:
    numbers = queries.queue_numbers()
    state = QueueState.objects.filter(singleton=1).values("paused_at", "paused_by", "pause_reason").first()
    processes = [
        {
            "role": one.role,
            "host": one.host,
            "pid": one.pid,
            "state": instances.state_of(one),
            "generation": one.generation,
            "last_seen": _moment(one.last_seen),
            "error": one.error,
        }
        for one in instances.recent()
    ]
    return {
        "numbers": {name: str(value) for name, value in asdict(numbers).items()},
        "groups": [asdict(group) for group in log_queries.troubles(limit=_ROWS)],
        "pause": state,
        "breakers": list(Breaker.objects.order_by("-pk").values()[:_TESTS]),
        "processes": processes,
    }


def _attempts() -> list[dict[str, Any]]:
    return [dict(row) for row in Attempt.objects.order_by("-pk").values()[:_ROWS]]


def _audit() -> list[dict[str, Any]]:
    events = AuditEvent.objects.values("at", "action", "actor_name", "subject", "detail")[:_ROWS]
    return [dict(event) for event in events]


def _log() -> list[str]:
    """The last lines of trouble; each line of the log is one event."""
    path = Path(settings.DATA_DIR) / "logs" / "adminapp.log"
    try:
        with path.open("rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return [f"The log can't be read: {error.strerror}."]
    return [line for line in text.splitlines() if _TROUBLE.match(line)][-_LOG_LINES:]
