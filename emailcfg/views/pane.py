"""Configuration > Email: the form, kept on the server while it is typed."""

import json
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from emailcfg import drafts, revisions
from emailcfg.drafts import DraftConflict, Typed
from emailcfg.encryption import SecretUnavailable
from emailcfg.forms import SECRET_NAMES, name_of
from emailcfg.providers import ses
from emailcfg.providers.presets import PRESETS
from emailcfg.requests import session_key, user_of
from emailcfg.schema import SECRET_PATHS
from emailcfg.schema_migrations import NewerSchema
from emailcfg.typed import PATHS, SWITCHES, Values
from emailcfg.views.fields import PaneView, pane_view, ses_region, shown_values

SES_WANTS_ANOTHER = (
    "This looks like an AWS secret access key. Amazon SES wants the SMTP password derived from it. Convert it here; "
    "the key itself is not kept."
)


@require_GET
def pane(request: HttpRequest) -> HttpResponse:
    """The page. Shows the user's draft, or the active revision when there is none."""
    editing = drafts.load(user_of(request), session_key(request))
    return render(request, "emailcfg/pane.html", context(pane_view(editing)))


def context(view: PaneView) -> dict[str, Any]:
    """What every template of the pane needs besides the request."""
    preset = PRESETS.get(view.editing.values["smtp.preset"])
    return {"pane": view, "preset": preset, "ses_region": ses_region(view.editing.values), "oob": False}


@sensitive_post_parameters(*SECRET_NAMES)
@require_POST
def draft(request: HttpRequest) -> HttpResponse:
    """Takes what was typed so far; answers with the notes, headers and repairs that follow from it."""
    if "undo" in request.POST:
        return _undo(request, request.POST["undo"])
    try:
        view = store_posted(request)
    except DraftConflict:
        return render(request, "emailcfg/draft_conflict.html", {"oob": True})
    except SecretUnavailable as error:
        return render(request, "emailcfg/draft_problem.html", {"oob": True, "sentence": str(error)})
    return state_response(request, view)


def state_response(request: HttpRequest, view: PaneView, *, template: str = "emailcfg/pane_state.html") -> HttpResponse:
    """The parts of the page that follow from the form's state, swapped in place; and, as an event for the
    browser, the values that the server repaired or filled in."""
    response = render(request, template, {**context(view), "oob": True})
    shown = shown_values(view.editing.values, request.POST)
    shown["ses_region"] = ses_region(view.editing.values)
    if view.converted:
        shown["smtp__password"] = ""
    response["HX-Trigger"] = json.dumps({"form-values": shown, "omnibar:refresh": None})
    return response


def store_posted(request: HttpRequest, *, strict: bool = False) -> PaneView:
    """Stores the posted form as the user's draft and returns its view; a request without the form's fields
    (another page's Save button) leaves the draft as it is. Raises DraftConflict, SecretUnavailable."""
    user, key = user_of(request), session_key(request)
    if "form" not in request.POST:
        return pane_view(drafts.load(user, key), strict=strict)
    before = drafts.load(user, key)
    typed, refused = _typed(request, before.values)
    converted = ""
    if request.POST.get("convert") == "ses" and "smtp.password" in typed.secrets:
        typed, converted = _converted(typed, {**before.values, **typed.values})
    elif _is_aws_secret(typed, {**before.values, **typed.values}):
        refused["smtp.password"] = SES_WANTS_ANOTHER
    typed = replace(typed, secrets={path: text for path, text in typed.secrets.items() if path not in refused})
    editing = drafts.store(user, key, typed)
    return pane_view(editing, strict=strict, refused=refused, converted=converted)


def _typed(request: HttpRequest, before: Values) -> tuple[Typed, dict[str, str]]:
    """The posted form, and the secrets that were refused before anything looked at them."""
    values = {}
    for path in PATHS:
        name = name_of(path)
        if path in SWITCHES:
            values[path] = "on" if request.POST.get(name) else ""
        elif name in request.POST:
            values[path] = request.POST[name]
    values = _with_preset(values, before, request.POST.get("ses_region", ""))
    posted = {path: request.POST.get(name_of(path), "") for path in SECRET_PATHS}
    posted["sendgrid.api_key"] = posted["sendgrid.api_key"].strip()
    masks = [path for path, text in posted.items() if text and set(text) == {"•"}]
    refused = dict.fromkeys(masks, "Enter the secret itself, or leave the field empty to keep it.")
    removed = frozenset(path for path in SECRET_PATHS if request.POST.get("remove") == path)
    version = None if request.POST.get("force") else _version(request)
    return Typed(values, {path: text for path, text in posted.items() if text}, removed, version), refused


def _version(request: HttpRequest) -> int:
    text = request.POST.get("draft_version", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _with_preset(values: Values, before: Values, region: str) -> Values:
    """Choosing a preset fills in what it knows; choosing a region of Amazon SES fills in its host. What is typed
    later stays as typed."""
    preset = PRESETS.get(values.get("smtp.preset", ""))
    if preset is not None and values["smtp.preset"] != before["smtp.preset"]:
        values = {**values, **{f"smtp.{name}": text for name, text in preset.fills.items()}}
    if region and values.get("smtp.preset") == "ses" and region != ses.region_of(before["smtp.host"]):
        values = {**values, "smtp.host": ses.endpoint(region)}
    return values


def _is_aws_secret(typed: Typed, values: Values) -> bool:
    is_ses = values["smtp.preset"] == "ses" or ses.region_of(values["smtp.host"]) is not None
    return is_ses and ses.looks_like_aws_secret(typed.secrets.get("smtp.password", ""))


def _converted(typed: Typed, values: Values) -> tuple[Typed, str]:
    region = ses.region_of(values["smtp.host"].strip().lower())
    if region is None:
        return replace(typed, secrets={}), "Choose the region first: the SMTP password is made for one region."
    password = ses.smtp_password(typed.secrets["smtp.password"], region)
    secrets = {**typed.secrets, "smtp.password": password}
    return replace(typed, secrets=secrets), f"Converted to the SMTP password for {region}. The AWS key was not kept."


def _undo(request: HttpRequest, path: str) -> HttpResponse:
    editing = drafts.undo(user_of(request), session_key(request), path)
    return state_response(request, pane_view(editing))


@require_POST
def discard(request: HttpRequest) -> HttpResponse:
    """Forgets every unsaved change."""
    drafts.discard(user_of(request))
    messages.info(request, "Your unsaved changes are discarded. The form shows what is active.")
    return redirect("email-pane")


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
