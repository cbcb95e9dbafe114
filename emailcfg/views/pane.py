"""Configuration > Email: the form, kept on the server while it is typed."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from emailcfg import drafts, past_tests, posted_secrets, revisions
from emailcfg.destinations import SecretUnavailable
from emailcfg.drafts import DraftConflict, Typed
from emailcfg.forms import SECRET_NAMES, name_of
from emailcfg.providers import ses
from emailcfg.providers.presets import PRESETS
from emailcfg.requests import session_key, user_of
from emailcfg.schema import SECRET_PATHS
from emailcfg.schema_migrations import NewerSchema
from emailcfg.typed import PATHS, SWITCHES, Values, tidy
from emailcfg.views.fields import PaneView, pane_view, pinned_fields, ses_region, shown_values


@require_GET
def pane(request: HttpRequest) -> HttpResponse:
    """The page. Shows the user's draft, or the active revision when there is none."""
    editing = drafts.load(user_of(request), session_key(request))
    view = pane_view(editing)
    last_run = past_tests.at_hand(view.content_hash, user_of(request))
    return render(request, "emailcfg/pane.html", {**context(view), "last_run": last_run})


def context(view: PaneView) -> dict[str, Any]:
    """What every template of the pane needs besides the request."""
    preset = PRESETS.get(view.editing.values["smtp.preset"])
    return {"pane": view, "preset": preset, "ses_region": ses_region(view.editing.values), "oob": False}


@sensitive_post_parameters(*SECRET_NAMES)
@require_POST
def draft(request: HttpRequest) -> HttpResponse:
    """Takes what was typed so far; answers with the notes, headers and repairs that follow from it."""
    try:
        view = _undone(request, request.POST["undo"]) if "undo" in request.POST else store_posted(request)
    except DraftConflict:
        return render(request, "emailcfg/draft_conflict.html", {"oob": True})
    except SecretUnavailable as error:
        return render(request, "emailcfg/draft_problem.html", {"oob": True, "sentence": str(error)})
    return state_response(request, view)


def state_response(request: HttpRequest, view: PaneView) -> HttpResponse:
    """The parts of the page that follow from the form's state, swapped in place; among them the values that the
    server repaired, filled in or put back, for the browser to show."""
    shown = shown_values(view, request.POST)
    shown["ses_region"] = ses_region(view.editing.values)
    cleared = [*view.reworked, *(path for path in SECRET_PATHS if path in _put_back(request))]
    shown |= {name_of(path): "" for path in cleared}
    response = render(request, "emailcfg/pane_state.html", {**context(view), "oob": True, "shown": json.dumps(shown)})
    response["HX-Trigger"] = "omnibar:refresh"
    return response


def _put_back(request: HttpRequest) -> tuple[str, str]:
    """The paths this request takes out of the form: their fields are emptied."""
    return request.POST.get("undo", ""), request.POST.get("remove", "")


def store_posted(request: HttpRequest, *, strict: bool = False, changes: Mapping[str, str] | None = None) -> PaneView:
    """Stores the posted form as the user's draft and returns its view; a request without the form's fields
    (another page's Save button) leaves the draft as it is. `changes` are values by path that replace what was
    posted, as a person has just asked for. Raises DraftConflict, SecretUnavailable."""
    user, key = user_of(request), session_key(request)
    if "form" not in request.POST:
        return pane_view(drafts.load(user, key), strict=strict)
    before = drafts.load(user, key)
    values = {**_posted_values(request, before.values), **(changes or {})}
    after = tidy({**before.values, **values}).values
    found = posted_secrets.read(request.POST, after)
    removed = frozenset(path for path in SECRET_PATHS if request.POST.get("remove") == path)
    typed_secrets = {path: text for path, text in found.typed.items() if path not in removed}
    stamp = None if request.POST.get("force") else request.POST.get("draft_version", "")
    editing = drafts.store(user, key, Typed(values, typed_secrets, removed, stamp))
    return pane_view(editing, strict=strict, refused=found.refused, reworked=found.reworked)


def _posted_values(request: HttpRequest, before: Values) -> Values:
    values, locked = {}, pinned_fields()
    for path in PATHS:
        name = name_of(path)
        if name in locked:
            continue  # a locked control sends nothing, which would read as "off"
        if path in SWITCHES:
            values[path] = "on" if request.POST.get(name) else ""
        elif name in request.POST:
            values[path] = request.POST[name]
    return _with_preset(values, before, request.POST.get("ses_region", ""))


def _with_preset(values: Values, before: Values, region: str) -> Values:
    """Choosing a preset fills in what it knows; choosing a region of Amazon SES fills in its host. What is typed
    later stays as typed."""
    preset = PRESETS.get(values.get("smtp.preset", ""))
    if preset is not None and values["smtp.preset"] != before["smtp.preset"]:
        values = {**values, **{f"smtp.{name}": text for name, text in preset.fills.items()}}
    if region in ses.REGION_CODES and values.get("smtp.preset") == "ses" and region != ses_region(before):
        values = {**values, "smtp.host": ses.endpoint(region)}
    return values


def _undone(request: HttpRequest, path: str) -> PaneView:
    user, key = user_of(request), session_key(request)
    if request.POST.get("draft_version", "") != drafts.load(user, key).stamp:
        raise DraftConflict
    return pane_view(drafts.undo(user, key, path))


@require_POST
def discard(request: HttpRequest) -> HttpResponse:
    """Forgets every unsaved change."""
    drafts.discard(user_of(request))
    messages.info(request, "Your unsaved changes are discarded. The form shows what is saved.")
    return (
        HttpResponseClientRedirect(reverse("email-pane")) if "HX-Request" in request.headers else redirect("email-pane")
    )


@require_POST
def load_revision(request: HttpRequest, number: int) -> HttpResponse:
    """Puts the values of a revision into the form. With unsaved changes it asks first (`confirm=1` says yes)."""
    user, key = user_of(request), session_key(request)
    unsaved = drafts.unsaved_changes(user)
    if unsaved and not request.POST.get("confirm"):
        return render(request, "emailcfg/load_confirm.html", {"number": number, "unsaved": unsaved})
    try:
        _, migrated = drafts.load_revision(user, key, number)
    except (revisions.RevisionGone, revisions.RevisionUnreadable, NewerSchema) as error:
        messages.error(request, str(error))
        return redirect("/configuration/history/")
    messages.success(request, f"The form shows r{number}. Nothing is saved or active yet.")
    for sentence in migrated:
        messages.info(request, sentence)
    return redirect("email-pane")
