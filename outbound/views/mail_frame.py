"""The HTML of a mail as a page of its own, for a sandboxed frame: nothing in it runs, loads or leads anywhere."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from emailcfg import activation, revisions
from emailcfg.schema import General
from emailcfg.schema_migrations import NewerSchema
from outbound.compose import compose, sample_request
from outbound.kinds import KINDS, Kind
from outbound.log_view import LogView, as_sent
from outbound.models import MessageBody
from outbound.requests import Recipient
from outbound.views.message_shown import mail_of

# Mail styles itself inline and knows no other way. `sandbox` holds even where the frame's attribute is missing.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_DARK = "@media (prefers-color-scheme: dark)"  # as templates/mail/layout.html writes it
_LOOKS = {"dark": "@media all", "light": "@media not all"}
_SAMPLE_SENDER = General(sender_email="no-reply@example.com", sender_name="Example", support_email="help@example.com")
_SAMPLE_TO = Recipient("ana@example.com", "Ana Lovelace")


@xframe_options_sameorigin
@require_safe
def of_message(request: HttpRequest, pk: int) -> HttpResponse:
    """The HTML of a message in the log, live tokens masked."""
    body = MessageBody.objects.filter(pk=pk).first() if pk < 2**63 else None
    if body is None:
        raise Http404("The content of this message is not kept any more.")
    return _framed(mail_of(body).html)


@xframe_options_sameorigin
@require_safe
def of_kind(request: HttpRequest, kind: str) -> HttpResponse:
    """The HTML of a kind with sample data; `look` forces what a light or a dark mail program would choose."""
    html = _sample(_kind(kind)).html
    media = _LOOKS.get(request.GET.get("look", ""))
    return _framed(html.replace(_DARK, media) if media else html)


def _framed(html: str) -> HttpResponse:
    response = HttpResponse(html, content_type="text/html; charset=utf-8")
    response["Content-Security-Policy"] = _POLICY
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_safe
def kinds(request: HttpRequest, kind: str = "confirm") -> HttpResponse:
    """Every kind of mail, and one of them as its recipient would see it."""
    chosen = _kind(kind)
    context = {
        "kinds": KINDS.values(),
        "chosen": chosen,
        "sample": _sample(chosen),
        "frame": reverse("kind-frame", args=[chosen.name]),
        "configured": _general() is not _SAMPLE_SENDER,
    }
    return render(request, "outbound/kinds.html", context)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise Http404("There is no such kind of mail.")
    return KINDS[name]


def _sample(kind: Kind) -> LogView:
    return as_sent(compose(sample_request(kind.name, _SAMPLE_TO), _general()).content)


def _general() -> General:
    """The sender of the active configuration, so that the preview is what would leave; else a made-up one."""
    revision = activation.current().revision
    try:
        general = revisions.read(revision).config.general if revision is not None else _SAMPLE_SENDER
    except (revisions.RevisionError, NewerSchema):
        return _SAMPLE_SENDER
    return general if general.sender_email else _SAMPLE_SENDER
