"""An HTTP server that answers like SendGrid's v3 API: scopes, verified senders and domains, mail/send, and refusals by
programme."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

KEY = "SG." + "k" * 22 + "." + "s" * 43  # has the form of a key, and works here


@dataclass(frozen=True)
class Answer:
    """What the server says instead of its usual answer. `body` is sent as JSON unless it is bytes."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error document as the API makes them."""
    return Answer(status, {"errors": [{"message": message, "field": None, "help": None}]}, headers or {})


class SendGridServer:
    """`sent` holds the payloads taken by mail/send, `requests` every request as "METHOD /path".

    `next_answers` are used up by mail/send first; `scopes_answer` replaces the answer of the scopes. `senders` maps
    verified senders, `domains` authenticated domains, to whether they are proven; None: this key may not read them.
    `lists_answer` replaces the answers of both."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self.keys: dict[str, Sequence[str]] = {KEY: ("mail.send", "sender_verification_eligible")}
        self.sent: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.next_answers: list[Answer] = []
        self.scopes_answer: Answer | None = None
        self.senders: dict[str, bool] | None = None
        self.domains: dict[str, bool] | None = None
        self.lists_answer: Answer | None = None
        server.expect_request("/v3/scopes", method="GET").respond_with_handler(self._scopes)
        server.expect_request("/v3/verified_senders", method="GET").respond_with_handler(self._senders)
        server.expect_request("/v3/whitelabel/domains", method="GET").respond_with_handler(self._domains)
        server.expect_request("/v3/mail/send", method="POST").respond_with_handler(self._send)

    @property
    def url(self) -> str:
        """What SENDGRID_API_URL is set to."""
        return self._server.url_for("").rstrip("/")

    def _scopes(self, request: Request) -> Response:
        self.requests.append("GET /v3/scopes")
        if self.scopes_answer is not None:
            return _response(self.scopes_answer)
        scopes = self._scopes_of(request)
        if scopes is None:
            return _response(refusal(401, "The provided authorization grant is invalid, expired, or revoked"))
        return _response(Answer(200, {"scopes": list(scopes)}))

    def _senders(self, request: Request) -> Response:
        self.requests.append("GET /v3/verified_senders")
        if self.lists_answer is not None:
            return _response(self.lists_answer)
        if self.senders is None:
            return _response(refusal(403, "access forbidden"))
        rows = [{"id": n, "from_email": name, "verified": ok} for n, (name, ok) in enumerate(self.senders.items(), 1)]
        return _response(Answer(200, {"results": rows[: request.args.get("limit", default=50, type=int)]}))

    def _domains(self, request: Request) -> Response:
        self.requests.append("GET /v3/whitelabel/domains")
        if self.lists_answer is not None:
            return _response(self.lists_answer)
        if self.domains is None:
            return _response(refusal(403, "access forbidden"))
        rows = [{"id": n, "domain": name, "valid": ok} for n, (name, ok) in enumerate(self.domains.items(), 1)]
        return _response(Answer(200, rows[: request.args.get("limit", default=50, type=int)]))

    def _send(self, request: Request) -> Response:
        self.requests.append("POST /v3/mail/send")
        payload = request.get_data()
        if self.next_answers:
            return _response(self.next_answers.pop(0))
        scopes = self._scopes_of(request)
        if scopes is None:
            return _response(refusal(401, "The provided authorization grant is invalid, expired, or revoked"))
        if "mail.send" not in scopes:
            return _response(refusal(403, "access forbidden"))
        self.sent.append(json.loads(payload))
        return _response(Answer(202, b"", {"X-Message-Id": f"sg-{len(self.sent):04}"}))

    def _scopes_of(self, request: Request) -> Sequence[str] | None:
        return self.keys.get(request.headers.get("Authorization", "").removeprefix("Bearer "))


def _response(answer: Answer) -> Response:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body)
    return Response(body, status=answer.status, headers=dict(answer.headers), content_type="application/json")
