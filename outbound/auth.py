"""Bearer tokens of programs: making, recognising and revoking them.

A token is shown once, when it is made; the database holds its SHA-256. The scopes are those of the whole API, also
of the part that `emailcfg` answers.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from emailcfg import audit
from emailcfg.actor import Actor
from outbound.models import ApiToken

SCOPES = ("config:read", "config:write", "config:activate", "messages:send", "messages:read")
_PREFIX = "aat_"  # so that secret scanners and people recognise one
_LIVE = "SELECT * FROM outbound_apitoken WHERE hash = %s AND revoked_at IS NULL"
_USED_EVERY = timedelta(minutes=1)


class TokenRefused(Exception):
    """A token can't be made or revoked as asked. The message is a sentence."""


def check(*, name: str, scopes: Iterable[str]) -> tuple[str, list[str]]:
    """The name and the scopes as a token with them is stored. Raises TokenRefused when they can't be."""
    name, wanted = name.strip(), sorted(set(scopes))
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise TokenRefused("Name the token in 1 to 80 characters, after the program that will use it.")
    if not wanted:
        raise TokenRefused(f"Give the token at least one scope of: {', '.join(SCOPES)}.")
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise TokenRefused(f"There is no scope {unknown[0]}. The scopes are: {', '.join(SCOPES)}.")
    if ApiToken.objects.filter(name=name).exists():
        raise TokenRefused(_taken(name))
    return name, wanted


def _taken(name: str) -> str:
    return f"There is already a token named {name}. Revoked tokens keep their name; choose another one."


def create(*, name: str, scopes: Iterable[str], actor: Actor) -> str:
    """Makes a token and returns its text, which is not kept. Raises TokenRefused."""
    name, wanted = check(name=name, scopes=scopes)
    text = _PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            ApiToken.objects.create(name=name, hash=_hash(text), scopes=wanted, created_by=actor.name)
            audit.record("token.created", actor=actor, subject=f"token {name}", scopes=wanted)
    except IntegrityError:
        raise TokenRefused(_taken(name)) from None  # made at the same moment
    return text


@transaction.atomic
def revoke(name: str, *, actor: Actor) -> ApiToken:
    """Ends a token for good. Revoking a revoked one changes nothing. Raises TokenRefused."""
    token = ApiToken.objects.select_for_update().filter(name=name).first()
    if token is None:
        raise TokenRefused(f"There is no token named {name}.")
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        audit.record("token.revoked", actor=actor, subject=f"token {name}")
    return token


def find(text: str) -> ApiToken | None:
    """The token with this text, unless it was revoked. Notes its use, at most once a minute."""
    if not text.startswith(_PREFIX):
        return None
    found = ApiToken.objects.raw(_LIVE, [_hash(text)])  # in raw SQL: every request asks
    token = next(iter(found), None)
    if token is not None:
        _note_use(token, timezone.now())
    return token


def _note_use(token: ApiToken, now: datetime) -> None:
    if token.last_used_at is None or now - token.last_used_at >= _USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class TokenAuth(HttpBearer):
    """Puts the ApiToken of the request into `request.auth`; operations check its scope with `require_scope`."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        return find(token)


def actor_of(request: HttpRequest) -> Actor:
    """Who acts, for the audit log: the token of the request."""
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return Actor(name=f"token {token.name}", address=request.META.get("REMOTE_ADDR", ""))
