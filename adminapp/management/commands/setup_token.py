"""`manage.py setup_token`: a new link for the first run, when the one printed at the start is lost or too old."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from adminapp import setup
from adminapp.models import Claim
from emailcfg import audit
from emailcfg.actor import Actor


class Command(BaseCommand):
    help = "Prints a new setup link, valid for 30 minutes. --reset opens the first run again after a claim."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reset", action="store_true", help="forget that an administrator was registered; accounts stay"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["reset"]:
            with transaction.atomic():
                Claim.objects.all().delete()
                audit.record("administrator.reset", actor=Actor(name="command line"))
        try:
            token = setup.new_token()
        except setup.AlreadyClaimed:
            sentence = (
                "An administrator is registered. Add another with “manage.py createadmin”, or repeat this with --reset."
            )
            if options["json"]:
                self.stdout.write(json.dumps({"error": {"code": "already_claimed", "detail": sentence}}))
            raise CommandError(sentence) from None
        bases = (f"http://localhost:{settings.HTTP_PORT}", settings.PUBLIC_BASE_URL)
        links = [f"{base}/setup/?token={token}" for base in bases]
        if options["json"]:
            self.stdout.write(json.dumps({"token": token, "links": links}))
            return
        self.stdout.write("\n".join(links))
        if options["reset"]:
            self.stdout.write("Restart the program, so that it shows the setup page again.")
