"""The first run: whoever holds the token from the console registers the first administrator, once."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from django import forms
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from adminapp.accounts import check_email, create_administrator
from adminapp.models import Claim, SetupToken

TOKEN_LIFETIME = timedelta(minutes=30)
OPEN_PATHS = ("/setup/", "/healthz", "/readyz")


class AlreadyClaimed(Exception):
    """Another registration was first."""


def is_claimed() -> bool:
    return Claim.objects.exists()


def new_token() -> str:
    """Makes a token of 256 random bits, valid 30 minutes; earlier ones end. Only its digest is stored.

    Raises AlreadyClaimed when there is nothing left to claim."""
    if is_claimed():
        raise AlreadyClaimed
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        SetupToken.objects.all().delete()
        SetupToken.objects.create(digest=_digest(token), expires_at=timezone.now() + TOKEN_LIFETIME)
    return token


def is_valid(token: str) -> bool:
    """Looked up by digest, so that timing tells nothing about the token."""
    return SetupToken.objects.filter(digest=_digest(token), expires_at__gt=timezone.now()).exists()


def claim(*, email: str, password: str, address: str = "") -> User:
    """Registers the first administrator and closes the first run for ever, in one transaction.

    Raises ValidationError for an unfit address or password, AlreadyClaimed when another was first."""
    try:
        with transaction.atomic():
            Claim.objects.create(email=email)
            SetupToken.objects.all().delete()
            return create_administrator(email=email, password=password, address=address)
    except IntegrityError:
        if is_claimed():
            raise AlreadyClaimed from None
        raise


class SetupForm(forms.Form):
    token = forms.CharField(
        label="Setup token",
        max_length=200,
        help_text="The program printed it on its console with the setup link. It is valid for 30 minutes.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    email = forms.EmailField(
        label="Email address",
        help_text="You log in with it, and test mails go there unless you choose another address.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        help_text="At least 12 characters. A sentence of a few words is good.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
    )

    def clean_token(self) -> str:
        token: str = self.cleaned_data["token"].strip()
        if not is_valid(token):
            raise ValidationError(
                "This token is not valid, or its 30 minutes are over. Run “.venv/bin/python manage.py setup_token” "
                "where the program runs to get a new one."
            )
        return token

    def clean_email(self) -> str:
        return check_email(self.cleaned_data["email"])

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        email = self.cleaned_data.get("email", "")
        validate_password(password, User(username=email, email=email))
        return password


@sensitive_post_parameters("password", "token")
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """Registers the first administrator; not found once that has happened."""
    if is_claimed():
        raise Http404
    if request.method != "POST":
        return render(
            request, "adminapp/setup.html", {"form": SetupForm(initial={"token": request.GET.get("token", "")})}
        )
    form = SetupForm(request.POST)
    if not form.is_valid():
        return render(request, "adminapp/setup.html", {"form": form}, status=422)
    try:
        user = claim(
            email=form.cleaned_data["email"],
            password=form.cleaned_data["password"],
            address=str(request.META["REMOTE_ADDR"]),
        )
    except AlreadyClaimed:
        return redirect("account_login")
    login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return redirect("/configuration/email/")


class UnclaimedMiddleware:
    """Until the first administrator is registered every page leads to the setup page, and the API answers 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.claimed = False  # true for good once seen: a claim is never taken back while the program runs

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not self.claimed and request.path not in OPEN_PATHS:
            self.claimed = is_claimed()
            if not self.claimed:
                return _unclaimed(request)
        return self.get_response(request)


def _unclaimed(request: HttpRequest) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        problem = {
            "type": "about:blank",
            "title": "Not set up yet",
            "status": 503,
            "code": "not_set_up",
            "detail": "Register the first administrator at /setup/ or with “manage.py createadmin”.",
        }
        return JsonResponse(problem, status=503, content_type="application/problem+json")
    return redirect("setup")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
