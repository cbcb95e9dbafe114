"""The API against its own OpenAPI document: whatever is sent, no answer is a 500, and none is undocumented."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.test.client import Client, ClientHandler
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ninja import Schema
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import emailcfg.api_schemas
import emailcfg.problems
import outbound.api_schemas
import outbound.api_test
from adminapp.api import api
from emailcfg import activation
from emailcfg.network import NetworkPolicy
from outbound import auth
from tests.emailcfg.making import a_revision, activated
from tests.outbound.making import ANA, a_config, activate, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db

DOCUMENT: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
OPERATIONS = [(method.upper(), path) for path, found in DOCUMENT["paths"].items() for method in found]
EXAMPLES = 15  # for each operation, valid and invalid ones alike
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(DOCUMENT)


def from_this_machine(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The program, inside the test's transaction."""
    response = ClientHandler()({**environ, "REMOTE_ADDR": "127.0.0.1"})
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


schema.app = from_this_machine


@pytest.fixture
def token(claimed: object, smtp_server: Callable[..., SmtpServer], settings: Any, tmp_path: Path) -> str:
    """A token that may do everything, in an installation where there is something to read and to change."""
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)
    activate(a_config(smtp_server().port))
    a_revision(smtp__timeout_s=7)
    activated(a_revision(smtp__timeout_s=8), confirm_within_s=600)
    queued(2)
    return auth.create(name="schemathesis", scopes=auth.SCOPES, actor=ANA)


def known(case: Case, numbers: dict[str, int]) -> Case:
    """The same request about something that exists: a number at random hardly ever does."""
    for name in case.path_parameters:
        case.path_parameters[name] = numbers["message" if name == "message_id" else "revision"]
    if isinstance(case.body, dict) and "expected_generation" in case.body:
        case.body["expected_generation"] = activation.current().generation
    return case


@pytest.mark.parametrize("mode", list(GenerationMode), ids=["invalid", "valid"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_no_request_meets_a_500_or_an_undocumented_answer(
    token: str, method: str, path: str, mode: GenerationMode
) -> None:
    message = queued()[0]
    draft = a_revision(smtp__timeout_s=9).number
    operation = schema[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), about_something=st.booleans())
    def act(case: Case, about_something: bool) -> None:
        if about_something:
            case = known(case, {"message": message, "revision": draft})
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(response, checks=CHECKS)

    act()


def test_no_two_shapes_share_a_name() -> None:
    """The document would describe only one of them."""
    named: dict[str, set[str]] = {}
    for room in (emailcfg.api_schemas, emailcfg.problems, outbound.api_schemas, outbound.api_test):
        for name, found in vars(room).items():
            if isinstance(found, type) and issubclass(found, Schema) and name.endswith("Out"):
                named.setdefault(name, set()).add(found.__module__)
    assert {name: modules for name, modules in named.items() if len(modules) > 1} == {}
    assert set(named) <= {*DOCUMENT["components"]["schemas"], "Out"}


def test_every_operation_is_described_with_an_example_of_what_it_takes() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                shape = content["schema"].get("oneOf", [content["schema"]])[0]
                name = shape["$ref"].rpartition("/")[2]
                assert "example" in schemas[name], name


def test_the_examples_of_the_document_are_taken(token: str) -> None:
    """Each is at least understood: what it names may not exist."""
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                shape = content["schema"].get("oneOf", [content["schema"]])[0]
                example = DOCUMENT["components"]["schemas"][shape["$ref"].rpartition("/")[2]]["example"]
                answer = Client().post(
                    path.replace("{number}", "1"),
                    json.dumps(example),
                    content_type="application/json",
                    headers={"Authorization": f"Bearer {token}"},
                )
                assert answer.status_code in (200, 201, 202, 404, 409), (path, answer.content)


def test_a_refusal_is_described_as_the_problem_document_that_it_is() -> None:
    refused = DOCUMENT["paths"]["/api/v1/config/rollback"]["post"]["responses"]["409"]
    assert refused["description"] == "Conflict"
    assert list(refused["content"]) == ["application/problem+json"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_nothing_is_answered_without_a_token(claimed: object, method: str, path: str) -> None:
    for name in ("{message_id}", "{number}", "{a}", "{b}"):
        path = path.replace(name, "1")
    answer = Client().generic(method, path, "{}", content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
