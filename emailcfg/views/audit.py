"""The audit log: who did what, when, from where."""

import csv
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from emailcfg import audit_log, audit_words
from emailcfg.audit_log import Filter
from emailcfg.views.history import number_of


def _filter(request: HttpRequest) -> Filter:
    group = request.GET.get("group", "")
    return Filter(
        group=group if group in audit_log.GROUPS else "",
        text=request.GET.get("text", "").replace("\x00", "").strip()[:100],
        since=_day(request.GET.get("since", "")),
        until=_day(request.GET.get("until", "")),
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 else None


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The page, newest first, filtered."""
    wanted = _filter(request)
    query = request.GET.copy()
    query.pop("before", None)
    found = audit_log.page(wanted, before=number_of(request.GET.get("before", "")))
    context = {
        "wanted": wanted,
        "groups": [(value, label) for value, (label, _) in audit_log.GROUPS.items()],
        "events": [(event, audit_words.words(event.action), audit_log.words(event.detail)) for event in found.events],
        "older": found.older,
        "paged": "before" in request.GET,
        "filtered": wanted != Filter(),
        "query": query.urlencode(),
    }
    return render(request, "emailcfg/audit.html", context)


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


@require_safe
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered log for a spreadsheet."""
    writer: Any = csv.writer(_Line())
    response = StreamingHttpResponse(
        (writer.writerow(row) for row in audit_log.rows(_filter(request))), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = 'attachment; filename="audit-log.csv"'
    return response
