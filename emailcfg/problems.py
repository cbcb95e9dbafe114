"""What the API answers when it says no: RFC 9457 problem documents with a stable `code`.

Both rooms raise `Problem`; `adminapp.api` turns it into the response. `errors` names the fields at fault by their
path in the request ("to.0.email"), each with a sentence for whoever wrote the program that sent it.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

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


class _HasScopes(Protocol):
    @property
    def scopes(self) -> Any: ...


def require_scope(token: _HasScopes, scope: str) -> None:
    """Raises a 403 problem unless the token has this scope."""
    scopes: Collection[str] = token.scopes
    if scope not in scopes:
        raise Problem(403, "scope_missing", f"This token lacks the scope {scope}.", scope=scope)
