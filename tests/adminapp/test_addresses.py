"""Every address of the product: who may open it, by which method, with which headers, without inline script."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from emailcfg import activation
from emailcfg.models import FormDraft
from outbound import queue
from tests.adminapp.addresses import EXAMPLES, Address, addresses, pages
from tests.emailcfg.making import ANA, a_revision, a_test_of, activated
from tests.outbound.log_making import UNKNOWN_MAILBOX, a_message, a_service, an_eventful_log

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
PUBLIC = {
    "/setup/",
    "/healthz",
    "/received/x/",  # the receipt of a test mail; the token in the address is the proof
    "/readyz",
    "/metrics",
    "/accounts/login/",
    "/accounts/logout/",  # leads an anonymous visitor to the login
    "/accounts/inactive/",
    "/accounts/reauthenticate/",  # asks for the login itself
}
# The API authenticates by bearer token; its own tests walk its routes.
OTHER_GUARD = ("/api/",)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MAIL = ROOT / "templates" / "mail"


def guarded() -> list[Address]:
    return [a for a in addresses() if a.path not in PUBLIC and not a.path.startswith(OTHER_GUARD)]


def test_the_walk_finds_the_pages_of_every_room() -> None:
    assert {"/status/", "/messages/", "/support/", "/omnibar/"} <= {address.path for address in addresses()}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_login_is_required_everywhere_but_on_the_list(claimed: object, client: Client, method: str) -> None:
    open_to_all = [a.path for a in guarded() if not _asks_for_login(getattr(client, method)(a.path))]
    assert open_to_all in ([], ["/"])  # the front page only redirects


def _asks_for_login(response: object) -> bool:
    return response.status_code == 302 and response["Location"].startswith("/accounts/login/")


# What a GET may write: the session's last use, the count of tries to log in, and the one row that says that nothing is
# active yet.
MAY_WRITE = ("django_session", "emailcfg_activeconfig", "adminapp_remembered")
WRITES = re.compile(r'^(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)"?', re.IGNORECASE)


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_get_changes_nothing(admin_client: Client, method: str) -> None:
    for address in addresses():
        if address.path.startswith("/api/"):
            continue
        with CaptureQueriesContext(connection) as queries:
            getattr(admin_client, method)(address.path)
        written = [WRITES.match(query["sql"]) for query in queries.captured_queries]
        assert [table[1] for table in written if table and table[1] not in MAY_WRITE] == [], address


def test_a_get_changes_nothing_of_what_is_there_either(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before, pending, draft = a_revision(), a_revision(smtp__timeout_s=20), a_revision(smtp__timeout_s=25)
    activated(before)
    activated(pending, confirm_within_s=600)
    failed, test = a_message("failed", UNKNOWN_MAILBOX), a_test_of(draft)
    monkeypatch.setitem(EXAMPLES, "a", str(before.number))
    monkeypatch.setitem(EXAMPLES, "b", str(draft.number))
    for revision, row in ((before, failed), (draft, test)):
        monkeypatch.setitem(EXAMPLES, "number", str(revision.number))
        monkeypatch.setitem(EXAMPLES, "pk", str(row.pk))
        test_a_get_changes_nothing(admin_client, "get")
    assert activation.current().confirm_state == "pending"


def test_posts_need_the_csrf_token(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    refused = {a.path: client.post(a.path).status_code for a in guarded()}
    assert {path for path, status in refused.items() if status not in (403, 405)} <= {"/"}


def test_every_page_carries_the_security_headers(admin_client: Client, client: Client) -> None:
    for path in [*pages(), "/accounts/login/", "/nothing/", "/healthz", "/readyz"]:
        response = admin_client.get(path) if path != "/accounts/login/" else Client().get(path)
        assert {name: response.get(name) for name in HEADERS} == HEADERS, path
        policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'", path
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'", path
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'", path


def test_every_page_answers_an_administrator(admin_client: Client) -> None:
    """405: an address that only takes what a form sends."""
    answers = {path: admin_client.get(path).status_code for path in pages()}
    assert {path: status for path, status in answers.items() if status not in (200, 405)} == {}
    assert answers["/status/"] == answers["/configuration/email/"] == 200


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_holds_inline_script_or_style(template: Path) -> None:
    if template.is_relative_to(MAIL):
        return  # mail programs know nothing but inline style, and mails are shown in a sandbox
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)


def test_a_page_has_one_main_button(admin_user: User, admin_client: Client) -> None:
    """With the OmniBar, whose Save is the main one on the form alone; what a dialog holds is a page of its own."""
    first, second = a_revision(), a_revision(smtp__host="relay.acme.example")
    activated(first)
    log = an_eventful_log(first.number)
    a_service(1)
    FormDraft.objects.create(user=admin_user, base=first, changed=["smtp.timeout_s"], values={"smtp.timeout_s": "45"})
    revisions = [
        f"/configuration/revisions/{one.number}/{part}" for one in (first, second) for part in ("", "activate/")
    ]
    paths = [*pages(), *revisions, "/configuration/revisions/1/diff/2/", *(f"/messages/{one.pk}/" for one in log)]
    for paused in (False, True):
        if paused:
            queue.pause(actor=ANA)
        for path in paths:
            answer = admin_client.get(path)
            if answer.streaming or path == "/configuration/email/":
                continue
            shown = re.sub("<dialog.*?</dialog>", "", answer.content.decode(), flags=re.DOTALL)
            assert shown.count("btn-primary") <= 1, path
