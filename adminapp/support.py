"""The Support page: explains pasted errors and headers, checks the sender domain, hands out the support bundle."""

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from adminapp import bundle
from emailcfg import activation, audit, domain_check, revisions
from emailcfg.diagnosis.headers import read_headers
from emailcfg.diagnosis.pasted import LIMIT, explain_text
from emailcfg.domain_check import Question
from emailcfg.requests import actor_of
from emailcfg.revisions import RevisionUnreadable
from emailcfg.schema_migrations import NewerSchema


@dataclass
class _Asked:
    """What was pasted or entered, kept in the page, and what came of it."""

    text: str = ""
    found: Any = None
    done: bool = field(default=False)


@require_http_methods(["GET", "HEAD", "POST"])
def support(request: HttpRequest) -> HttpResponse:
    """Each tool is a plain form that comes back to this page. What is pasted is looked at and not kept."""
    error, headers, domain = _Asked(), _Asked(), _Asked()
    text = request.POST.get("text", "")[: 4 * LIMIT]
    match request.POST.get("tool", ""):
        case "explain":
            error = _Asked(text, explain_text(text), done=True)
        case "headers":
            headers = _Asked(text, read_headers(text), done=True)
        case "domain":
            question = domain_check.of_posted(request.POST.dict())
            domain = _Asked(done=True, found=domain_check.check(question) if question.domain else None)
    context = {
        "error": error,
        "headers": headers,
        "domain": domain,
        "question": domain_check.of_posted(request.POST.dict()) if domain.done else _active_question(),
    }
    return render(request, "adminapp/support.html", context)


def _active_question() -> Question:
    """The sender domain of what is active, to start from."""
    revision = activation.current().revision
    if revision is None:
        return Question("")
    try:
        return domain_check.of_config(revisions.read(revision).config)
    except (RevisionUnreadable, NewerSchema):
        return Question("")


@require_POST
def download(request: HttpRequest) -> HttpResponse:
    """The support bundle as a zip."""
    full = bool(request.POST.get("full_addresses"))
    content = bundle.build(full_addresses=full)
    audit.record("support.bundle", actor=actor_of(request), full_addresses=full)
    response = HttpResponse(content, content_type="application/zip")
    name = f"adminapp-support-{timezone.now():%Y%m%d-%H%M}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
