"""Support, and the OmniBar as a part of a page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def omnibar(request: HttpRequest) -> HttpResponse:
    """The content of the OmniBar, banners included; pages ask for it every few seconds."""
    return render(request, "adminapp/omnibar_content.html")
