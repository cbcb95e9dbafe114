"""Sending through the API and reading the log, over HTTP as a program would."""

import base64
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from emailcfg import activation
from emailcfg.models import AuditEvent
from outbound import auth, bulk
from outbound.models import ApiToken, Attempt, Message, MessageBody, Recipient
from tests.outbound.log_making import a_service
from tests.outbound.making import ANA

Call = Callable[..., Any]
MAIL = {"to": ["bob@example.com"], "subject": "Hello", "text": "Good morning."}

pytestmark = pytest.mark.django_db


def test_a_message_is_accepted_composed_and_stored(call: Call, active: None) -> None:
    answer = call("post", "/messages", MAIL)
    assert answer.status_code == 202
    message = Message.objects.get(pk=int(answer.json()["id"]))
    assert message.state == "queued"
    assert message.message_id == answer.json()["message_id"]
    assert message.message_id.endswith("@acme.example>")
    content = bytes(MessageBody.objects.get(pk=message.pk).content)
    assert message.message_id.encode() in content
    assert b"Good morning." in content
    assert [r.address for r in message.recipients.all()] == ["bob@example.com"]


def test_a_kind_is_written_from_its_context_and_its_token_stays_out_of_the_log(call: Call, active: None) -> None:
    body = {"kind": "login_code", "to": ["bob@example.com"], "context": {"code": "493817"}}
    answer = call("post", "/messages", body)
    assert answer.status_code == 202, answer.content
    assert b"493817" in bytes(MessageBody.objects.get().content)
    assert "493817" not in Message.objects.get().subject


def test_a_missing_context_value_is_named(call: Call, active: None) -> None:
    answer = call("post", "/messages", {"kind": "confirm", "to": ["bob@example.com"]})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert [error["field"] for error in answer.json()["errors"]] == ["context.confirm_url"]


def test_a_batch_is_accepted_as_a_whole(call: Call, active: None) -> None:
    answer = call("post", "/messages", [{**MAIL, "subject": f"Number {n}"} for n in range(1000)])
    assert answer.status_code == 202
    ids = [int(one["id"]) for one in answer.json()]
    assert ids == sorted(set(ids))
    assert [m.subject for m in Message.objects.filter(pk__in=ids).order_by("pk")] == [
        f"Number {n}" for n in range(1000)
    ]


def test_one_wrong_address_refuses_the_batch_and_is_named(call: Call, active: None) -> None:
    answer = call("post", "/messages", [MAIL, {**MAIL, "to": ["bob@example.com", "not an address"]}])
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["1.to.1.email"]
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**MAIL, "colour": "red"}, "colour"),
        ({"subject": "No recipient", "text": "x"}, "to"),
        ({"to": ["bob@example.com"], "text": "x"}, "subject"),
        ({"to": ["bob@example.com"], "subject": "x"}, "text"),
        ({"to": ["bob@example.com"], "subject": "x", "text": None, "html": None}, "text"),
        ({**MAIL, "not_before": "tomorrow"}, "not_before"),
        ({**MAIL, "not_before": "2030-01-01T10:00:00"}, "not_before"),
        ({**MAIL, "not_before": "9999-12-31T23:59:59Z"}, "not_before"),
        ({**MAIL, "idempotency_key": "a\x00b"}, "idempotency_key"),
        ({**MAIL, "priority": "urgent"}, "priority"),
        ({**MAIL, "attachments": [{"filename": "a.txt", "content": "***"}]}, "attachments.0.content"),
        ([MAIL, {**MAIL, "to": "bob@example.com"}], "1.to"),
    ],
)
def test_a_malformed_request_names_the_field(call: Call, active: None, body: Any, field: str) -> None:
    answer = call("post", "/messages", body)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("words", "subject", "bodies"),
    [
        ({"subject": "", "text": "Hello"}, "", {"text/plain": "Hello"}),
        ({"subject": "Hello", "text": ""}, "Hello", {"text/plain": ""}),
        ({"subject": "", "html": ""}, "", {"text/plain": ""}),
        ({"subject": " ", "text": "", "html": "<p>Hi</p>"}, "", {"text/html": "<p>Hi</p>"}),
    ],
)
def test_an_empty_subject_or_body_that_is_said_is_taken(
    call: Call, active: None, words: dict[str, str], subject: str, bodies: dict[str, str]
) -> None:
    """As SMTP and Django's own backends do; only what is not given at all is refused."""
    answer = call("post", "/messages", {"to": ["bob@example.com"], **words})
    assert answer.status_code == 202, answer.content
    mail = message_from_bytes(bytes(MessageBody.objects.get().content), policy=SMTP)
    assert mail["Subject"] == subject
    assert {part.get_content_type(): part.get_content().strip() for part in mail.walk()} == bodies


@pytest.mark.parametrize("body", [[], [MAIL] * 1001])
def test_a_batch_has_1_to_1000_messages(call: Call, active: None, body: Any) -> None:
    answer = call("post", "/messages", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "batch_size")


def test_attachments_of_more_than_10_mb_are_refused(call: Call, active: None) -> None:
    half = {"filename": "a.bin", "content": base64.b64encode(bytes(5_000_001)).decode()}
    answer = call("post", "/messages", {**MAIL, "attachments": [half, half]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "attachments"


def test_the_same_key_and_body_give_the_same_answer(call: Call, active: None) -> None:
    first = call("post", "/messages", {**MAIL, "idempotency_key": "order-1"})
    again = call("post", "/messages", {"idempotency_key": "order-1", **dict(reversed(MAIL.items()))})
    assert again.status_code == 202
    assert again.json() == first.json()
    assert Message.objects.count() == 1


def test_the_same_key_with_another_body_is_a_conflict(call: Call, active: None) -> None:
    call("post", "/messages", {**MAIL, "idempotency_key": "order-1"})
    answer = call("post", "/messages", {**MAIL, "subject": "Other", "idempotency_key": "order-1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert Message.objects.count() == 1


def test_a_key_twice_in_one_batch_makes_one_message(call: Call, active: None) -> None:
    keyed = {**MAIL, "idempotency_key": "k"}
    answer = call("post", "/messages", [keyed, MAIL, keyed])
    ids = [one["id"] for one in answer.json()]
    assert ids[0] == ids[2] != ids[1]
    assert Message.objects.count() == 2


def test_keys_of_two_tokens_do_not_meet(call: Call, active: None) -> None:
    other = auth.create(name="other", scopes=["messages:send"], actor=ANA)
    keyed = {**MAIL, "idempotency_key": "k"}
    assert call("post", "/messages", keyed).json() != call("post", "/messages", keyed, token=other).json()


def test_without_an_active_configuration_nothing_is_accepted(call: Call, db: None) -> None:
    answer = call("post", "/messages", MAIL)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
    assert int(answer["Retry-After"]) > 0


def test_a_nearly_full_disk_accepts_nothing(call: Call, active: None, settings: Any) -> None:
    settings.DISK_RESERVE_MB = 10**9
    answer = call("post", "/messages", MAIL)
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_nearly_full")
    assert int(answer["Retry-After"]) > 0
    assert not Message.objects.exists()


def test_a_database_that_can_not_be_used_right_now_accepts_nothing(
    call: Call, active: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(bulk, "insert", locked)
    answer = call("post", "/messages", {**MAIL, "idempotency_key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer["Retry-After"]) > 0
    assert not Message.objects.exists()
    monkeypatch.undo()
    assert call("post", "/messages", {**MAIL, "idempotency_key": "k"}).status_code == 202  # as it was


def test_not_before_and_priority_are_kept(call: Call, active: None) -> None:
    later = timezone.now() + timedelta(hours=3)
    call("post", "/messages", {**MAIL, "not_before": later.isoformat(), "priority": "bulk"})
    message = Message.objects.get()
    assert message.due_at == later
    assert message.get_priority_display() == "bulk"


@pytest.mark.parametrize("token", [None, "aat_wrong", "nonsense"])
def test_without_a_valid_token_nothing_is_answered(call: Call, active: None, token: str | None) -> None:
    for method, path in (("post", "/messages"), ("get", "/messages"), ("get", "/instances")):
        answer = call(method, path, MAIL, token=token) if method == "post" else call(method, path, token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
        assert answer["WWW-Authenticate"] == "Bearer"


def test_a_revoked_token_is_refused(call: Call, active: None) -> None:
    auth.revoke("tests", actor=ANA)
    assert call("get", "/messages").status_code == 401
    assert AuditEvent.objects.filter(action="token.revoked", subject="token tests").exists()


def test_scopes_are_held(call: Call, active: None) -> None:
    reader = auth.create(name="reader", scopes=["messages:read"], actor=ANA)
    sender = auth.create(name="sender", scopes=["messages:send"], actor=ANA)
    assert call("post", "/messages", MAIL, token=reader).json()["code"] == "scope_missing"
    assert call("get", "/messages", token=sender).status_code == 403
    assert call("get", "/messages", token=reader).status_code == 200
    made = call("post", "/messages", MAIL, token=sender).json()["id"]
    assert call("post", f"/messages/{made}/cancel", token=reader).status_code == 403


def test_a_token_that_may_not_read_the_log_reaches_only_its_own_messages(call: Call, active: None) -> None:
    sender, reader = (
        auth.create(name=name, scopes=scopes, actor=ANA)
        for name, scopes in (("sender", ["messages:send"]), ("both", ["messages:send", "messages:read"]))
    )
    own, other = (call("post", "/messages", MAIL, **of).json()["id"] for of in ({"token": sender}, {}))
    for verb in ("cancel", "retry"):
        answer = call("post", f"/messages/{other}/{verb}", token=sender)
        assert (answer.status_code, answer.json()["code"]) == (404, "message_not_found")
    assert call("post", f"/messages/{own}/cancel", token=sender).json()["state"] == "cancelled"
    assert call("post", f"/messages/{other}/cancel", token=reader).json()["state"] == "cancelled"


def test_only_the_hash_of_a_token_is_stored(db: None) -> None:
    text = auth.create(name="ci", scopes=["messages:send"], actor=ANA)
    row = ApiToken.objects.get()
    assert text not in (row.hash, row.name)
    assert auth.find(text) == row
    row.refresh_from_db()
    assert row.last_used_at is not None


def test_the_log_is_paged_newest_first(call: Call, active: None) -> None:
    made = [one["id"] for one in call("post", "/messages", [MAIL] * 5).json()]
    first = call("get", "/messages", limit=2).json()
    second = call("get", "/messages", limit=2, cursor=first["next_cursor"]).json()
    third = call("get", "/messages", limit=2, cursor=second["next_cursor"]).json()
    seen = [one["id"] for page in (first, second, third) for one in page["messages"]]
    assert seen == made[::-1]
    assert third["next_cursor"] is None


def test_the_log_is_filtered_as_the_page_filters_it(call: Call, active: None) -> None:
    made = [one["id"] for one in call("post", "/messages", [MAIL] * 6).json()]
    for number, changes in enumerate(
        ({"state": "failed", "cause": "too_large"}, {"state": "failed"}, {"kind": "invite"}, {"doubts": 1})
    ):
        Message.objects.filter(pk=made[number]).update(**changes)
    Message.objects.filter(pk=made[4]).update(state="sent")
    Attempt.objects.create(message_id=made[4], at=timezone.now(), code=250, note="Diverted to box@example.com.")
    for asked, found in (
        ({"state": "failed"}, [1, 0]),
        ({"state": "failed", "cause": "too_large"}, [0]),
        ({"kind": "invite"}, [2]),
        ({"in_doubt": "true"}, [3]),
        ({"diverted": "true"}, [4]),
        ({"search": made[5]}, [5]),
        ({"search": "nobody"}, []),
        ({"kind": "nope\x00"}, []),
    ):
        answer = call("get", "/messages", **asked).json()["messages"]
        assert [made.index(one["id"]) for one in answer] == found, asked
    assert call("get", f"/messages/{made[4]}").json()["diverted"] == "Diverted to box@example.com."
    assert call("get", f"/messages/{made[5]}").json()["diverted"] == ""
    assert call("get", "/messages", state="nonsense").status_code == 400


def test_one_message_is_read_with_its_recipients(call: Call, active: None) -> None:
    made = call("post", "/messages", {**MAIL, "cc": [{"email": "carol@example.com", "name": "Carol"}]}).json()
    found = call("get", f"/messages/{made['id']}").json()
    assert found["message_id"] == made["message_id"]
    assert [(r["address"], r["state"]) for r in found["recipients"]] == [
        ("bob@example.com", "queued"),
        ("carol@example.com", "queued"),
    ]
    assert found["attempt_log"] == []


@pytest.mark.parametrize("name", ["1", "x", "99999999999999999999", "-1"])
def test_an_unknown_message_is_a_404_problem(call: Call, active: None, name: str) -> None:
    answer = call("get", f"/messages/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "message_not_found")


def test_a_waiting_message_is_cancelled_once_and_can_be_tried_again(call: Call, active: None) -> None:
    made = call("post", "/messages", MAIL).json()["id"]
    assert call("post", f"/messages/{made}/cancel").json()["state"] == "cancelled"
    assert Message.objects.get().due_at is None
    assert call("post", f"/messages/{made}/cancel").json()["code"] == "not_possible"
    assert call("post", f"/messages/{made}/retry").json()["state"] == "queued"
    assert Message.objects.get().due_at is not None
    assert Recipient.objects.get().state == "queued"


def test_a_sent_message_is_neither_cancelled_nor_tried_again(call: Call, active: None) -> None:
    made = call("post", "/messages", MAIL).json()["id"]
    Message.objects.update(state="sent", due_at=None)
    for verb in ("cancel", "retry"):
        answer = call("post", f"/messages/{made}/{verb}")
        assert (answer.status_code, answer.json()["code"], answer.json()["state"]) == (409, "not_possible", "sent")


def test_unreadable_json_is_a_problem_document(call: Call, active: None, client: Any) -> None:
    token = auth.create(name="x", scopes=["messages:send"], actor=ANA)
    answer = client.generic(
        "POST", "/api/v1/messages", "{", content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_what_is_no_message_at_all_is_called_the_body(call: Any) -> None:
    answer = call("post", "/messages", "a text")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "body"


def test_addresses_and_methods_that_are_none_get_problem_documents(call: Any) -> None:
    for method, path, status, code in (
        ("get", "/nothing", 404, "not_found"),
        ("put", "/messages", 405, "method_not_allowed"),
    ):
        answer = call(method, path, {})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert answer.json()["code"] == code


def test_a_request_that_is_too_large_is_a_problem_document(call: Call, active: None) -> None:
    answer = call("post", "/messages", {**MAIL, "text": "x" * 17_000_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_the_running_processes_are_listed_with_what_each_runs(call: Call, active: None) -> None:
    generation = activation.current().generation
    a_service(generation)
    a_service(generation - 1, state="rejected", error="No key opens it.")
    a_service(generation, ago_s=60)
    a_service(generation, state="stopped")
    listed = call("get", "/instances").json()
    told = sorted((one["state"], one["generation"] - generation, one["error"]) for one in listed)
    assert told == [("lost", 0, ""), ("rejected", -1, "No key opens it."), ("running", 0, "")]
