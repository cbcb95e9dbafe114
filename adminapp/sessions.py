"""How long a login lasts: 30 minutes without activity, 12 hours in any case."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase

from emailcfg.reauthentication import STARTED

SEEN = "_seen"
# The session row is written at most this often, so that reading pages does not mean writing to the database.
WRITE_EVERY_S = 60
# Sent by parts of a page that refresh themselves: a page left open is not a person at work.
BACKGROUND_HEADER = "X-Background"


class SessionLimitsMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        now = int(time.time())
        if request.user.is_authenticated:
            if now - request.session.get(STARTED, now) >= settings.SESSION_ABSOLUTE_AGE:
                logout(request)
            elif BACKGROUND_HEADER not in request.headers and now - request.session.get(SEEN, 0) >= WRITE_EVERY_S:
                request.session[SEEN] = now  # saving sets the expiry 30 minutes from now
        response = self.get_response(request)
        if request.user.is_authenticated and STARTED not in request.session:
            request.session[STARTED] = now  # this request logged in
        return response
