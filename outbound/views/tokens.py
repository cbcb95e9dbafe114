"""Tokens: with which programs use the API. Listing, making and revoking them."""

from allauth.account.decorators import reauthentication_required
from django.contrib import messages as notes
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

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
    context = {"tokens": tokens, "scopes": SCOPES, "chosen": ["messages:send"], **extra}
    return render(request, "outbound/tokens.html", context, status=status)


@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def create(request: HttpRequest) -> HttpResponse:
    """Makes a token and shows it: this once, in the answer itself, which nothing stores. Asks for the password first,
    so that an unattended browser gives no lasting access away."""
    name, scopes = request.POST.get("name", ""), request.POST.getlist("scope")
    try:
        made = auth.create(name=name, scopes=scopes, actor=actor_of(request))
    except auth.TokenRefused as error:
        return _page(request, status=400, error=str(error), name=name, chosen=scopes)
    return _page(request, made=made, made_name=name.strip())


@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """Ends a token for good."""
    try:
        token = auth.revoke(request.POST.get("name", ""), actor=actor_of(request))
        notes.success(request, f"The token {token.name} is revoked. Programs that use it are refused from now on.")
    except auth.TokenRefused as error:
        notes.error(request, str(error))
    return redirect("tokens")
