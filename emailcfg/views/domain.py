"""The sender domain's check as a part of a page: started by a button, then asked for until it is done."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from emailcfg import domain_check

_POLLS = 60  # at half a second each: longer than any check may take


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Starts the check for what the form shows now."""
    question = domain_check.of_posted(request.POST.dict())
    if not question.domain:
        return render(request, "emailcfg/domain_result.html", {"sentence": "Enter the sender address first."})
    key = domain_check.start(question)
    return render(request, "emailcfg/domain_result.html", {"key": key, "check": domain_check.result(key), "poll": 1})


@require_GET
def progress(request: HttpRequest, key: str) -> HttpResponse:
    """The check as it stands; the page asks again while it runs."""
    poll = request.GET.get("poll", "1")
    number = int(poll) + 1 if poll.isascii() and poll.isdigit() and len(poll) < 4 else _POLLS
    check = domain_check.result(key)
    if check is None or (check["state"] == "running" and number > _POLLS):
        sentence = "The check ended without a result. Start it again."
        return render(request, "emailcfg/domain_result.html", {"sentence": sentence})
    return render(request, "emailcfg/domain_result.html", {"key": key, "check": check, "poll": number})
