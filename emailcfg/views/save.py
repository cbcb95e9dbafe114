"""Saving what the form shows as a revision, and activating it in the same transaction."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from emailcfg import activation, diff, drafts, reauthentication, revisions, secrets
from emailcfg.activation_errors import ActivationError
from emailcfg.destinations import SecretUnavailable
from emailcfg.drafts import DraftConflict
from emailcfg.forms import SECRET_NAMES, name_of
from emailcfg.models import ActiveConfig, ConfigRevision
from emailcfg.preflight import Consequence, Level, of_config, stops_all_mail
from emailcfg.requests import actor_of, session_key, user_of
from emailcfg.schema import EmailConfig
from emailcfg.schema_migrations import NewerSchema
from emailcfg.views.fields import TITLES, PaneView, pane_view
from emailcfg.views.pane import context, state_response, store_posted


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What others did since this form was started: revisions saved, another one activated."""

    saved: list[ConfigRevision] = field(default_factory=list)
    active: ConfigRevision | None = None
    changes: list[diff.Change] = field(default_factory=list)
    both: frozenset[str] = frozenset()  # paths that they and this form changed


@sensitive_post_parameters(*SECRET_NAMES)
@require_POST
def dialog(request: HttpRequest) -> HttpResponse:
    """The save dialog for what the form shows now, or the fields to mend first."""
    try:
        view = store_posted(request, strict=True)
    except DraftConflict:
        return render(request, "emailcfg/draft_conflict.html", {"oob": True})
    except SecretUnavailable as error:
        return render(request, "emailcfg/draft_problem.html", {"oob": True, "sentence": str(error)})
    if "form" not in request.POST:
        return render(request, "emailcfg/save_dialog.html", _dialog_context(request, view, {}))
    extra = _dialog_context(request, view, {})
    response = state_response(request, view)
    response.content += render(request, "emailcfg/save_dialog.html", {**context(view), **extra}).content
    return response


def _dialog_context(
    request: HttpRequest, view: PaneView, given: Mapping[str, str], error: str = ""
) -> dict[str, object]:
    config, active = view.understood.config, activation.current()
    return {
        "pane": view,
        "to_mend": [
            (name_of(path), TITLES.get(path, path), sentences[0]) for path, sentences in view.understood.errors.items()
        ],
        "changes": diff.compare(view.editing.base_config, config) if config is not None else [],
        "consequences": _consequences(config, active) if config is not None else [],
        "asks_password": reauthentication.is_due(request),
        "stops": config is not None and stops_all_mail(config),
        "meanwhile": _meanwhile(view, active),
        "newest": ConfigRevision.objects.values_list("number", flat=True).first() or 0,
        "generation": active.generation,
        "request_id": _request_id(given) or uuid.uuid4().hex,
        "description": given.get("description", ""),
        "error": error,
    }


def _consequences(config: EmailConfig, active: ActiveConfig) -> list[Consequence]:
    """What activating the form's content would mean."""
    try:
        running = revisions.read(active.revision).config if active.revision is not None else None
        return of_config(config, secrets.hash_of(config, secrets.key_ring()), running)
    except (revisions.RevisionUnreadable, NewerSchema, SecretUnavailable):
        return []


def _meanwhile(view: PaneView, active: ActiveConfig) -> Meanwhile | None:
    base = view.editing.base
    if base is None or view.editing.version == 0:
        return None
    since = view.editing.started_at
    saved = list(ConfigRevision.objects.filter(number__gt=base.number, created_at__gt=since)[:5])
    is_later = active.activated_at is not None and since is not None and active.activated_at > since
    moved = active.revision if is_later and active.revision_id != base.number else None
    other = moved or (saved[0] if saved else None)
    if other is None:
        return None
    try:
        changes = diff.compare(view.editing.base_config, revisions.read(other).config)
    except (revisions.RevisionUnreadable, NewerSchema):
        changes = []
    both = frozenset(change.path for change in changes) & frozenset(view.understood.changed)
    return Meanwhile(saved, moved, changes, both)


@require_POST
@transaction.atomic
def save(request: HttpRequest) -> HttpResponse:
    """Saves the draft as a revision (`act=save`), or saves and activates it (`act=activate`): all or nothing. When the
    password has to be entered first, it is saved, and the page that activates it asks."""
    user, key = user_of(request), session_key(request)
    ActiveConfig.objects.locked()  # one save after the other: a double click finds what its first half made
    editing = drafts.load(user, key)
    earlier = _saved_before(request)
    if earlier is not None and editing.version == 0:
        return _done(request, earlier)
    view = pane_view(editing, strict=True)
    config = view.understood.config
    if config is None or not view.understood.changed:
        return render(request, "emailcfg/save_dialog.html", _dialog_context(request, view, request.POST.dict()))
    newest = ConfigRevision.objects.values_list("number", flat=True).first() or 0
    if earlier is not None or request.POST.get("newest") != str(newest):
        return _again(request, view, "Another revision was saved while this dialog was open. Look again, then save.")
    if request.POST.get("stamp") != editing.stamp:
        return _again(request, view, "The form changed while this dialog was open. These are the changes now.")
    try:
        revision = _save(request, view, config)
    except (revisions.RevisionError, ActivationError, SecretUnavailable) as error:
        return _again(request, view, str(error))
    drafts.discard(user)
    return _done(request, revision)


def _saved_before(request: HttpRequest) -> ConfigRevision | None:
    """What an earlier sending of the same dialog made: a double click, or a repeat after a lost answer."""
    request_id = _request_id(request.POST)
    return ConfigRevision.objects.filter(request_id=request_id).first() if request_id else None


def _request_id(posted: Mapping[str, str]) -> str:
    """The dialog's id, or "" when it is none that this page gave."""
    text = posted.get("request_id", "")
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else ""


def _activates(request: HttpRequest) -> bool:
    return request.POST.get("act") == "activate" and not reauthentication.is_due(request)


def _done(request: HttpRequest, revision: ConfigRevision) -> HttpResponse:
    activated = _activates(request)
    if request.POST.get("act") == "activate" and not activated:
        messages.success(request, f"r{revision.number} “{revision.description}” is saved. Activate it here.")
        return HttpResponseClientRedirect(reverse("activate", args=[revision.number]) + "?saved=now")
    saved = f"r{revision.number} “{revision.description}” is saved"
    draft = '{}. It is a draft until you <a href="{}">activate it</a>.'
    to_activate = reverse("activate", args=[revision.number])
    messages.success(request, f"{saved} and active." if activated else format_html(draft, saved, to_activate))
    return HttpResponseClientRedirect(reverse("email-pane") if activated else "/configuration/history/")


@transaction.atomic
def _save(request: HttpRequest, view: PaneView, config: EmailConfig) -> ConfigRevision:
    actor, request_id = actor_of(request), _request_id(request.POST) or None
    revision = revisions.save(
        config=config,
        base=view.editing.base if not view.editing.problem else None,  # one that can't be read is no parent
        description=request.POST.get("description", ""),
        actor=actor,
        request_id=request_id,
    )
    if _activates(request):
        generation = request.POST.get("generation", "")
        warnings = [one.code for one in _consequences(config, activation.current()) if one.level is Level.WARNING]
        activation.activate(
            revision.number,
            expected_generation=int(generation) if re.fullmatch(r"[0-9]{1,18}", generation) else -1,
            actor=actor,
            request_id=request_id,
            reason=revision.description if "stops_all_mail" not in warnings else "",  # stopping asks for its own yes
            warnings=warnings,
            accept_stop=bool(request.POST.get("accept_stop")),
        )
    return revision


def _again(request: HttpRequest, view: PaneView, sentence: str) -> HttpResponse:
    given = {**request.POST.dict(), "request_id": ""}  # what is sent next is another request
    return render(request, "emailcfg/save_dialog.html", _dialog_context(request, view, given, sentence))
