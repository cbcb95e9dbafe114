"""One revision, the difference between two, and the end of a draft."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from emailcfg import activation, diff, domain_check, history, obstacles, past_tests, revisions
from emailcfg.models import AuditEvent, ConfigRevision
from emailcfg.requests import actor_of
from emailcfg.revisions import Loaded, RevisionGone, RevisionUnreadable
from emailcfg.schema import SECRET_PATHS, EmailConfig, walk
from emailcfg.schema_migrations import NewerSchema
from emailcfg.views.history import number_of

_MAX_NUMBER = 2**63 - 1  # what the database's integers hold
SECTIONS = {"general": "General", "delivery": "Delivery", "smtp": "SMTP", "sendgrid": "SendGrid"}


def gone_is_said(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answers 404 for a number that never was and 410 for a deleted draft, with who deleted it and when."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except RevisionGone as error:
            names = [f"r{value}" for name, value in kwargs.items() if name in ("number", "a", "b")]
            existing = {f"r{number}" for number in _existing(kwargs)}
            missing = [name for name in names if name not in existing]
            deleted = AuditEvent.objects.filter(action="revision.deleted", subject__in=missing).first()
            context = {"missing": missing[0] if missing else "", "deleted": deleted, "error": str(error)}
            return render(request, "emailcfg/revision_gone.html", context, status=410 if deleted else 404)

    return answer


def _existing(kwargs: dict[str, Any]) -> list[int]:
    numbers = [min(value, _MAX_NUMBER) for name, value in kwargs.items() if name in ("number", "a", "b")]
    return list(ConfigRevision.objects.filter(number__in=numbers).values_list("number", flat=True))


def found(number: int) -> ConfigRevision:
    """The revision of a number out of an address, however large. Raises RevisionGone."""
    return revisions.get(number)


@dataclass(frozen=True, slots=True)
class Value:
    """One field of a revision as the page shows it."""

    title: str
    text: str
    empty: bool
    secret: bool = False

    @property
    def lines(self) -> int:
        """A certificate has many, and is folded."""
        return len(self.text.splitlines())


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    values: tuple[Value, ...]


def sections(config: EmailConfig) -> tuple[Section, ...]:
    """All values of a configuration, readable; of a secret only whether it is set."""
    grouped: dict[str, list[Value]] = {name: [] for name in SECTIONS}
    for path, title, value in walk(config):
        if path in SECRET_PATHS:
            shown = Value(title, "set" if value is not None else "not set", value is None, secret=True)
        else:
            shown = Value(title, diff.shown(path, value), value in ("", None))
        grouped[path.split(".")[0]].append(shown)
    return tuple(Section(SECTIONS[name], tuple(values)) for name, values in grouped.items())


def _loaded(revision: ConfigRevision) -> tuple[Loaded | None, str]:
    """The configuration of a revision, or the sentence that says why it can't be read."""
    try:
        return revisions.read(revision), ""
    except (RevisionUnreadable, NewerSchema) as error:
        return None, str(error)


@require_safe
@gone_is_said
def show(request: HttpRequest, number: int) -> HttpResponse:
    """The page of one revision: all its values, its tests, and what can be done with it."""
    revision, active = found(number), activation.current()
    loaded, unreadable = _loaded(revision)
    before = number_of(request.GET.get("tests_before", ""))
    context = {
        "listed": history.listed([revision], active)[0],
        "revision": revision,
        "active": active,
        "sections": sections(loaded.config) if loaded else (),
        "unreadable": unreadable,
        "problems": obstacles.problems(revision) if loaded else [],
        "migrated": loaded.migrated if loaded else (),
        "tests": past_tests.page(revision.content_hash, before=before, with_checks="checks" in request.GET),
        "paged": before is not None,
        "with_checks": "checks" in request.GET,
        "domain_question": domain_check.of_config(loaded.config) if loaded else None,
        "activations": revision.activations.select_related("previous")[:10],
    }
    return render(request, "emailcfg/revision.html", context)


@require_safe
@gone_is_said
def difference(request: HttpRequest, a: int, b: int) -> HttpResponse:
    """What differs between two revisions, field by field."""
    before, after = found(a), found(b)
    active = activation.current()
    first, second = _loaded(before), _loaded(after)
    changes = diff.compare(first[0].config, second[0].config) if first[0] and second[0] else None
    context = {
        "before": before,
        "after": after,
        "active": active,
        "ran_before": after.activations.exists(),
        "changes": changes,
        "unreadable": [text for _, text in (first, second) if text],
    }
    return render(request, "emailcfg/revision_diff.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@gone_is_said
def delete(request: HttpRequest, number: int) -> HttpResponse:
    """Asks, then deletes a draft."""
    revision = found(number)
    listed = history.listed([revision], activation.current())[0]
    if request.method != "POST":
        return render(request, "emailcfg/revision_delete.html", {"listed": listed, "revision": revision})
    try:
        revisions.delete(number, actor=actor_of(request))
    except revisions.RevisionInUse as error:
        messages.error(request, str(error))
        return redirect("revision", number=number)
    messages.success(request, f"The draft r{number} is deleted.")
    return redirect("history")
