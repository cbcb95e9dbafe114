"""What an answer of SendGrid's API says: its words, the scopes of a key, and how long to wait."""

import json
import time
from email.utils import parsedate_to_datetime

from emailcfg.providers.https import Response
from emailcfg.providers.reply import Redactor, words


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or nested without end
        return None


def scopes(body: bytes, redact: Redactor) -> list[str] | None:
    """The scopes in the answer to `GET /v3/scopes`, free of secrets; None when it is no such document."""
    document = _parsed(body)
    found = document.get("scopes") if isinstance(document, dict) else None
    return (
        [words(scope, redact)[:100] for scope in found if isinstance(scope, str)] if isinstance(found, list) else None
    )


def message(body: bytes) -> str:
    """The messages of an error document, else the body's own text."""
    document = _parsed(body)
    errors = document.get("errors") if isinstance(document, dict) else None
    found = [error.get("message") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    text = "; ".join(message for message in found if isinstance(message, str))
    return text or body.decode("utf-8", "replace")


def retry_after_s(response: Response) -> float | None:
    """Seconds to wait by Retry-After (seconds or a date) or X-RateLimit-Reset (Unix time), or None."""
    wait, reset = response.headers.get("retry-after", ""), response.headers.get("x-ratelimit-reset", "")
    if wait.isdecimal():
        return float(wait[:9])
    if wait:
        try:
            return max(0.0, parsedate_to_datetime(wait).timestamp() - time.time())
        except ValueError:
            pass
    return max(0.0, float(reset[:12]) - time.time()) if reset.isdecimal() else None
