"""What the API answers when it says no: RFC 9457 problem documents with a stable `code`.

Both rooms raise `Problem`; `adminapp.api` turns it into the response. `errors` names the fields at fault by their
path in the request ("to.0.email"), each with a sentence for whoever wrote the program that sent it.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from ninja import Schema
from pydantic import ConfigDict, Field

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with this status. `retry_after_s` becomes a Retry-After header; `extra` is added to the
    document (the current generation of a conflict, for instance)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = dict(errors or {})
        self.retry_after_s = retry_after_s
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """The body of the response."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [{"field": field, "detail": sentence} for field, sentence in self.errors.items()]
        return {**body, **self.extra}


class ProblemOut(Schema):
    """An RFC 9457 problem document. `code` is stable; `errors` names the fields at fault. Some codes add members, such
    as the `generation` of a conflict."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Conflict",
                "status": 409,
                "code": "generation_conflict",
                "detail": "r41 is now active. Look at what changed, then decide again.",
                "generation": 41,
                "revision": 41,
            }
        },
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = Field([], description="Each with `field` and `detail`")


def answers(*statuses: int) -> dict[int, type[ProblemOut]]:
    """What an operation may answer when it says no: these statuses, and those that any of them may."""
    return dict.fromkeys(sorted({400, 401, 403, 413, 503, *statuses}), ProblemOut)


class _HasScopes(Protocol):
    @property
    def scopes(self) -> Any: ...


def require_scope(token: _HasScopes, scope: str) -> None:
    """Raises a 403 problem unless the token has this scope."""
    scopes: Collection[str] = token.scopes
    if scope not in scopes:
        raise Problem(403, "scope_missing", f"This token lacks the scope {scope}.", scope=scope)
