"""Before something new may run, or a program gets a token, an administrator whose login is a while ago enters the
password again.

Whoever activates decides where all mail goes, password resets included, and a token outlasts the session: an unattended
browser must not be enough.
Going back to what ran before asks for nothing: it is the way out of trouble. The API and the command line have tokens
and the machine's own login.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest, HttpResponse

STARTED = "_started"  # in the session: when it logged in; kept by adminapp.sessions


def _login_is_old(request: HttpRequest) -> bool:
    now = time.time()
    since: float = request.session.get(STARTED, now)  # missing in the very request that logged in
    return now - since >= settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def when_login_is_old(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Leads a request to the password and then on, with all that was sent, unless the login or the last time the
    password was entered is recent (15 minutes)."""
    guarded: Callable[..., HttpResponse] = reauthentication_required(enabled=_login_is_old)(view)
    return wraps(view)(guarded)


def is_due(request: HttpRequest) -> bool:
    """Whether the password would be asked for now."""

    def nothing(request: HttpRequest, *args: Any) -> HttpResponse:
        return HttpResponse()

    try:
        when_login_is_old(nothing)(request)
    except ReauthenticationRequired:
        return True
    return False
