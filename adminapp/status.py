"""Status: does mail work now, what stands in the way, the queue, the last day, the processes, the installation."""

import hashlib
import platform
from typing import Any

import django
from django.conf import settings
from django.contrib import messages as notes
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from adminapp.alerts import alerts
from adminapp.chart import chart
from adminapp.verdict import gather, verdict
from emailcfg import activation
from emailcfg.requests import actor_of
from emailcfg.schema import SCHEMA_VERSION
from outbound import healthcheck, instances, queries, queue, restart
from outbound.models import State
from outbound.testsend import TooManyTests

# The processes are forked after this was imported: it is when the program started.
_STARTED_AT = timezone.now()


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The whole page."""
    context = {**_now(request), "chart": chart(), "installation": _installation()}
    context |= _live(request, context)
    return render(request, "adminapp/status.html", context)


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """What moves: 204 when it looks as the page already shows it. The sentence at the top, which is announced, comes
    along only when it changed; the chart when a new one is asked for."""
    context = _now(request)
    context |= _live(request, context)
    if context["seen"] == request.GET.get("seen"):
        return HttpResponse(status=204)
    context["say"] = context["verdict"].sentence != request.GET.get("said")
    answer = render(request, "adminapp/status_live.html", context)
    # The bar above says the same in short: it must not contradict the page until it asks by itself.
    return trigger_client_event(answer, "omnibar:refresh") if context["say"] else answer


@require_safe
def day(request: HttpRequest) -> HttpResponse:
    """The chart and its table alone."""
    return render(request, "adminapp/status_day.html", {"chart": chart(), "swapped": True})


def _now(request: HttpRequest) -> dict[str, Any]:
    facts = gather(activation.current())
    numbers = queries.queue_numbers(facts.now)
    shown = [(one, instances.state_of(one)) for one in instances.recent()]
    ended = [one for one in shown if one[1] != "stopped"]
    warnings = alerts(facts, numbers)
    return {
        "facts": facts,
        "verdict": verdict(facts),
        "alerts": warnings,
        "alert_checks": any(alert.can_check for alert in warnings),
        "numbers": [
            ("Queued", numbers.due, str(State.QUEUED), "due now"),
            ("Sending", numbers.sending, str(State.SENDING), "with a process"),
            ("Deferred", numbers.deferred, str(State.DEFERRED), "tried again later"),
            ("In doubt", numbers.in_doubt, str(State.IN_DOUBT), "answer missing"),
            ("Failed", numbers.failed, str(State.FAILED), "or partly, in 24 hours"),
        ],
        "oldest_due_at": numbers.oldest_due_at,
        "health": healthcheck.standing(),
        "processes": ended,
        "restart": restart.look(),
    }


def _live(request: HttpRequest, context: dict[str, Any]) -> dict[str, str]:
    """What moves above the chart and below it, and a digest of both."""
    parts = render_to_string("adminapp/status_parts.html", context, request=request)
    running = render_to_string("adminapp/status_running.html", context, request=request)
    return {"parts": parts, "running": running, "seen": _digest(parts + running)}


def _digest(shown: str) -> str:
    """Of what is shown; the CSRF token differs in each answer and is left out."""
    lines = [line for line in shown.splitlines() if "csrfmiddlewaretoken" not in line]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _installation() -> list[tuple[str, str]]:
    database = connection.settings_dict
    name = (
        database["NAME"]
        if connection.vendor == "sqlite"
        else f"{database['NAME']} at {database['HOST'] or 'localhost'}"
    )
    addresses = [f"http port {settings.HTTP_PORT}", f"https port {settings.HTTPS_PORT}", f"on {settings.BIND}"]
    return [
        ("Reached at", settings.PUBLIC_BASE_URL or ", ".join(addresses)),
        ("Database", f"{connection.display_name}, {name}"),
        ("Data folder", str(settings.DATA_DIR)),
        ("Version", settings.VERSION),
        ("Runs on", f"Python {platform.python_version()}, Django {django.__version__}, schema {SCHEMA_VERSION}"),
        ("Engine", "Celery" if settings.BROKER_URL else "embedded"),
        ("Running since", f"{timezone.localtime(_STARTED_AT):%Y-%m-%d %H:%M %Z}"),
    ]


@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    """Stops sending until somebody resumes it."""
    if queue.pause(actor=actor_of(request), reason=request.POST.get("reason", "")):
        notes.success(request, "Sending is paused. What is on its way ends; everything else waits.")
    else:
        notes.info(request, "Sending was paused already; who paused it and why stands below. Nothing was changed.")
    return redirect("status")


@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    """Lets mail leave again."""
    if queue.resume(actor=actor_of(request)):
        notes.success(request, "Mail leaves again.")
    else:
        notes.info(request, "Sending was not paused any more. Nothing was changed.")
    return redirect("status")


@require_POST
def probe(request: HttpRequest) -> HttpResponse:
    """Tries one message now, although the queue is held."""
    generations = instances.generations_in_use(activation.current().generation, instances.delivering())
    tried = [queue.try_now(generation, actor=actor_of(request)) for generation in generations]
    if any(tried):
        notes.success(request, "One message is tried now. The others follow as soon as it is accepted.")
    else:
        notes.info(request, "Nothing holds the queue any more.")
    return redirect("status")


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Checks the login of the active configuration now, as the service does once a day, and shows each step."""
    try:
        test = healthcheck.start(actor_of(request))
    except (healthcheck.NothingToCheck, TooManyTests) as problem:
        notes.error(request, str(problem))
        return redirect("status")
    return redirect("test-progress", pk=test.pk)


@require_POST
def restart_services(request: HttpRequest) -> HttpResponse:
    """Asks every process to restart, one after the other; the page shows how far it is."""
    try:
        restart.ask(actor=actor_of(request))
    except restart.RestartRefused as refused:
        notes.error(request, str(refused))
    return redirect(f"{reverse('status')}#processes-title")
