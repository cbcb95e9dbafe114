"""The configuration API, over HTTP as a program would use it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from adminapp import wiring
from emailcfg import activation, ports, revisions, secrets
from emailcfg.models import Activation, ActiveConfig, AuditEvent, ConfigRevision
from outbound import auth
from tests.emailcfg.making import ANA, a_revision, a_test_of, activated, tamper

Call = Callable[..., Any]

pytestmark = pytest.mark.django_db

CONFIG = {
    "schema_version": 1,
    "general": {"sender_email": "no-reply@acme.com"},
    "delivery": {"selected": "smtp"},
    "smtp": {"host": "smtp.acme.com", "username": "ana", "password": {"set": "first secret"}},
    "sendgrid": {},
}


@pytest.fixture
def call(claimed: object) -> Call:
    """Calls the API: `call("post", "/config/confirm", {...}, scopes=["config:activate"])`."""
    client = Client()
    made: dict[tuple[str, ...], str] = {}

    def send(method: str, path: str, body: Any = None, *, scopes: tuple[str, ...] = auth.SCOPES, **query: Any) -> Any:
        token = made.get(scopes)
        if token is None:
            token = made[scopes] = auth.create(name=f"tests {len(made)}", scopes=scopes, actor=ANA)
        headers = {"Authorization": f"Bearer {token}"}
        if method == "get":
            return client.get(f"/api/v1{path}", query, headers=headers)
        content = body if isinstance(body, str) else json.dumps(body)
        return client.generic(method.upper(), f"/api/v1{path}", content, "application/json", headers=headers)

    return send


def saved(call: Call, config: Any = CONFIG, **fields: Any) -> Any:
    return call("post", "/config/revisions", {"config": config, "description": "Saved by a program"} | fields)


def changed(**smtp: Any) -> dict[str, Any]:
    return {**CONFIG, "smtp": {**CONFIG["smtp"], **smtp}}  # type: ignore[dict-item]


def test_nothing_is_active_at_first(call: Call) -> None:
    answer = call("get", "/config/active").json()
    assert (answer["generation"], answer["revision"], answer["config"], answer["confirm"]) == (0, None, None, None)


def test_a_program_saves_activates_and_reads_back(call: Call) -> None:
    answer = saved(call, request_id="one")
    assert answer.status_code == 201, answer.content
    number = answer.json()["number"]
    done = call("post", f"/config/revisions/{number}/activate", {"expected_generation": 0, "request_id": "two"})
    assert done.status_code == 200, done.content
    assert (done.json()["generation"], done.json()["revision"], done.json()["changed"]) == (1, number, True)
    assert [warning["code"] for warning in done.json()["warnings"]] == ["untested"]
    active = call("get", "/config/active").json()
    assert active["config"]["smtp"]["host"] == "smtp.acme.com"
    assert active["config"]["smtp"]["password"] == {"keep": True}
    assert Activation.objects.get().warnings == ["untested"]
    assert Activation.objects.get().actor_name == "token tests 0"


def test_what_was_read_can_be_changed_and_sent_back_with_its_secret_kept(call: Call) -> None:
    first = saved(call).json()["number"]
    config = call("get", f"/config/revisions/{first}").json()["config"]
    config["smtp"]["timeout_s"] = 10
    second = saved(call, config, base_revision=first)
    assert second.status_code == 201, second.content
    opened = secrets.open_all(revisions.read(revisions.get(second.json()["number"])).config, secrets.key_ring())
    assert opened.smtp.password.get_secret_value() == "first secret"  # type: ignore[union-attr]


def test_the_api_takes_documents_with_and_without_the_later_fields(call: Call) -> None:
    first = call("post", "/config/revisions", {"config": CONFIG, "description": "Without the fields"})
    assert first.status_code == 201, first.content
    number = first.json()["number"]
    config = call("get", f"/config/revisions/{number}").json()["config"]
    assert not {"ip_version", "auth_mechanism"} & set(config["smtp"])
    config["smtp"] |= {"ip_version": "4", "auth_mechanism": "login"}
    body = {"config": config, "description": "With the fields", "base_revision": number}
    second = call("post", "/config/revisions", body)
    assert second.status_code == 201, second.content  # the stored password goes to the same server as before
    compared = call("get", f"/config/revisions/{number}/diff/{second.json()['number']}").json()["changes"]
    assert [(change["path"], change["after"]) for change in compared] == [
        ("smtp.ip_version", "IPv4 only"),
        ("smtp.auth_mechanism", "LOGIN"),
    ]
    config["smtp"]["ip_version"] = "5"
    refused = call("post", "/config/revisions", {**body, "config": config})
    assert [error["field"] for error in refused.json()["errors"]] == ["config.smtp.ip_version"]


def test_the_base_is_what_is_active_unless_it_is_named(call: Call) -> None:
    number = saved(call).json()["number"]
    call("post", f"/config/revisions/{number}/activate", {"expected_generation": 0})
    second = saved(call, changed(password={"keep": True}, timeout_s=10))
    assert revisions.get(second.json()["number"]).parent == number


@pytest.mark.parametrize("moved", [{"host": "evil.example"}, {"port": 2525}, {"security": "tls"}, {"username": "ben"}])
def test_a_kept_secret_does_not_follow_to_another_destination(call: Call, moved: dict[str, Any]) -> None:
    first = saved(call).json()["number"]
    answer = saved(call, changed(password={"keep": True}, **moved), base_revision=first)
    assert answer.status_code == 400
    assert answer.json()["code"] == "secret_needed"
    assert [error["field"] for error in answer.json()["errors"]] == ["config.smtp.password"]


@pytest.mark.parametrize(
    "written",
    ["plain", 5, {"keep": False}, {"set": 5}, {"set": "a", "keep": True}, {"secret": 1, "fingerprint": "x"}, []],
)
def test_a_secret_has_two_ways_of_being_written(call: Call, written: Any) -> None:
    answer = saved(call, changed(password=written))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["config.smtp.password"]
    assert not ConfigRevision.objects.exists()


def test_there_must_be_something_to_keep(call: Call) -> None:
    answer = saved(call, changed(password={"keep": True}))
    assert (answer.status_code, answer.json()["code"]) == (400, "secret_needed")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (changed(port=0), "config.smtp.port"),
        (changed(host="a b"), "config.smtp.host"),
        (changed(unknown=1), "config.smtp.unknown"),
        ({"smtp": []}, "config.smtp"),
        ({"smtp": "text"}, "config.smtp"),
        ({"schema_version": 2}, "config.schema_version"),
        ({"schema_version": "1"}, "config.schema_version"),
        ({"general": {"sender_name": "a\r\nBcc: x@y.zz"}}, "config.general.sender_name"),
        ({"general": {"sender_name": "\ud800"}}, "config.general.sender_name"),
        ({"odd": {}}, "config.odd"),
    ],
)
def test_a_refused_configuration_names_its_field(call: Call, config: Any, field: str) -> None:
    answer = saved(call, config)
    assert answer.status_code == 400, answer.content
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("description", ["", "four", "     ", "x" * 201, "two\nlines", None, 5])
def test_a_description_is_needed(call: Call, description: Any) -> None:
    answer = saved(call, description=description)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["description"]


BODIES = (
    *("", "{", "[]", "null", '"x"', "[" * 100_000, '{"config": NaN}'),
    '{"config": {"smtp": {"port": NaN}}, "description": "A number"}',
)


@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_are_no_request_are_refused(call: Call, body: str) -> None:
    assert call("post", "/config/revisions", body).status_code == 400


def test_a_refusal_repeats_no_secret(call: Call) -> None:
    for more, field in (({}, "config.smtp.password"), ({"port": 0}, "config.smtp.port")):
        answer = saved(call, changed(password={"set": "two\nlines-secret"}, **more))
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert "lines-secret" not in answer.content.decode()


def test_a_repeated_save_is_answered_with_the_same_revision(call: Call) -> None:
    numbers = {saved(call, request_id="one").json()["number"] for _ in range(3)}
    assert len(numbers) == 1
    other = saved(call, changed(port=465), request_id="one")
    assert (other.status_code, other.json()["code"]) == (409, "request_id_reused")


def test_unchanged_values_make_no_revision(call: Call) -> None:
    first = saved(call).json()["number"]
    answer = saved(call, base_revision=first)
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_changed")


def test_a_base_that_is_gone_is_not_found(call: Call) -> None:
    assert saved(call, base_revision=999).status_code == 404


def test_the_second_of_two_programs_gets_a_conflict_with_what_is_active(call: Call) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    assert call("post", f"/config/revisions/{first.number}/activate", {"expected_generation": 0}).status_code == 200
    answer = call("post", f"/config/revisions/{second.number}/activate", {"expected_generation": 0})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["generation"], problem["revision"]) == (
        409,
        "generation_conflict",
        1,
        first.number,
    )


def test_activating_again_or_repeating_changes_nothing(call: Call) -> None:
    number = a_revision().number
    path = f"/config/revisions/{number}/activate"
    call("post", path, {"expected_generation": 0, "request_id": "one"})
    for body in ({"expected_generation": 0, "request_id": "one"}, {"expected_generation": 1, "request_id": "two"}):
        answer = call("post", path, body).json()
        assert (answer["changed"], answer["generation"]) == (False, 1)


def test_stopping_all_mail_needs_to_be_meant(call: Call) -> None:
    number = saved(call, {"general": {"sender_name": "Nobody"}}).json()["number"]
    path = f"/config/revisions/{number}/activate"
    refused = call("post", path, {"expected_generation": 0})
    assert (refused.status_code, refused.json()["code"]) == (400, "reason_required")
    assert call("post", path, {"expected_generation": 0, "accept_stop": True}).status_code == 200


def test_what_can_not_run_is_refused_with_its_problems(call: Call) -> None:
    revision = a_revision()
    tamper(revision, payload={**revision.payload, "general": {}})
    answer = call("post", f"/config/revisions/{revision.number}/activate", {"expected_generation": 0})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_activatable")
    assert "altered" in answer.json()["problems"][0]
    detail = call("get", f"/config/revisions/{revision.number}").json()
    assert detail["config"] is None
    assert "altered" in detail["problems"][0]


def test_an_activation_for_a_while_is_confirmed_or_returns(call: Call) -> None:
    activated(a_revision())
    second = a_revision(smtp__timeout_s=10)
    body = {"expected_generation": 1, "confirm_within_s": 600}
    pending = call("post", f"/config/revisions/{second.number}/activate", body).json()["confirm"]
    assert 590 <= pending["seconds_left"] <= 600
    assert call("get", "/config/active").json()["confirm"]["fallback"] == pending["fallback"]
    third = a_revision(smtp__timeout_s=11)
    waits = call("post", f"/config/revisions/{third.number}/activate", {"expected_generation": 2})
    assert (waits.status_code, waits.json()["code"]) == (409, "confirmation_pending")
    assert call("post", "/config/confirm", {"expected_generation": 2}).json()["changed"]
    assert not call("post", "/config/confirm", {"expected_generation": 2}).json()["changed"]
    assert call("get", "/config/active").json()["confirm"] is None


def test_confirming_nothing_is_a_conflict(call: Call) -> None:
    answer = call("post", "/config/confirm", {"expected_generation": 0})
    assert (answer.status_code, answer.json()["code"]) == (409, "confirmation_over")


def test_rolling_back_names_a_revision_or_means_the_one_before(call: Call) -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    activated(second)
    back = call("post", "/config/rollback", {"expected_generation": 2, "reason": "Too slow", "request_id": "back"})
    assert (back.status_code, back.json()["revision"]) == (200, first.number)
    again = call("post", "/config/rollback", {"revision": second.number, "expected_generation": 3})
    assert again.json()["revision"] == second.number
    assert call("post", "/config/rollback", {"expected_generation": 2}).status_code == 409


def test_rolling_back_to_nothing_is_a_conflict(call: Call) -> None:
    answer = call("post", "/config/rollback", {"expected_generation": 0})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_fallback")


def test_drafts_are_deleted_and_then_gone(call: Call) -> None:
    number = a_revision().number
    assert call("delete", f"/config/revisions/{number}").status_code == 204
    for method in ("get", "delete"):
        answer = call(method, f"/config/revisions/{number}")
        assert (answer.status_code, answer.json()["code"]) == (410, "revision_gone")
    assert call("get", "/config/revisions/999").status_code == 404
    gone = call("post", f"/config/revisions/{number}/activate", {"expected_generation": 0})
    assert gone.status_code == 410
    assert AuditEvent.objects.filter(action="revision.deleted").get().actor_name == "token tests 0"


def test_what_was_active_is_not_deleted(call: Call) -> None:
    revision = a_revision()
    activated(revision)
    answer = call("delete", f"/config/revisions/{revision.number}")
    assert (answer.status_code, answer.json()["code"]) == (409, "revision_in_use")


def test_the_history_is_paged(call: Call) -> None:
    made = [a_revision(smtp__timeout_s=seconds).number for seconds in range(1, 6)]
    a_test_of(revisions.get(made[-1]))
    first = call("get", "/config/revisions", limit=3).json()
    second = call("get", "/config/revisions", limit=3, cursor=first["next_cursor"]).json()
    numbers = [row["number"] for row in (*first["revisions"], *second["revisions"])]
    assert numbers == sorted(made, reverse=True)
    assert second["next_cursor"] is None
    assert first["revisions"][0]["test"]["state"] == "accepted"
    assert first["revisions"][0]["state"] == "draft"


def test_a_difference_lists_fields_and_never_a_secret(call: Call) -> None:
    first = a_revision()
    second = a_revision(base=first, smtp__password="second secret", smtp__timeout_s=10)
    answer = call("get", f"/config/revisions/{first.number}/diff/{second.number}")
    assert [change["path"] for change in answer.json()["changes"]] == ["smtp.password", "smtp.timeout_s"]
    assert "second secret" not in answer.content.decode()
    assert call("get", f"/config/revisions/{first.number}/diff/{first.number}").json()["changes"] == []


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "/config/active", "config:read"),
        ("get", "/config/revisions", "config:read"),
        ("get", "/config/revisions/1", "config:read"),
        ("get", "/config/revisions/1/diff/2", "config:read"),
        ("post", "/config/revisions", "config:write"),
        ("delete", "/config/revisions/1", "config:write"),
        ("post", "/config/revisions/1/activate", "config:activate"),
        ("post", "/config/confirm", "config:activate"),
        ("post", "/config/rollback", "config:activate"),
    ],
)
def test_each_address_needs_its_scope(call: Call, method: str, path: str, scope: str) -> None:
    body = {"config": {}, "description": "Anything", "expected_generation": 0}
    if path != "/config/revisions":
        body = {"expected_generation": 0}
    else:
        del body["expected_generation"]
    others = tuple(one for one in auth.SCOPES if one != scope)
    answer = call(method, path, body, scopes=others)
    assert (answer.status_code, answer.json()["code"], answer.json()["scope"]) == (403, "scope_missing", scope)


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30])
def test_odd_numbers_in_addresses_are_refused(call: Call, number: str) -> None:
    assert call("get", f"/config/revisions/{number}").status_code in (400, 404)


def test_missing_keys_are_said_and_break_nothing(call: Call, key_files: Any) -> None:
    key_files.unlink()
    answer = saved(call)
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unusable")
    assert call("get", "/config/active").status_code == 200


def test_paused_sending_is_said(call: Call) -> None:
    activated(a_revision())
    ActiveConfig.objects.update(confirm_state="failed")
    assert "Sending is paused" in call("get", "/config/active").json()["problem"]


def test_the_document_of_the_api_has_examples(client: Client) -> None:
    from adminapp.api import api

    document = api.get_openapi_schema()
    assert {path for path in document["paths"] if "/config/" in path} == {
        "/api/v1/config/active",
        "/api/v1/config/revisions",
        "/api/v1/config/revisions/{number}",
        "/api/v1/config/revisions/{a}/diff/{b}",
        "/api/v1/config/revisions/{number}/activate",
        "/api/v1/config/rollback",
        "/api/v1/config/confirm",
        "/api/v1/config/test",
    }
    schemas = document["components"]["schemas"]
    assert all("example" in schemas[name] for name in ("SaveIn", "ActivateIn", "RollbackIn", "ConfirmIn", "ActiveOut"))


def test_activation_is_what_the_pages_do_too(call: Call) -> None:
    number = a_revision().number
    call("post", f"/config/revisions/{number}/activate", {"expected_generation": 0, "reason": "By program"})
    assert activation.current().activated_by == "token tests 0"


def test_the_address_that_made_the_token_gets_the_link_of_an_activation_for_a_while(call: Call) -> None:
    sent: list[ports.ConfirmationAsked] = []
    ports.ask_for_confirmation_with(sent.append)
    try:
        call("post", f"/config/revisions/{saved(call).json()['number']}/activate", {"expected_generation": 0})
        second = saved(call, changed(timeout_s=10)).json()["number"]
        body = {"expected_generation": 1, "confirm_within_s": 600, "request_id": "once"}
        done = call("post", f"/config/revisions/{second}/activate", body)
        again = call("post", f"/config/revisions/{second}/activate", body)
    finally:
        wiring.connect()
    assert done.json()["confirm"]["seconds_left"] > 590
    assert again.json()["changed"] is False
    assert [(one.number, one.recipient) for one in sent] == [(second, "ana@acme.com")]
    assert "token" not in done.content.decode()  # whoever may activate need not be who got the mail
