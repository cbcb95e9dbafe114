"""Tokens: with which programs use the API. Listing, making and revoking them."""

from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from emailcfg import reauthentication
from emailcfg.requests import actor_of
from outbound import auth
from outbound.models import ApiToken

SCOPES = (
    ("messages:send", "Hand over mail, try it again, cancel it"),
    ("messages:read", "Read the log of messages"),
    ("config:read", "Read the configuration, without secrets"),
    ("config:write", "Save revisions and send test mail"),
    ("config:activate", "Activate and roll back"),
)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The list, and the form for a new one."""
    return _page(request)


def _page(request: HttpRequest, *, status: int = 200, **extra: object) -> HttpResponse:
    tokens = sorted(ApiToken.objects.all(), key=lambda token: (token.revoked_at is not None, token.name.casefold()))
    context = {
        "tokens": tokens,
        "scopes": SCOPES,
        "chosen": ["messages:send"],
        "asks_password": reauthentication.is_due(request),
        **extra,
    }
    return render(request, "outbound/tokens.html", context, status=status)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Makes a token and shows it: this once, in the answer itself, which nothing stores. What is missing is said
    before a password is asked for."""
    try:
        auth.check(name=request.POST.get("name", ""), scopes=request.POST.getlist("scope"))
    except auth.TokenRefused as error:
        return _refused(request, error)
    return _create(request)


@reauthentication.when_login_is_old
def _create(request: HttpRequest) -> HttpResponse:
    """Asks for the password when the login is old, so that an unattended browser gives no lasting access away."""
    name = request.POST.get("name", "")
    try:
        made = auth.create(name=name, scopes=request.POST.getlist("scope"), actor=actor_of(request))
    except auth.TokenRefused as error:
        return _refused(request, error)
    return _page(request, made=made, made_name=name.strip())


def _refused(request: HttpRequest, error: auth.TokenRefused) -> HttpResponse:
    name, chosen = request.POST.get("name", ""), request.POST.getlist("scope")
    return _page(request, status=400, error=str(error), name=name, chosen=chosen)


@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """Ends a token for good."""
    try:
        token = auth.revoke(request.POST.get("name", ""), actor=actor_of(request))
        notes.success(request, f"The token {token.name} is revoked. Programs that use it are refused from now on.")
    except auth.TokenRefused as error:
        notes.error(request, str(error))
    return redirect("tokens")
