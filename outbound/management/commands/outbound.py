"""`manage.py outbound`: runs the outbound service alone; `serve` runs the same engine beside the web pages."""

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from outbound.engine.loop import Engine, LeaseLost


class Command(BaseCommand):
    help = "Delivers accepted mail until it is stopped. Several may run on one database."

    def handle(self, *args: Any, **options: Any) -> None:
        engine = Engine()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: engine.stop())
        self.stdout.write("The outbound service runs. Ctrl-C or SIGTERM ends it after what is in flight.")
        self.stdout.flush()
        try:
            engine.run()
        except LeaseLost as error:
            raise CommandError(str(error)) from None
