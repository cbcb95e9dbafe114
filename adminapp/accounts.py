"""Accounts as this product has them: made by the first run or on the command line, never by signing up."""

from typing import ClassVar

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest

from emailcfg import audit
from emailcfg.actor import Actor


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    error_messages: ClassVar = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The email address or the password is wrong.",
        "incorrect_password": "The password is wrong.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """adminapp.edge has settled REMOTE_ADDR, trusted proxies included."""
        return str(request.META["REMOTE_ADDR"])

    def login(self, request: HttpRequest, user: User) -> None:
        super().login(request, user)
        audit.record("login", actor=_actor(request, user))

    def authentication_failed(self, request: HttpRequest, **credentials: str) -> None:
        """Records the address that was tried, cut, and never the password."""
        tried = (credentials.get("email") or credentials.get("username") or "")[:254]
        audit.record("login.failed", actor=_actor(request, name=tried))

    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            audit.record("logout", actor=_actor(request, request.user))
        super().logout(request)

    def set_password(self, user: User, password: str) -> None:
        super().set_password(user, password)
        audit.record(
            "password.changed", actor=Actor(name=user.get_username(), user=user, address=_address(self.request))
        )

    def send_mail(self, template_prefix: str, email: str, context: dict[str, object]) -> None:
        """The hall sends no mail: a login must not depend on the mail that it is there to repair."""


def _address(request: HttpRequest | None) -> str:
    """Where the request came from; "" where there is none, as on the command line."""
    return str(request.META["REMOTE_ADDR"]) if request is not None else ""


def _actor(request: HttpRequest, user: User | None = None, name: str = "") -> Actor:
    return Actor(name=user.get_username() if user else name, user=user, address=_address(request))


def check_email(email: str) -> str:
    """The address in the form it is stored in; it is the user name. Raises ValidationError."""
    normal = email.strip().lower()
    validate_email(normal)
    if len(normal) > 150:
        raise ValidationError("The email address is longer than 150 characters.")
    if User.objects.filter(username=normal).exists():
        raise ValidationError("This email address has an account already.")
    return normal


@transaction.atomic
def create_administrator(*, email: str, password: str, address: str = "") -> User:
    """Makes an account that may do everything; `address` is where the request for it came from, if it was one.
    Raises ValidationError for an unfit address or password."""
    normal = check_email(email)
    validate_password(password, User(username=normal, email=normal))
    user = User.objects.create_user(username=normal, email=normal, password=password, is_staff=True, is_superuser=True)
    EmailAddress.objects.create(user=user, email=normal, verified=True, primary=True)
    audit.record("administrator.created", actor=Actor(name=normal, user=user, address=address), subject=normal)
    return user
