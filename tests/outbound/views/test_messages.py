"""Messages: the list, one message, and what can be done with them, through HTTP."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from emailcfg import activation
from emailcfg.models import AuditEvent
from emailcfg.providers.base import ErrorClass
from outbound.models import Breaker, Message, MessageBody, Recipient, State
from outbound.requests import Recipient as To
from outbound.requests import Request
from outbound.templatetags.log import FAILURES
from tests.outbound.log_making import (
    ACCEPTED,
    GREYLISTED,
    NO_ANSWER,
    REFUSED,
    UNKNOWN_MAILBOX,
    a_message,
    an_open_breaker,
)
from tests.outbound.making import queued

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active")]


def body(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


def rows(page: str) -> list[str]:
    """The rows of the list."""
    return page.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]


def words(html: str) -> str:
    return re.sub(r"<[^>]*>", " ", html)


def test_an_empty_log_says_how_to_send_the_first_mail(admin_client: Client) -> None:
    page = body(admin_client, "/messages/")
    assert "No message yet" in page
    assert "/api/v1/messages" in page
    assert "/support/tokens/" in page


def test_each_message_shows_its_state_subject_recipient_and_tries(admin_client: Client) -> None:
    message = a_message(
        "deferred", GREYLISTED, GREYLISTED, subject="Your invoice", to=("bob@example.com", "eve@example.com")
    )
    page = body(admin_client, "/messages/")
    assert f'href="/messages/{message.pk}/">Your invoice</a>' in page
    for text in ("Deferred", "bob@example.com", "+1"):
        assert text in page


def test_the_state_filter_shows_only_that_state(admin_client: Client) -> None:
    a_message("failed", UNKNOWN_MAILBOX, subject="Refused one")
    a_message("sent", ACCEPTED, subject="Good one")
    page = body(admin_client, "/messages/?state=failed")
    assert "Refused one" in page
    assert "Good one" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=bob@", True),
        ("q=BOB@example.com", True),
        ("q=hel", True),
        ("q=nobody", False),
        ("kind=raw", True),
        ("kind=invite", False),
        ("kind=nonsense", True),
        ("state=nonsense", True),
        ("q=%00", True),
        ("before=abc&after=" + "9" * 40, True),
    ],
)
def test_search_and_filters(admin_client: Client, query: str, found: bool) -> None:
    a_message(subject="Hello")
    assert (">Hello</a>" in body(admin_client, f"/messages/?{query}")) is found


def test_a_message_is_found_by_its_message_id(admin_client: Client) -> None:
    message = a_message(subject="Wanted")
    a_message(subject="Other")
    page = body(admin_client, f"/messages/?q={message.message_id.strip('<>')}")
    assert "Wanted" in page
    assert "Other" not in page


def test_an_unfruitful_search_says_what_search_takes(admin_client: Client) -> None:
    a_message()
    assert "No message fits" in body(admin_client, "/messages/?q=zzz")


def test_htmx_gets_the_list_alone_and_a_clean_address(admin_client: Client) -> None:
    a_message()
    response = admin_client.get("/messages/?state=queued&kind=&q=", headers={"HX-Request": "true"})
    assert b"<html" not in response.content
    assert response["HX-Push-Url"] == "/messages/?state=queued"
    typed = admin_client.get("/messages/?state=&q=he", headers={"HX-Request": "true", "HX-Trigger": "q"})
    assert typed["HX-Replace-Url"] == "/messages/?q=he"


def test_going_back_gets_the_whole_page(admin_client: Client) -> None:
    a_message()
    page = body(admin_client, "/messages/?state=queued", **{"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in page


def test_pages_go_older_and_newer_by_key(admin_client: Client) -> None:
    ids = queued(120)
    second = body(admin_client, f"/messages/?before={ids[70]}")
    assert f"/messages/{ids[69]}/" in second
    assert f"/messages/{ids[70]}/" not in second
    assert f"?before={ids[20]}" in second
    assert f"?after={ids[69]}" in second
    newer = body(admin_client, f"/messages/?after={ids[69]}")
    assert f"/messages/{ids[119]}/" in newer
    assert f"/messages/{ids[70]}/" in newer
    assert "Newest" not in body(admin_client, f"/messages/?after={ids[100]}")


def test_the_list_costs_a_fixed_number_of_queries(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    a_message("failed", UNKNOWN_MAILBOX)
    admin_client.get("/messages/")
    with django_assert_max_num_queries(20) as few:
        admin_client.get("/messages/")
    for number in range(8):
        a_message("failed", {**UNKNOWN_MAILBOX, "reason": f"reason_{number}"})
    queued(60)
    with django_assert_max_num_queries(len(few.captured_queries)):
        admin_client.get("/messages/")


def test_troubles_are_grouped_by_cause_with_the_servers_words(admin_client: Client) -> None:
    for _ in range(3):
        a_message("deferred", GREYLISTED)
    a_message("failed", UNKNOWN_MAILBOX)
    page = body(admin_client, "/messages/")
    assert "3 deferred" in page
    assert "Greylisting in action" in page
    assert "1 failed" in page


def test_retrying_a_group_makes_only_what_was_shown_due(admin_client: Client) -> None:
    old = a_message("deferred", GREYLISTED)
    shown = [a_message("deferred", GREYLISTED) for _ in range(2)]
    other = a_message("deferred", {**GREYLISTED, "reason": "other"})
    later = a_message("deferred", GREYLISTED)
    answer = admin_client.post(
        "/messages/retry/",
        {"state": "deferred", "cause": "greylisted", "oldest": shown[0].pk, "newest": shown[1].pk},
        follow=True,
    )
    assert "2 messages are due now." in answer.content.decode()
    states = dict(Message.objects.values_list("pk", "state"))
    assert [states[one.pk] for one in (old, *shown, other, later)] == [
        "deferred", "queued", "queued", "deferred", "deferred",
    ]  # fmt: skip
    assert AuditEvent.objects.get(action="messages.retried").actor_name == "ana@acme.example"


@pytest.mark.parametrize(
    ("posted", "status"),
    [
        ({"state": "sent", "cause": "", "oldest": "0", "newest": "1"}, 302),
        ({"state": "nonsense", "cause": "", "oldest": "0", "newest": "1"}, 302),
        ({"state": "failed", "oldest": "x", "newest": "1"}, 404),
        ({}, 404),
    ],
)
def test_odd_group_requests_change_nothing(admin_client: Client, posted: dict[str, str], status: int) -> None:
    sent = a_message("sent", ACCEPTED)
    assert admin_client.post("/messages/retry/", posted).status_code == status
    sent.refresh_from_db()
    assert sent.state == "sent"


def test_a_message_tells_its_attempts_with_an_explanation_and_the_raw_words(admin_client: Client) -> None:
    message = a_message("queued", REFUSED)
    page = body(admin_client, f"/messages/{message.pk}/")
    for text in (
        "535 5.7.8 Error: authentication failed",
        "smtp.acme.example:587",
        "TLSv1.3",
        ">r1</a>",
        "the configuration does not work, at “Log in”",
    ):
        assert text in page
    assert "password" in page.lower()


def test_what_was_suppressed_is_not_called_accepted(admin_client: Client) -> None:
    message = a_message("suppressed", {"reason": "suppress_all", "server": "", "note": "All mail is suppressed."})
    page = body(admin_client, f"/messages/{message.pk}/")
    assert "Not sent" in page
    assert "<strong>Accepted" not in page


def test_the_list_says_what_was_diverted_and_has_a_filter_for_it(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    astray = {**ACCEPTED, "note": "Diverted to box@example.com."}
    a_message("sent", ACCEPTED, subject="Arrived")
    admin_client.get("/messages/")
    with CaptureQueriesContext(connection) as seen:
        admin_client.get("/messages/")
    for number in range(9):
        a_message("sent", astray, subject=f"Astray {number}")
    with django_assert_num_queries(len(seen.captured_queries)):
        page = body(admin_client, "/messages/")
    assert [words(row).split()[0] for row in rows(page)] == ["Diverted"] * 9 + ["Sent"]
    only = body(admin_client, "/messages/?state=diverted")
    assert "Astray 0" in only
    assert "Arrived" not in only
    assert 'value="diverted" checked' in only


def test_what_may_have_left_twice_has_a_filter_whatever_became_of_it(admin_client: Client) -> None:
    a_message("sent", NO_ANSWER, ACCEPTED, subject="Perhaps two", doubts=1)
    a_message("sent", ACCEPTED, subject="Only one")
    page = body(admin_client, "/messages/?state=doubted")
    assert "Perhaps two" in page
    assert "Only one" not in page


def test_a_group_is_shown_by_its_cause_and_all_causes_are_one_link_away(admin_client: Client) -> None:
    for _ in range(2):
        a_message("failed", UNKNOWN_MAILBOX, subject="No such box")
    a_message("failed", {**UNKNOWN_MAILBOX, "reason": "too_large"}, subject="Too large")
    address = re.search(r'href="(/messages/\?state=failed[^"]*recipient_refused)"', body(admin_client, "/messages/"))
    assert address is not None
    page = body(admin_client, address[1].replace("&amp;", "&"))
    assert len(rows(page)) == 2
    assert page.count('href="/messages/?state=failed">Show all causes') == 1
    assert "Try all 2 again" in page
    assert page.count('action="/messages/retry/"') == 1
    of_a_kind = body(admin_client, address[1].replace("&amp;", "&") + "&kind=raw")  # a part of the group
    assert "Only for one cause" in of_a_kind
    assert 'href="/messages/?state=failed&amp;kind=raw">Show all causes' in of_a_kind
    assert 'action="/messages/retry/"' not in of_a_kind


def test_who_was_reached_before_mail_was_diverted_is_not_said_to_have_received_nothing(admin_client: Client) -> None:
    both = ("bob@example.com", "eve@example.com")
    astray = {**ACCEPTED, "note": "Diverted to box@example.com."}
    page = body(admin_client, f"/messages/{a_message('sent', GREYLISTED, astray, to=both).pk}/")
    assert "only who had got it before received it" in page
    page = body(admin_client, f"/messages/{a_message('sent', GREYLISTED, astray).pk}/")
    assert "received nothing" in page


def test_what_was_diverted_is_not_said_to_have_reached_its_recipient(admin_client: Client) -> None:
    astray = {**ACCEPTED, "note": "Diverted to box@example.com."}
    page = body(admin_client, f"/messages/{a_message('sent', astray).pk}/")
    assert "<strong>Diverted to box@example.com.</strong>" in page
    assert "received nothing" in page
    assert "took it for every recipient" not in page
    for attempts in ((ACCEPTED,), (ACCEPTED, astray), (astray, ACCEPTED)):
        page = body(admin_client, f"/messages/{a_message('sent', *attempts).pk}/")
        assert "received nothing" not in page


def test_in_doubt_is_explained_and_what_trying_again_would_do(admin_client: Client) -> None:
    waits = a_message("in_doubt", NO_ANSWER, doubts=1)
    page = body(admin_client, f"/messages/{waits.pk}/")
    assert "may have taken this mail or not" in page
    assert "same Message-ID" in page
    held = a_message("in_doubt", NO_ANSWER, doubts=3, due_at=None)
    assert "not repeated by itself" in body(admin_client, f"/messages/{held.pk}/")


@pytest.mark.parametrize("state", [str(state) for state in State])
def test_every_state_has_a_page(admin_client: Client, state: str) -> None:
    attempt = {"sent": ACCEPTED, "partial": UNKNOWN_MAILBOX, "failed": UNKNOWN_MAILBOX}.get(state)
    message = a_message(state, *([attempt] if attempt else []))
    assert State(state).label in body(admin_client, f"/messages/{message.pk}/")
    assert State(state).label in body(admin_client, f"/messages/?state={state}")


def test_hostile_words_are_shown_as_text(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    message = a_message("failed", {**UNKNOWN_MAILBOX, "reply": f"550 {evil}", "server": evil}, subject=evil)
    Recipient.objects.filter(message=message).update(text=evil)
    for path in ("/messages/", f"/messages/{message.pk}/", f"/messages/?q={evil}"):
        assert evil not in body(admin_client, path)


def test_live_tokens_stay_out_of_every_part_of_the_page(admin_client: Client) -> None:
    request = Request(
        kind="invite",
        to=(To("bob@example.com"),),
        context={
            "inviter_name": "Ben", "team_name": "Berlin", "accept_url": "https://app.example.com/join/s3cretToken",
        },
    )  # fmt: skip
    message = a_message(request=request)
    for path in (f"/messages/{message.pk}/", f"/messages/{message.pk}/mail/"):
        page = body(admin_client, path)
        assert "s3cretToken" not in page
        assert "hidden: accept_url" in page or "(hidden)" in page


def test_the_frame_runs_and_loads_nothing(admin_client: Client, client: Client) -> None:
    request = Request(
        kind="raw",
        to=(To("bob@example.com"),),
        subject="Evil",
        html='<script>alert(1)</script><img src="https://tracker.example/x.gif"><form action="/"></form>',
    )
    message = a_message(request=request)
    response = admin_client.get(f"/messages/{message.pk}/mail/")
    policy = {part.strip().split(" ")[0]: part.strip() for part in response["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == "default-src 'none'"
    assert policy["img-src"] == "img-src data:"
    assert policy["sandbox"] == "sandbox"
    assert "script-src" not in policy
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert client.get(f"/messages/{message.pk}/mail/").status_code == 302
    page = body(admin_client, f"/messages/{message.pk}/")
    assert '<iframe class="mail-frame" title="The mail as HTML" sandbox=""' in page
    assert "<script>alert" not in page


def test_retry_makes_a_failed_message_due_and_is_audited(admin_client: Client) -> None:
    message = a_message("failed", UNKNOWN_MAILBOX)
    answer = admin_client.post(f"/messages/{message.pk}/retry/", follow=True)
    assert "due now" in answer.content.decode()
    message.refresh_from_db()
    assert message.state == "queued"
    assert message.due_at is not None
    assert AuditEvent.objects.filter(action="message.retried", actor_name="ana@acme.example").count() == 1


@pytest.mark.parametrize(
    ("state", "verb"),
    [("sent", "retry"), ("sending", "retry"), ("sent", "cancel"), ("sending", "cancel"), ("cancelled", "cancel")],
)
def test_a_verb_that_does_not_fit_the_state_says_so(admin_client: Client, state: str, verb: str) -> None:
    message = a_message(state)
    page = admin_client.post(f"/messages/{message.pk}/{verb}/", follow=True).content.decode()
    assert "it can&#x27;t be" in page
    message.refresh_from_db()
    assert message.state == state


def test_cancelling_twice_cancels_once(admin_client: Client) -> None:
    message = a_message("deferred", GREYLISTED)
    for _ in range(2):
        admin_client.post(f"/messages/{message.pk}/cancel/")
    message.refresh_from_db()
    assert message.state == "cancelled"
    assert AuditEvent.objects.filter(action="message.cancelled").count() == 1


def test_sending_again_elsewhere_makes_one_new_message_however_often_pressed(admin_client: Client) -> None:
    message = a_message("sent", ACCEPTED, subject="Again")
    for _ in range(2):
        admin_client.post(f"/messages/{message.pk}/again/", {"to": "ben@acme.example", "nonce": "abc"})
    new = Message.objects.exclude(pk=message.pk).get()
    assert (new.first_recipient, new.subject, new.state) == ("ben@acme.example", "Again", "queued")


@pytest.mark.parametrize("to", ["", "nonsense", "a@b\r\nBcc: c@d.example"])
def test_a_wrong_address_is_refused_beside_the_field_and_can_be_mended(admin_client: Client, to: str) -> None:
    message = a_message("sent", ACCEPTED)
    answer = admin_client.post(f"/messages/{message.pk}/again/", {"to": to, "nonce": "n"})
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in answer.content.decode()
    assert Message.objects.count() == 1
    admin_client.post(f"/messages/{message.pk}/again/", {"to": "ben@acme.example", "nonce": "n"})
    assert Message.objects.count() == 2


def test_a_message_without_its_content_can_still_be_read(admin_client: Client) -> None:
    message = a_message("failed", UNKNOWN_MAILBOX)
    MessageBody.objects.all().delete()
    page = body(admin_client, f"/messages/{message.pk}/")
    assert "deleted after its retention time" in page
    assert 'id="retry"' not in page
    body(admin_client, f"/messages/{message.pk}/mail/", 404)
    admin_client.post(f"/messages/{message.pk}/retry/")
    message.refresh_from_db()
    assert message.state == "failed"


def test_a_message_in_a_held_queue_says_what_holds_it_and_offers_nothing_that_would_not_help(
    admin_client: Client,
) -> None:
    message = a_message("queued", REFUSED, due_at=timezone.now() - timedelta(minutes=1), cause="login_refused")
    page = words(body(admin_client, f"/messages/{message.pk}/"))
    assert "It waits to be tried again, and leaves as soon as its turn comes." in page
    assert "What it met last: User name or password were refused." in page
    assert "login_refused" not in page
    assert "Try now" in page
    address = body(admin_client, f"/messages/{message.pk}/").split('hx-get="/messages/')[1].split('"')[0]
    body(admin_client, "/messages/" + address, 204)
    an_open_breaker(activation.current().generation)
    page = words(body(admin_client, "/messages/" + address))
    assert "All mail is held: User name or password were refused." in page
    assert "Try now" not in page
    later = a_message("deferred", GREYLISTED, due_at=timezone.now() + timedelta(hours=1))
    assert "Try now" in body(admin_client, f"/messages/{later.pk}/")
    sent = a_message("sent", ACCEPTED)
    assert "is held" not in body(admin_client, f"/messages/{sent.pk}/")


def test_a_failed_message_says_at_the_top_why_and_what_to_do(admin_client: Client) -> None:
    message = a_message("failed", UNKNOWN_MAILBOX, cause="recipient_unknown")
    head = body(admin_client, f"/messages/{message.pk}/").split("recipients-title")[0]
    assert "<strong>This recipient does not exist.</strong> Correct the address of this recipient" in head


def test_mail_of_another_sender_is_not_called_held(admin_client: Client) -> None:
    message = a_message("queued", due_at=timezone.now())
    held = an_open_breaker(activation.current().generation, sender="shop@acme.example")
    assert "is held" not in body(admin_client, f"/messages/{message.pk}/")
    Breaker.objects.filter(pk=held.pk).update(sender=MessageBody.objects.get(message=message).mail_from)
    assert "Mail from no-reply@acme.example is held" in body(admin_client, f"/messages/{message.pk}/")


def test_a_time_that_has_come_is_not_promised_for_the_past(admin_client: Client) -> None:
    message = a_message("deferred", GREYLISTED, due_at=timezone.now() - timedelta(minutes=3))
    page = words(body(admin_client, f"/messages/{message.pk}/"))
    assert re.search(r"It is tried again\s+as soon as its turn comes", page)
    Message.objects.filter(pk=message.pk).update(due_at=timezone.now() + timedelta(minutes=3, seconds=30))
    page = words(body(admin_client, f"/messages/{message.pk}/"))
    assert re.search(r"It is tried again\s+in 3 minutes", page)


def test_an_attempt_says_in_words_what_failed_and_where(admin_client: Client) -> None:
    message = a_message("deferred", GREYLISTED)
    page = body(admin_client, f"/messages/{message.pk}/")
    assert "recipient refused for now, at “Recipient”" in words(page)
    assert "recipient_soft" not in words(page)
    assert "Unless it is taken by" in page
    gone = a_message("failed", UNKNOWN_MAILBOX)
    assert "recipient refused for good, at “Recipient”" in body(admin_client, f"/messages/{gone.pk}/")
    assert set(FAILURES) == set(ErrorClass)


@pytest.mark.parametrize("pk", ["1", "9" * 30])
def test_a_message_that_is_not_there_is_not_found(admin_client: Client, pk: str) -> None:
    for path in ("", "progress/", "mail/"):
        body(admin_client, f"/messages/{pk}/{path}", 404)
    for verb in ("retry", "cancel"):
        assert admin_client.post(f"/messages/{pk}/{verb}/").status_code == 404
    assert admin_client.post(f"/messages/{pk}/again/", {"to": "a@example.com"}).status_code == 404


def test_progress_answers_only_when_something_changed(admin_client: Client) -> None:
    message = a_message("deferred", GREYLISTED)
    page = body(admin_client, f"/messages/{message.pk}/")
    address = page.split('hx-get="/messages/')[1].split('"')[0]
    body(admin_client, "/messages/" + address, 204)
    admin_client.post(f"/messages/{message.pk}/retry/")
    assert "Queued" in body(admin_client, "/messages/" + address)
    ended = a_message("sent", ACCEPTED)
    assert "message-progress/" not in body(admin_client, f"/messages/{ended.pk}/progress/")


def test_a_message_costs_as_many_queries_with_forty_attempts_as_with_one(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    few, many = a_message("deferred", GREYLISTED), a_message("deferred", *[GREYLISTED] * 40)
    admin_client.get("/messages/")
    with CaptureQueriesContext(connection) as seen:
        admin_client.get(f"/messages/{few.pk}/")
    with django_assert_max_num_queries(len(seen.captured_queries)):
        admin_client.get(f"/messages/{many.pk}/")
