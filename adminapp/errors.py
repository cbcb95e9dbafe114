"""What is answered when something went wrong with a request: a page for people, a problem document below /api/."""

import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.views.decorators.csrf import requires_csrf_token

from emailcfg.problems import CONTENT_TYPE, Problem

API_PREFIX = "/api/"


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    return render(request, "adminapp/error.html", {"title": title, "text": text, "status": status}, status=status)


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    problem = Problem(status, code, detail)
    return JsonResponse(problem.document(), status=status, content_type=CONTENT_TYPE)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(
        request,
        403,
        "This form is no longer valid",
        "The page was open across a login, or cookies are blocked. Nothing was changed. Go back, reload the page, and "
        "send it again.",
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return _problem(400, "bad_request", "Name this service by its own host name, one of ALLOWED_HOSTS.")
    return _page(
        request,
        400,
        "This request can't be answered",
        "The address in the browser may not be one this installation answers to. Open it by a name in ALLOWED_HOSTS, "
        "or add this one there.",
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 403, "You may not do this", "Your account lacks the right for this page or action.")


@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return _problem(404, "not_found", "There is nothing at this address.")
    if request.path == "/setup/":
        text = "Its administrator is registered, so the setup link has done its work. Log in instead."
        return _page(request, 404, "This installation is set up", text)
    return _page(
        request, 404, "There is no such page", "The address is mistyped, or what it showed was deleted meanwhile."
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Without context processors: whatever failed may be what they need. A database that is locked or full for the
    moment is no error of the program: 503, wherever it was met."""
    if isinstance(sys.exc_info()[1], OperationalError):
        return _database_unavailable(request)
    if request.path.startswith(API_PREFIX):
        return _problem(500, "internal_error", "The service failed in answering. Its log says why; repeat the request.")
    page = get_template("adminapp/error_500.html").render()
    return HttpResponse(page, status=500)


def _database_unavailable(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        sentence = "The database can't take this request right now. Nothing was changed; repeat it."
        response: HttpResponse = _problem(503, "database_unavailable", sentence)
    else:
        response = HttpResponse(get_template("adminapp/error_503.html").render(), status=503)
    response["Retry-After"] = "5"
    return response
