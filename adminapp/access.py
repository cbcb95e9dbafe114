"""Login required everywhere but where a view says otherwise, with an answer that suits who asked."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from adminapp.sessions import BACKGROUND_HEADER


class AccessMiddleware(LoginRequiredMiddleware):
    def handle_no_permission(  # type: ignore[override]  # the parent only ever redirects
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        """A page leads to the login and back. A part of a page (htmx) must not show the login inside itself: what
        a person asked for leads the whole page there, what refreshes by itself leaves the page with its unsaved
        input alone."""
        if "HX-Request" not in request.headers:
            return super().handle_no_permission(request, view_func)
        if BACKGROUND_HEADER in request.headers:
            return HttpResponse(status=401)
        current = urlsplit(request.headers.get("HX-Current-URL", "/"))
        back = urlencode({"next": current.path + (f"?{current.query}" if current.query else "")})
        return HttpResponse(status=401, headers={"HX-Redirect": f"{reverse('account_login')}?{back}"})
