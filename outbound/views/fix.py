"""Fix my form: puts the exact changes that a failed test found into the form. Nothing is saved or activated."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from emailcfg import diff, drafts, revisions
from emailcfg.destinations import SecretUnavailable
from emailcfg.drafts import DraftConflict, Typed
from emailcfg.forms import SECRET_NAMES, name_of
from emailcfg.models import TestSend
from emailcfg.requests import session_key, user_of
from emailcfg.schema_migrations import NewerSchema
from emailcfg.views.fields import TITLES
from emailcfg.views.pane import state_response, store_posted

_ANOTHER_SERVER = "The form shows another server than the one that was tested. Test what it shows now."


@sensitive_post_parameters(*SECRET_NAMES)
@require_POST
def apply(request: HttpRequest, pk: int) -> HttpResponse:
    """From the form's own page it changes what stands there, a password that is typed there included. From elsewhere
    it loads the tested revision with the changes, or changes the draft that was tested."""
    test = get_object_or_404(TestSend, pk=pk)
    remedy = _remedy(test, request.POST.get("remedy", "0"))
    changes = {path: str(value) for path, value in remedy["changes"].items()}
    if "form" in request.POST:
        return _on_form(request, test, remedy, changes)
    return _elsewhere(request, test, remedy, changes)


def _remedy(test: TestSend, place: str) -> dict[str, Any]:
    if not (place.isascii() and place.isdigit() and len(place) <= 3) or int(place) >= len(test.alternatives):
        raise Http404("This test has no such alternative.")
    found: dict[str, Any] = test.alternatives[int(place)]
    return found


def _on_form(request: HttpRequest, test: TestSend, remedy: dict[str, Any], changes: dict[str, str]) -> HttpResponse:
    posted = {path: request.POST.get(name_of(path), "") for path in remedy["holds_for"]}
    if not _still(remedy, posted):
        return render(request, "outbound/fixed.html", {"test": test, "sentence": _ANOTHER_SERVER})
    try:
        view = store_posted(request, strict=True, changes=changes)
    except DraftConflict:
        return render(request, "emailcfg/draft_conflict.html", {"oob": True})
    except SecretUnavailable as error:
        return render(request, "outbound/fixed.html", {"test": test, "sentence": str(error)})
    response = state_response(request, view)
    again = [state.sentence for state in view.understood.secrets.values() if state.state == "again"]
    context = {"test": test, "changes": _in_words(changes), "again": again[0] if again else ""}
    response.content += render(request, "outbound/fixed.html", context).content
    return response


def _still(remedy: dict[str, Any], values: dict[str, str]) -> bool:
    return all(
        values.get(path, "").strip().lower() == str(tested).lower() for path, tested in remedy["holds_for"].items()
    )


def _in_words(changes: dict[str, str]) -> list[str]:
    return [f"{TITLES[path]}: {diff.shown(path, value)}" for path, value in changes.items()]


def _elsewhere(request: HttpRequest, test: TestSend, remedy: dict[str, Any], changes: dict[str, str]) -> HttpResponse:
    user, key = user_of(request), session_key(request)
    of_revision = test.revision_id if test.source != TestSend.Source.FORM else None
    if of_revision is None:
        if not _still(remedy, dict(drafts.load(user, key).values)):
            messages.error(request, _ANOTHER_SERVER)
            return redirect("email-pane")
    else:
        unsaved = drafts.unsaved_changes(user)
        if unsaved and not request.POST.get("confirm"):
            context = {"test": test, "remedy": request.POST.get("remedy", "0"), "unsaved": unsaved}
            return render(request, "outbound/fix_confirm.html", context)
        try:
            drafts.load_revision(user, key, of_revision)
        except (revisions.RevisionGone, revisions.RevisionUnreadable, NewerSchema) as error:
            messages.error(request, str(error))
            return redirect("email-pane")
    drafts.store(user, key, Typed(values=changes))
    messages.success(request, f"The form is changed: {'; '.join(_in_words(changes))}. Nothing is saved or active yet.")
    return redirect("email-pane")
