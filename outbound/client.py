"""A client of the outbound email service, in one file that needs nothing but Python 3.11: copy it into your product.

    client = Client("https://mail.internal:8443", token="aat_...")
    client.send({"kind": "invite", "to": ["bob@example.com"], "context": {"team_name": "Berlin", ...}})

What `send` returns is durably queued by the service. A request whose answer was lost is repeated with the same
idempotency key, so it is never accepted twice. A client keeps one connection open and is used by one thread at a time.
"""

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MAX_BATCH = 1_000
MAX_BATCH_BYTES = 12_000_000  # of one request; the service reads at most 16 MiB
_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message the service has taken: its id there, and its Message-ID header."""

    id: str
    message_id: str


class ServiceError(Exception):
    """The service said no, for good. `code` is stable; `errors` maps field paths to sentences."""

    def __init__(self, status: int, code: str, detail: str, errors: Mapping[str, str]) -> None:
        super().__init__(f"{status} {code}: {detail}" + "".join(f" {path}: {text}" for path, text in errors.items()))
        self.status, self.code, self.errors = status, code, dict(errors)


class ServiceUnavailable(Exception):
    """No answer, or "not now", through all tries. Repeat later with the same idempotency keys (`messages`)."""

    def __init__(self, detail: str, messages: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(detail)
        self.messages = messages


class Client:
    """`timeout_s` bounds each exchange; `tries` and `patience_s` how often and how long a request is repeated in all.
    `context` brings own trust (the service's self-signed certificate, for instance)."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        timeout_s: float = 10.0,
        tries: int = 4,
        patience_s: float = 60.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("Give the address of the service, such as https://mail.internal:8443.")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + "/api/v1/messages"
        self._token, self._timeout_s, self._tries, self._patience_s = token, timeout_s, tries, patience_s
        self._context = context or ssl.create_default_context()
        self._connection: http.client.HTTPConnection | None = None

    def send(self, message: Mapping[str, Any]) -> Accepted:
        """Sends one message, in the form of the API's POST /messages.

        Raises ServiceError or ServiceUnavailable."""
        return self.send_many([message])[0]

    def send_many(self, messages: Sequence[Mapping[str, Any]]) -> list[Accepted]:
        """Sends any number of messages, in batches; each batch is accepted as a whole or not at all.

        Raises ServiceError or ServiceUnavailable; batches before the failing one were accepted."""
        keyed = [{"idempotency_key": secrets.token_hex(16), **message} for message in messages]
        accepted: list[Accepted] = []
        for batch, body in _batches(keyed):
            accepted += [Accepted(one["id"], one["message_id"]) for one in self._post(batch, body)]
        return accepted

    def send_each(self, messages: Sequence[Mapping[str, Any]]) -> list[Accepted | ServiceError]:
        """Like `send_many`, but a message that is refused for what it holds stops no other: what became of each, in
        their order.

        Raises ServiceError for a refusal that names no message (a wrong token), and ServiceUnavailable."""
        keyed = [{"idempotency_key": secrets.token_hex(16), **message} for message in messages]
        outcomes: dict[str, Accepted | ServiceError] = {}
        waiting = keyed
        while waiting:
            batch, body = next(_batches(waiting))
            try:
                answer = self._post(batch, body)
            except ServiceError as error:
                refused = _refused(error, len(batch))
                if not refused:
                    raise
                outcomes |= {batch[index]["idempotency_key"]: one for index, one in refused.items()}
            else:
                done = zip(batch, answer, strict=True)
                outcomes |= {one["idempotency_key"]: Accepted(got["id"], got["message_id"]) for one, got in done}
            waiting = [message for message in waiting if message["idempotency_key"] not in outcomes]
        return [outcomes[message["idempotency_key"]] for message in keyed]

    def close(self) -> None:
        """Closes the kept-open connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _post(self, batch: list[dict[str, Any]], body: bytes) -> list[dict[str, str]]:
        end = time.monotonic() + self._patience_s
        trouble = ""
        for attempt in range(self._tries):
            wait = 0.2 * 4**attempt
            try:
                status, headers, answer = self._exchange(body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                trouble = f"No answer from {self._host}: {error}"
            else:
                if status == 202:
                    found: list[dict[str, str]] = json.loads(answer)
                    return found
                problem = _problem(answer)
                if status not in _RETRIED:
                    errors = {one.get("field", ""): one.get("detail", "") for one in problem.get("errors", [])}
                    raise ServiceError(status, problem.get("code", ""), problem.get("detail", ""), errors)
                trouble = f"{status} {problem.get('detail', '')}"
                asked = headers.get("Retry-After", "")
                wait = max(wait, float(asked)) if asked.isdecimal() else wait
            if attempt + 1 == self._tries or time.monotonic() + wait > end:
                break
            time.sleep(wait)
        raise ServiceUnavailable(trouble, batch)

    def _exchange(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection or self._connected()
        self._connection = connection
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    def _connected(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def _batches(messages: Sequence[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], bytes]]:
    """The messages in batches that the service takes, each with its text; attachments make some batches short."""
    batch: list[dict[str, Any]] = []
    texts: list[bytes] = []
    size = 0
    for message in messages:
        text = json.dumps(message).encode()
        if batch and (len(batch) == MAX_BATCH or size + len(text) > MAX_BATCH_BYTES):
            yield batch, b"[%b]" % b",".join(texts)
            batch, texts, size = [], [], 0
        batch.append(message)
        texts.append(text)
        size += len(text) + 1
    if batch:
        yield batch, b"[%b]" % b",".join(texts)


def _refused(error: ServiceError, size: int) -> dict[int, ServiceError]:
    """The messages of a batch that a refusal names ("3.to.0.email"), by their place, each with its own part of it."""
    own: dict[int, dict[str, str]] = {}
    for path, sentence in error.errors.items():
        place, _, field = path.partition(".")
        if place.isdecimal() and int(place) < size:
            own.setdefault(int(place), {})[field] = sentence
    detail = "The message was refused."  # what is said of the batch is not true of its other messages
    return {place: ServiceError(error.status, error.code, detail, fields) for place, fields in own.items()}


def _problem(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
