"""History: what was saved, and beside it what ran when."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from emailcfg import activation, history

_MAX_NUMBER = 2**63 - 1


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The page; `before` and `earlier` are the keys of the next parts of the two lists, `at` a moment to look up."""
    active = activation.current()
    moment = _moment(request.GET.get("at", ""))
    context = {
        "active": active,
        "page": history.page(active, before=number_of(request.GET.get("before", ""))),
        "timeline": history.timeline(before=number_of(request.GET.get("earlier", ""))),
        "paged": "before" in request.GET,
        "at": request.GET.get("at", ""),
        "moment": moment,
        "live": history.live_at(moment) if moment else None,
    }
    return render(request, "emailcfg/history.html", context)


def number_of(text: str) -> int | None:
    """A number from an address, None when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_NUMBER else None


def _moment(text: str) -> datetime | None:
    """A time from an address, read in the viewer's zone when it names none; None when it is no time."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else timezone.make_aware(moment)
    except (ValueError, OverflowError):
        return None


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Leads from the two chosen rows to their difference, the older one first; asks for what was not chosen."""
    a, b = number_of(request.GET.get("a", "")), number_of(request.GET.get("b", ""))
    if a is None or b is None:
        return render(request, "emailcfg/history_compare.html", {"a": a or "", "b": b or ""})
    return redirect("revision-diff", a=min(a, b), b=max(a, b))
