"""Reading the audit log: filters, pages, and rows for a spreadsheet."""

import functools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from emailcfg import audit_words
from emailcfg.models import AuditEvent

# What the filter offers, and the first words of the actions that belong to it.
GROUPS = {
    "configuration": ("Configuration", ("revision", "clock", "backup")),
    "tests": ("Tests and health checks", ("test", "health")),
    "messages": ("Messages and queue", ("message", "messages", "queue", "services")),
    "accounts": ("Logins and accounts", ("login", "logout", "password", "administrator")),
    "keys": ("Tokens, keys and support bundles", ("token", "key", "support")),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show. `group` is one of GROUPS, or ""; `text` is looked for in who, what, subject and address."""

    group: str = ""
    text: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `older` is the key with which the next page begins, None at the end."""

    events: tuple[AuditEvent, ...]
    older: int | None


def found(wanted: Filter) -> QuerySet[AuditEvent]:
    """The events that fit, newest first. Days are the viewer's, both included."""
    events = AuditEvent.objects.all()
    if wanted.group:
        words = GROUPS[wanted.group][1]
        events = events.filter(
            functools.reduce(operator.or_, (Q(action=word) | Q(action__startswith=f"{word}.") for word in words))
        )
    if wanted.text:
        text = wanted.text
        what = Q(action__icontains=text) | Q(action__in=audit_words.actions_like(text))
        whose = Q(actor_name__icontains=text) | Q(address__icontains=text)
        events = events.filter(what | whose | Q(subject__icontains=text))
    if wanted.since:
        events = events.filter(at__gte=_midnight(wanted.since))
    if wanted.until:
        events = events.filter(at__lt=_midnight(wanted.until) + timedelta(days=1))
    return events


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def page(wanted: Filter, *, before: int | None = None, size: int = 50) -> Page:
    """One page; one query, whatever the length of the log."""
    events = found(wanted)
    if before is not None:
        events = events.filter(pk__lt=before)
    rows = list(events[: size + 1])
    return Page(tuple(rows[:size]), rows[size - 1].pk if len(rows) > size else None)


def words(detail: dict[str, Any]) -> str:
    """What an event holds besides who and when, on one line."""
    parts = []
    for name, value in detail.items():
        if isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        if value not in ("", None):
            parts.append(f"{name.replace('_', ' ')}: {value}")
    return "; ".join(parts)


COLUMNS = ("time (UTC)", "action", "who", "from", "subject", "detail")


def rows(wanted: Filter) -> Iterator[tuple[str, ...]]:
    """Every event that fits as cells of a spreadsheet, none of which it takes for a formula."""
    yield COLUMNS
    for event in found(wanted).iterator(chunk_size=1000):
        cells = (f"{event.at:%Y-%m-%d %H:%M:%S}", event.action, event.actor_name, event.address, event.subject)
        yield tuple(safe(cell) for cell in (*cells, words(event.detail)))


def safe(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula (OWASP ASVS 1.2.10)."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\x00")) else cell
