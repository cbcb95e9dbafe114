"""Reads from a request who acts, and for which session."""

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from emailcfg.actor import Actor


def user_of(request: HttpRequest) -> AbstractBaseUser:
    """The logged-in user. LoginRequiredMiddleware lets nobody else reach a page of the configuration."""
    user = request.user
    if not isinstance(user, AbstractBaseUser):
        raise PermissionError("A page behind the login was reached without one.")
    return user


def session_key(request: HttpRequest) -> str:
    """The key of the session, by which a typed secret is bound to it."""
    return request.session.session_key or ""


def actor_of(request: HttpRequest) -> Actor:
    """Who acts, for the audit log."""
    user = user_of(request)
    return Actor(name=user.get_username(), user=user, address=str(request.META.get("REMOTE_ADDR", "")))
