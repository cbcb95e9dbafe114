"""`manage.py prune`: deletes contents and records of mail that are past their time. Runs by itself once a day."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from outbound import retention


class Command(BaseCommand):
    help = "Deletes mail contents and records past their retention (RETAIN_BODIES_DAYS, RETAIN_RECORDS_DAYS)."

    def handle(self, *args: Any, **options: Any) -> None:
        bodies, records = retention.prune(timezone.now())
        self.stdout.write(f"Deleted the contents of {bodies:,} and the records of {records:,} messages.")
