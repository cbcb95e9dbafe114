"""`manage.py token create|list|revoke`: bearer tokens for programs that use the API."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from emailcfg.actor import Actor
from outbound import auth
from outbound.models import ApiToken

_ACTOR = Actor(name="command line")


class Command(BaseCommand):
    help = "Makes, lists and revokes the tokens with which programs use the API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and print it, alone and only this once")
        create.add_argument("--name", required=True, help="the program that will use it")
        create.add_argument(
            "--scope", action="append", required=True, choices=auth.SCOPES, help="what it may do; give it several times"
        )
        show = verbs.add_parser("list", help="the tokens, without their text")
        revoke = verbs.add_parser("revoke", help="end a token for good")
        revoke.add_argument("--name", required=True)
        for verb in (create, show, revoke):
            verb.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["verb"] == "create":
                text = auth.create(name=options["name"], scopes=options["scope"], actor=_ACTOR)
                made = {"name": options["name"].strip(), "scopes": sorted(set(options["scope"])), "token": text}
                self.stdout.write(json.dumps(made) if options["json"] else text)
            elif options["verb"] == "revoke":
                token = auth.revoke(options["name"], actor=_ACTOR)
                ended = json.dumps({"name": token.name, "revoked_at": token.revoked_at}, default=str)
                self.stdout.write(ended if options["json"] else f"The token {token.name} is revoked.")
            else:
                self._list(as_json=options["json"])
        except auth.TokenRefused as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": {"code": "token_refused", "detail": str(error)}}))
            raise CommandError(str(error)) from None

    def _list(self, *, as_json: bool) -> None:
        tokens = list(ApiToken.objects.all())
        if as_json:
            names = ("name", "scopes", "created_by", "created_at", "last_used_at", "revoked_at")
            rows = [{name: getattr(token, name) for name in names} for token in tokens]
            self.stdout.write(json.dumps(rows, default=lambda moment: moment.isoformat()))
            return
        if not tokens:
            self.stdout.write("There is no token yet. Make one: manage.py token create --name N --scope messages:send")
        for token in tokens:
            state = f"revoked {token.revoked_at:%Y-%m-%d}" if token.revoked_at else _used(token)
            self.stdout.write(f"{token.name}: {', '.join(token.scopes)}; {state}")


def _used(token: ApiToken) -> str:
    return f"last used {token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never used"
