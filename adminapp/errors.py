"""The pages for what went wrong with a request, in the style of the rest."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    return render(request, "adminapp/error.html", {"title": title, "text": text, "status": status}, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(
        request,
        403,
        "This form is no longer valid",
        "The page was open across a login, or cookies are blocked. Nothing was changed. Go back, reload the page, and "
        "send it again.",
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
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
    return _page(
        request, 404, "There is no such page", "The address is mistyped, or what it showed was deleted meanwhile."
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Without context processors: whatever failed may be what they need."""
    from django.template.loader import get_template

    page = get_template("adminapp/error_500.html").render()
    return HttpResponse(page, status=500)
