"""Accounts as this product has them: made by the first run or on the command line, never by signing up."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """adminapp.edge has settled REMOTE_ADDR, trusted proxies included."""
        return str(request.META["REMOTE_ADDR"])

    def send_mail(self, template_prefix: str, email: str, context: dict[str, object]) -> None:
        """The hall sends no mail: a login must not depend on the mail that it is there to repair."""


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
def create_administrator(*, email: str, password: str) -> User:
    """Makes an account that may do everything. Raises ValidationError for an unfit address or password."""
    normal = check_email(email)
    validate_password(password, User(username=normal, email=normal))
    user = User.objects.create_user(username=normal, email=normal, password=password, is_staff=True, is_superuser=True)
    EmailAddress.objects.create(user=user, email=normal, verified=True, primary=True)
    return user
