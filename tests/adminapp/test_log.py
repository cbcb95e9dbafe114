"""Log lines can't be forged and hold no credentials."""

import logging

import pytest
from django.test import RequestFactory

from adminapp.log import NoProbes, OneLineFormatter, RedactingFilter


def written(message: str, *args: object) -> str:
    record = logging.LogRecord("mail", logging.INFO, __file__, 1, message, args, None)
    RedactingFilter().filter(record)
    return OneLineFormatter("{levelname} {message}", style="{").format(record)


def test_control_characters_are_escaped() -> None:
    assert written("user %s", "a\r\nERROR forged\x1b[2J\x9b") == r"INFO user a\x0d\x0aERROR forged\x1b[2J\x9b"


@pytest.mark.parametrize(
    "text",
    [
        "key SG.abcdefgh12345678.SECRETSECRETSECRET was used",
        "Authorization: Bearer SECRETSECRET",
        "called with 'aat_SECRETSECRETSECRET'",
        "sent AUTH PLAIN SECRETSECRET",
        "POST /setup/?token=SECRETSECRET&x=1",
        "Forbidden (CSRF token missing): /received/SECRETSECRET/",
        "Bad Request: /configuration/confirm/SECRETSECRET/",
        "connect postgresql://ana:SECRET@db/name",
        "password=SECRET, host=x",
    ],
)
def test_what_looks_like_a_credential_is_replaced(text: str) -> None:
    assert "SECRET" not in written(text)
    assert "SECRET" not in written("%s", text)
    assert "[redacted]" in written(text)


def test_a_traceback_stays_on_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as problem:
        record = logging.LogRecord("mail", logging.ERROR, __file__, 1, "failed", (), (type(problem), problem, None))
    assert "\n" not in OneLineFormatter("{message}", style="{").format(record)


def test_a_failed_readiness_probe_is_not_logged_and_other_errors_are() -> None:
    request = RequestFactory().get("/readyz")
    probe = logging.makeLogRecord({"msg": "Service Unavailable: /readyz", "request": request})
    other = logging.makeLogRecord({"msg": "Service Unavailable", "request": RequestFactory().get("/status/")})
    assert not NoProbes().filter(probe)
    assert NoProbes().filter(other)
    assert NoProbes().filter(logging.makeLogRecord({"msg": "no request"}))
