"""The HTTP API of both rooms at /api/v1: one NinjaAPI, one way to authenticate, one shape of refusal."""

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from emailcfg.api import router as config_router
from emailcfg.problems import CONTENT_TYPE, Problem
from outbound.api import router as outbound_router
from outbound.api_test import router as test_router
from outbound.auth import TokenAuth

log = logging.getLogger(__name__)


class _Api(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> Any:
        """Ninja describes every answer as application/json; a refusal is a problem document."""
        document = super().get_openapi_schema(**options)
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        answer["description"] = HTTPStatus(int(status)).phrase
                        answer["content"] = {CONTENT_TYPE: answer["content"].pop("application/json")}
        return document


api = _Api(
    title="Admin App",
    version="1",
    description="Configures outbound email and sends it. Errors are RFC 9457 problem documents with a stable `code`.",
    auth=TokenAuth(),
    docs_url=None,  # its page loads scripts from another host
)
api.add_router("", outbound_router)
api.add_router("", config_router)
api.add_router("", test_router)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    response = JsonResponse(problem.document(), status=problem.status, content_type=CONTENT_TYPE)
    if problem.retry_after_s is not None:
        response["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(AuthenticationError)
def _unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _problem(request, Problem(401, "token_invalid", "Send a valid token: Authorization: Bearer aat_…"))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors: dict[str, str] = {}
    for item in error.errors:
        errors.setdefault(_field(item["loc"]), str(item["msg"]))
    return _problem(request, Problem(400, "invalid_request", "Some fields are not valid.", errors=errors))


def _field(loc: Sequence[Any]) -> str:
    """The path as the sender knows it: without where ninja found it and under which parameter."""
    parts = [str(part) for part in loc[2:]]
    if parts and parts[0] in ("one", "many"):  # which of both a message request is
        parts = parts[1:]
    if parts:
        return ".".join(parts)
    return "body" if loc[-1] in ("one", "many") else str(loc[-1])


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _problem(request, Problem(error.status_code, "bad_request", str(error)))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _problem(request, Problem(404, "not_found", "There is nothing at this address."))


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _problem(request, Problem(413, "too_large", "The request is too large. Send fewer messages at once."))


@api.exception_handler(OperationalError)
def _database(request: HttpRequest, error: OperationalError) -> HttpResponse:
    log.error("The database refused a request of the API: %s", error)
    sentence = "The database can't take this request right now. Nothing was changed; repeat it."
    return _problem(request, Problem(503, "database_unavailable", sentence, retry_after_s=5))


def urls() -> tuple[list[URLPattern | URLResolver], str, str]:
    """What urls.py mounts. The views ask for a token themselves, not for the login of the pages."""
    patterns, app, namespace = api.urls
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = _with_problems(pattern.callback)
            pattern.callback.login_required = False  # type: ignore[attr-defined]  # what login_not_required sets
    return patterns, app, namespace


def _with_problems(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view, with a problem document in place of the bare words with which ninja refuses a method."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **values: Any) -> HttpResponseBase:
        response = view(request, *args, **values)
        if response.status_code != 405:
            return response
        refused = _problem(request, Problem(405, "method_not_allowed", f"Use one of: {response.headers['Allow']}."))
        refused["Allow"] = response.headers["Allow"]
        return refused

    return answered
