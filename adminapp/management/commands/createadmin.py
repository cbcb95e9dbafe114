"""`manage.py createadmin --email E`: makes an administrator; the password is read from standard input."""

import getpass
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from adminapp import setup
from adminapp.accounts import create_administrator


class Command(BaseCommand):
    help = "Makes an administrator. The password is the first line of standard input. The first one ends the first run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--email", required=True, help="the address that logs in")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        make = create_administrator if setup.is_claimed() else setup.claim
        try:
            user = make(email=options["email"], password=password)
        except ValidationError as problem:
            raise self._refusal("invalid", " ".join(problem.messages), **options) from None
        except setup.AlreadyClaimed:
            sentence = "Another registration was first. Run the command again."
            raise self._refusal("already_claimed", sentence, **options) from None
        name = user.get_username()
        self.stdout.write(json.dumps({"email": name}) if options["json"] else f"{name} can log in now.")

    def _refusal(self, code: str, sentence: str, **options: Any) -> CommandError:
        if options["json"]:
            self.stdout.write(json.dumps({"error": {"code": code, "detail": sentence}}))
        return CommandError(sentence)
