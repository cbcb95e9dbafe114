"""Starting a test send from the form or from a revision, watching it, and telling that its mail arrived."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from emailcfg import activation, audit, revisions, rules
from emailcfg.actor import Actor
from emailcfg.destinations import SecretUnavailable
from emailcfg.drafts import DraftConflict
from emailcfg.forms import SECRET_NAMES, name_of
from emailcfg.models import TestSend
from emailcfg.requests import actor_of
from emailcfg.schema_migrations import NewerSchema
from emailcfg.views.fields import TITLES
from emailcfg.views.pane import state_response, store_posted
from outbound import receipts, silent_tests, testrun, testsend, transcript
from outbound.receipts import ReceiptRefused
from outbound.testsend import Plan, TestRefused


@sensitive_post_parameters(*SECRET_NAMES)
@require_POST
def from_form(request: HttpRequest) -> HttpResponse:
    """Tests what the form shows now, saved or not, secrets typed just now included."""
    try:
        view = store_posted(request, strict=True)
    except DraftConflict:
        return render(request, "emailcfg/draft_conflict.html", {"oob": True})
    except SecretUnavailable as error:
        return _refused(request, str(error))
    config = view.understood.config
    response = state_response(request, view)
    if config is None:
        mend = [(name_of(path), TITLES.get(path, path), found[0]) for path, found in view.understood.errors.items()]
        response.content += render(request, "outbound/test_refused.html", {"to_mend": mend}).content
        return response
    unchanged = not view.understood.changed
    base = view.editing.base if unchanged else None
    is_active = base is not None and base.number == activation.current().revision_id
    source = TestSend.Source.FORM if base is None else _source(is_active)
    response.content += _start(request, Plan(config, source, base, *_asked(request)), on_form=True).content
    return response


@require_POST
def from_revision(request: HttpRequest, number: int) -> HttpResponse:
    """Tests a saved revision as it stands."""
    try:
        plan = testsend.of_revision(number, *_asked(request))
    except (revisions.RevisionGone, revisions.RevisionUnreadable, NewerSchema) as error:
        return _refused(request, str(error))
    return _start(request, plan)


def _source(is_active: bool) -> TestSend.Source:
    return TestSend.Source.ACTIVE if is_active else TestSend.Source.REVISION


def _asked(request: HttpRequest) -> tuple[str, str, bool]:
    return request.POST.get("to", "").strip(), request.POST.get("kind", "test"), "dry_run" in request.POST


def _start(request: HttpRequest, plan: Plan, *, on_form: bool = False) -> HttpResponse:
    try:
        if not plan.to:
            raise rules.Refused("Enter the address the test goes to.")
        rules.address(plan.to)
        prepared = testsend.prepare_once(plan, actor_of(request))
    except (rules.Refused, TestRefused, SecretUnavailable) as error:
        return _refused(request, str(error))
    if isinstance(prepared, TestSend):
        return _shown(request, prepared, on_form=on_form)
    testrun.start(prepared)
    return _shown(request, prepared.test, on_form=on_form)


def _refused(request: HttpRequest, sentence: str) -> HttpResponse:
    return render(request, "outbound/test_refused.html", {"sentence": sentence})


def _shown(request: HttpRequest, test: TestSend, *, on_form: bool | None = None, **extra: object) -> HttpResponse:
    context = {
        "test": test,
        "ladder": test.steps,
        "kind": transcript.kind(test),
        "tested": transcript.tested(test),
        "waited_s": int((timezone.now() - test.beat_at).total_seconds()),
        "transcript": transcript.text(test),
        "on_form": request.GET.get("on") == "form" if on_form is None else on_form,
        "receipt_expired": receipts.expired(test),
        **extra,
    }
    if not request.htmx:  # type: ignore[attr-defined]
        return render(request, "outbound/test_page.html", context)
    response = render(request, "outbound/test_run.html", context)
    if test.state != TestSend.State.RUNNING and "again" not in request.GET:  # "again": it ended earlier, no news
        trigger_client_event(response, "announce", {"text": test.steps["summary"] if test.steps else test.state})
        trigger_client_event(response, "test-ended")
        trigger_client_event(response, "omnibar:refresh")
    return response


@require_GET
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The test as it stands; the page asks again while it runs. Opened by its address it is a page of its own."""
    return _shown(request, silent_tests.settle(get_object_or_404(TestSend, pk=pk)))


@require_POST
def received(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the code that the test mail carries: *accepted* becomes *received*."""
    test = get_object_or_404(TestSend, pk=pk)
    try:
        receipts.enter_code(test, request.POST.get("code", ""))
    except ReceiptRefused as error:
        return _shown(request, test, code_error=str(error))
    test.refresh_from_db()
    audit.record("test.received", actor=actor_of(request), subject=f"test {test.pk}")
    return _shown(request, test)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def receipt(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the link of a test mail. Opening it changes nothing (mail scanners open links); the button
    on it does, once."""
    test = get_object_or_404(TestSend, receipt_token_hash=receipts.token_hash(token))
    if request.method == "POST" and receipts.receive(test):
        actor = Actor(name="link in the test mail", address=str(request.META.get("REMOTE_ADDR", "")))
        audit.record("test.received", actor=actor, subject=f"test {test.pk}")
        test.refresh_from_db()
    return render(request, "outbound/receipt.html", {"test": test, "receipt_expired": receipts.expired(test)})
