"""Activating: the difference and the consequences first, then how the running processes take it up."""

import hashlib
import uuid
from dataclasses import dataclass, replace
from typing import Any, Self

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from emailcfg import activation, confirm_link, confirmation, convergence, reauthentication, tested
from emailcfg.activation import Activated
from emailcfg.activation_errors import ActivationError, GenerationConflict
from emailcfg.diagnosis.lookup import Lookup, ResolverSettings
from emailcfg.models import Activation, ActiveConfig, ConfigRevision
from emailcfg.preflight import Preflight, preflight
from emailcfg.requests import actor_of
from emailcfg.revisions import RevisionError
from emailcfg.views.history import number_of
from emailcfg.views.revision import found, gone_is_said

MINUTES = (5, 10, 30)  # how long an activation may wait for its confirmation
USUAL_MINUTES = 10
DNS = ResolverSettings(timeout_s=1.0, total_s=2.0)  # DNS may hold the page up by two seconds and no more


@dataclass(frozen=True, slots=True)
class Given:
    """What was entered on the page. `minutes` is 0 for an activation for good."""

    expected_generation: int
    request_id: str
    reason: str = ""
    accept_stop: bool = False
    minutes: int = 0

    @classmethod
    def fresh(cls, look: Preflight) -> Self:
        """Something new is kept only if it is confirmed, unless one chooses otherwise. What ran before is the way out
        of trouble: it stays, for what it replaces would be what comes back by itself."""
        minutes = USUAL_MINUTES if look.can_return and not look.rollback else 0
        return cls(look.active.generation, uuid.uuid4().hex, minutes=minutes)

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """A page without a generation is as stale as can be: it never fits."""
        post = request.POST
        generation = number_of(post.get("expected_generation", ""))
        minutes = number_of(post.get("minutes", "")) if post.get("how") == "confirm" else 0
        return cls(
            -1 if generation is None else generation,
            post.get("request_id", "")[:64],
            post.get("reason", "").strip()[:500],
            bool(post.get("accept_stop")),
            minutes if minutes in MINUTES else 0,
        )


@require_http_methods(["GET", "HEAD", "POST"])
@gone_is_said
def activate(request: HttpRequest, number: int) -> HttpResponse:
    """Shows what activating this revision means, and does it; for the active revision, how far it has come."""
    revision, active = found(number), activation.current()
    if request.method == "POST":
        return _activate(request, _look(revision, active), Given.of(request))
    if active.revision_id == revision.number:
        return _progress(request, active)
    look = _look(revision, active)
    given = Given.fresh(look)
    if "saved" in request.GET:  # its description is the reason, as when it is saved and activated in one step
        given = replace(given, reason=revision.description)
    return _ask(request, look, given)


def _look(revision: ConfigRevision, active: ActiveConfig) -> Preflight:
    return preflight(revision, active, lookup=Lookup(DNS))


def _activate(request: HttpRequest, look: Preflight, given: Given) -> HttpResponse:
    refused = _lacks(look, given)
    if refused and given.expected_generation == look.active.generation:
        return _ask(request, look, given, error=refused, status=422)
    return _run(request, look, given) if look.rollback else _run_new(request, look, given)


def _run(request: HttpRequest, look: Preflight, given: Given) -> HttpResponse:
    try:
        done = activation.activate(
            look.revision.number,
            expected_generation=given.expected_generation,
            actor=actor_of(request),
            request_id=given.request_id,
            reason=given.reason,
            accept_stop=given.accept_stop,
            kind=Activation.Kind.ROLLBACK if look.rollback else Activation.Kind.ACTIVATE,
            warnings=look.warning_codes,
            confirm_within_s=given.minutes * 60 or None,
        )
    except GenerationConflict as conflict:
        fresh = _look(look.revision, conflict.current)
        return _ask(request, fresh, Given.fresh(fresh), error=str(conflict), status=409)
    except ActivationError as error:
        return _ask(request, look, given, error=str(error), status=409)
    return _done(request, done)


_run_new = reauthentication.when_login_is_old(_run)


def _lacks(look: Preflight, given: Given) -> str:
    """What is still missing before it may run, as a sentence."""
    if look.hard:
        return f"r{look.revision.number} can't run as it is. Load it into the form, mend it and save it anew."
    if look.stops_all_mail and not given.accept_stop:
        return "Tick that stopping all mail is meant."
    if look.warnings and not given.reason:
        return "Give a reason for activating in spite of the warnings. It is kept in the history."
    return ""


def _done(request: HttpRequest, done: Activated) -> HttpResponse:
    confirm_link.mail(done, recipient=actor_of(request).name)
    response = redirect("activate", number=done.active.revision_id)
    response.status_code = 303
    return response


def _ask(request: HttpRequest, look: Preflight, given: Given, *, error: str = "", status: int = 200) -> HttpResponse:
    context = {
        "look": look,
        "given": given,
        "error": error,
        "minutes": MINUTES,
        "asks_password": not look.rollback and reauthentication.is_due(request),
        "pending": look.active.confirm_state == ActiveConfig.Confirm.PENDING and not look.rollback,
        "usual_minutes": USUAL_MINUTES,
        "listed": {"tested": tested.of(look.revision.content_hash)},
    }
    return render(request, "emailcfg/activate.html", context, status=status)


def _progress(request: HttpRequest, active: ActiveConfig) -> HttpResponse:
    context = {**_convergence(active), "left": confirmation.seconds_left(active), "request_id": uuid.uuid4().hex}
    return render(request, "emailcfg/activated.html", context)


def _convergence(active: ActiveConfig) -> dict[str, Any]:
    seen = convergence.look(active, activation.database_time())
    facts = [seen.outcome, *(f"{one.name} {one.fate} {one.error}" for one in seen.processes)]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return {"active": active, "convergence": seen, "digest": digest}


@require_safe
def progress(request: HttpRequest) -> HttpResponse:
    """The part of the page that says which processes run the active generation. Unchanged: 204, so that nothing
    flickers. When another generation became active, or a confirmation ended, the page is loaded anew."""
    active = activation.current()
    shown = (request.GET.get("generation"), request.GET.get("state"))
    if "generation" in request.GET and shown != (str(active.generation), active.confirm_state):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    context = _convergence(active)
    if request.GET.get("seen") == context["digest"]:
        return HttpResponse(status=204)
    return render(request, "emailcfg/convergence.html", context)


@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Keeps the active revision for good."""
    given = Given.of(request)
    try:
        confirmation.confirm(
            actor=actor_of(request), expected_generation=given.expected_generation, request_id=given.request_id
        )
    except ActivationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"r{activation.current().revision_id} stays active.")
    return _to_active()


@require_http_methods(["GET", "HEAD", "POST"])
def keep_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The link in a mail: opening it changes nothing, the button keeps the revision."""
    active = activation.current()
    if request.method != "POST":
        context = {"active": active, "left": confirmation.seconds_left(active)}
        return render(request, "emailcfg/confirm_link.html", context)
    try:
        confirmation.confirm(actor=actor_of(request), token=token)
    except ActivationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The mail came through, and r{active.revision_id} stays active.")
    return _to_active()


@require_POST
def rollback(request: HttpRequest) -> HttpResponse:
    """Goes back in one step where nothing speaks against it; otherwise the page asks first."""
    given, active = Given.of(request), activation.current()
    number = number_of(request.POST.get("number", "")) or active.fallback_id
    is_return = active.confirm_state == ActiveConfig.Confirm.PENDING and number == active.fallback_id
    try:
        look = _look(found(number or 0), active)
        if look.hard or (look.warnings and not is_return and not given.reason):
            return redirect("activate", number=look.revision.number)
        done = activation.rollback(
            number,
            expected_generation=given.expected_generation,
            actor=actor_of(request),
            request_id=given.request_id,
            reason=given.reason or ("Returned by hand." if is_return else ""),
            warnings=look.warning_codes,
        )
    except (ActivationError, RevisionError) as error:
        messages.error(request, str(error))
        return _to_active()
    return _done(request, done)


def _to_active() -> HttpResponse:
    number = activation.current().revision_id
    return redirect("history") if number is None else redirect("activate", number=number)
