"""`manage.py prune`: deletes contents and records of mail that are past their time. Runs by itself once a day."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from outbound import retention


class Command(BaseCommand):
    help = "Deletes mail contents and records past their retention (RETAIN_BODIES_DAYS, RETAIN_RECORDS_DAYS)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        bodies, records = retention.prune(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps({"bodies": bodies, "records": records}))
        else:
            self.stdout.write(f"Deleted the contents of {bodies:,} and the records of {records:,} messages.")
