"""`manage.py healthcheck`: opens a session with the active configuration as far as the login. Sends no mail."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from emailcfg.actor import Actor
from emailcfg.models import TestSend
from outbound import healthcheck, transcript
from outbound.api_test import as_json
from outbound.healthcheck import NothingToCheck
from outbound.testsend import TooManyTests


class Command(BaseCommand):
    help = "Checks that the active configuration reaches its mail service and may log in. Sends no mail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            test = healthcheck.run(Actor(name="command line"))
        except (NothingToCheck, TooManyTests) as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": {"code": "not_checked", "detail": str(error)}}))
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(as_json(test), indent=2) if options["json"] else transcript.text(test))
        if test.state != TestSend.State.PASSED:
            raise CommandError(str(test.steps.get("summary", "The check failed.")))
