"""Messages: the log of what was handed over and what became of it, and what can be done with the messages."""

import secrets
from urllib.parse import urlencode

from django.contrib import messages as notes
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import push_url, replace_url

from emailcfg import rules
from emailcfg.requests import actor_of
from outbound import log_pages, log_queries, messages
from outbound.kinds import KINDS
from outbound.models import Message, State
from outbound.views.message_shown import shown

# Chips that are no states: what a message went through besides.
_DIVERTED, _DOUBTED = "diverted", "doubted"


def _chips() -> tuple[tuple[str, str], ...]:
    """The chips of the list: the states in the order in which a message goes through them."""
    states = [(str(state), str(state.label)) for state in State]
    after_sent = states.index((str(State.SENT), str(State.SENT.label))) + 1
    states.insert(after_sent, (_DIVERTED, "Diverted"))
    return (("", "All"), *states, (_DOUBTED, "Perhaps twice"))


CHIPS = _chips()
_REQUEST_S = 3600  # how long a repeated "send again" is recognised


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The list. Filters arrive as a part of the page; going back through them asks for the whole page again."""
    wanted = _filter(request)
    before, after = _key(request, "before"), _key(request, "after")
    page = log_pages.page(wanted, before=before, after=after)
    filtered = wanted != log_pages.Filter()
    query = _query(wanted)
    troubles = _troubles(wanted) if page.newest else []
    by_cause = wanted.cause and page.messages and not troubles  # the group itself says its cause
    context = {
        "page": page,
        "wanted": wanted,
        "chosen": query.get("state", ""),
        "chips": CHIPS,
        "kinds": KINDS.values(),
        "troubles": troubles,
        "older": _link(query, before=page.next_cursor) if page.next_cursor else "",
        "newer": _link(query, after=page.messages[0].pk) if page.messages and not page.newest else "",
        "newest": _link(query) if not page.newest else "",
        "cause_told": log_queries.told_of_cause(page.messages[0]) if by_cause else None,
        "without_cause": _link({name: value for name, value in query.items() if name != "cause"}),
        "empty": not page.messages and not filtered and page.newest,
    }
    part = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    if not part:
        return render(request, "outbound/messages.html", context)
    response = render(request, "outbound/messages_list.html", context)
    address = _link(query)
    # What is typed replaces the address, so that Back does not lead through each letter.
    typed = request.headers.get("HX-Trigger") == "q"
    return replace_url(response, address) if typed else push_url(response, address)


def _troubles(wanted: log_pages.Filter) -> list[log_queries.Trouble]:
    """What did not leave, by its cause: all of it, or the group that is looked at."""
    if wanted == log_pages.Filter():
        return log_queries.troubles()
    if not wanted.cause or wanted != log_pages.Filter(state=wanted.state, cause=wanted.cause):
        return []
    return [one for one in log_queries.troubles(limit=1_000) if (one.state, one.cause) == (wanted.state, wanted.cause)]


def _filter(request: HttpRequest) -> log_pages.Filter:
    state, kind = request.GET.get("state", ""), request.GET.get("kind", "")
    return log_pages.Filter(
        state=state if state in State else "",
        kind=kind if kind in KINDS else "",
        cause=request.GET.get("cause", "").replace("\x00", "")[:48],
        diverted=state == _DIVERTED,
        doubted=state == _DOUBTED,
        search=request.GET.get("q", "").replace("\x00", "").strip()[:320],
    )


def _query(wanted: log_pages.Filter) -> dict[str, str]:
    state = _DIVERTED if wanted.diverted else _DOUBTED if wanted.doubted else wanted.state
    named = {"state": state, "kind": wanted.kind, "q": wanted.search, "cause": wanted.cause}
    return {name: value for name, value in named.items() if value}


def _link(query: dict[str, str], **keys: int) -> str:
    together = urlencode({**query, **keys})
    return reverse("messages") + (f"?{together}" if together else "")


def _key(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One message: its recipients, every attempt, and the mail itself."""
    return _detail(request, pk)


def _detail(request: HttpRequest, pk: int, **extra: object) -> HttpResponse:
    message = _message(pk)
    context = {"shown": shown(message), "nonce": secrets.token_urlsafe(12), **extra}
    return render(request, "outbound/message.html", context, status=400 if "again_error" in extra else 200)


@require_safe
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """State, recipients and attempts alone, while the message is on its way. 204 when nothing changed."""
    part = shown(_message(pk))
    if request.GET.get("seen") == part.seen:
        return HttpResponse(status=204)
    return render(request, "outbound/message_progress.html", {"shown": part})


def _message(pk: int) -> Message:
    message = Message.objects.select_related("token").filter(pk=pk).first() if pk < 2**63 else None
    if message is None:
        raise Http404("There is no message of this id. Old records are deleted after their retention time.")
    return message


@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Makes the message due now."""
    try:
        messages.retry(_message(pk).pk, actor=actor_of(request))
        notes.success(request, "The message is due now and leaves as soon as the queue moves.")
    except messages.NotPossible as error:
        notes.error(request, str(error))
    return redirect("message", pk=pk)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the message out of the queue."""
    try:
        messages.cancel(_message(pk).pk, actor=actor_of(request))
        notes.success(request, "The message is cancelled and will not be sent.")
    except messages.NotPossible as error:
        notes.error(request, str(error))
    return redirect("message", pk=pk)


@require_POST
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Queues the same mail for another address. A repeated press of the button makes no second mail."""
    to = request.POST.get("to", "").strip()
    once = f"send-again:{pk}:{request.POST.get('nonce', '')[:40]}"
    if not cache.add(once, "begun", _REQUEST_S):
        notes.info(request, "This was sent already; the button was pressed twice.")
        return redirect("message", pk=pk)
    try:
        accepted = messages.send_again(_message(pk).pk, to=to, actor=actor_of(request))
    except (rules.Refused, messages.NotPossible) as error:
        cache.delete(once)
        return _detail(request, pk, again_error=str(error) if to else "Enter the address it goes to.", again_to=to)
    notes.success(request, f"The same mail is queued for {to}. This is its own record.")
    return redirect("message", pk=accepted.id)


@require_POST
def retry_group(request: HttpRequest) -> HttpResponse:
    """Tries all messages again that wait or failed for one cause, as far as the page showed them."""
    oldest, newest = request.POST.get("oldest", ""), request.POST.get("newest", "")
    if not (oldest.isascii() and oldest.isdigit() and newest.isascii() and newest.isdigit() and len(newest) < 19):
        raise Http404("This group can't be told from the request.")
    try:
        done = messages.retry_group(
            state=request.POST.get("state", ""),
            cause=request.POST.get("cause", "")[:48],
            oldest_id=int(oldest[:19]),
            newest_id=int(newest),
            actor=actor_of(request),
        )
    except messages.NotPossible as error:
        notes.error(request, str(error))
    else:
        noun = "message is" if done == 1 else "messages are"
        text = f"{done:,} {noun} due now." if done else "None of these messages waits any more."
        if done >= messages.AT_MOST:
            text += " That is as many as one press takes; what is left of this group still shows here."
        notes.success(request, text)
    return redirect("messages")
