"""`manage.py token`: what it prints, and what it refuses."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from emailcfg.models import AuditEvent
from outbound import auth
from outbound.models import ApiToken

pytestmark = pytest.mark.django_db


def _token(*arguments: str) -> str:
    out = StringIO()
    call_command("token", *arguments, stdout=out)
    return out.getvalue()


def test_create_prints_the_token_alone() -> None:
    text = _token("create", "--name", "ci", "--scope", "messages:send", "--scope", "messages:read").strip()
    token = auth.find(text)
    assert token is not None
    assert token.scopes == ["messages:read", "messages:send"]
    event = AuditEvent.objects.get(action="token.created")
    assert text not in json.dumps(event.detail)


def test_list_tells_names_scopes_and_use_but_no_token() -> None:
    text = _token("create", "--name", "ci", "--scope", "messages:send").strip()
    assert "ci: messages:send; never used" in _token("list")
    auth.find(text)
    listed = _token("list", "--json")
    assert json.loads(listed)[0]["last_used_at"] is not None
    assert text not in listed


def test_revoke_ends_it() -> None:
    text = _token("create", "--name", "ci", "--scope", "messages:send").strip()
    _token("revoke", "--name", "ci")
    assert auth.find(text) is None
    assert ApiToken.objects.get().revoked_at is not None
    assert "revoked" in _token("list")


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", " ", "--scope", "messages:send"),
        ("create", "--name", "taken", "--scope", "messages:send"),
        ("create", "--name", "x", "--scope", "everything"),
        ("create", "--name", "x"),
        ("revoke", "--name", "nobody"),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(arguments: tuple[str, ...]) -> None:
    _token("create", "--name", "taken", "--scope", "messages:send")
    with pytest.raises(CommandError):
        _token(*arguments)
    assert ApiToken.objects.count() == 1
