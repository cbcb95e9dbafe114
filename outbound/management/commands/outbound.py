"""`manage.py outbound`: runs the outbound service alone; `serve` runs the same beside the web pages.

With BROKER_URL it is a Celery worker, so that the same command serves on one machine and on many."""

import gc
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from emailcfg import pins
from outbound import restart
from outbound.engine.hub import HubFailed
from outbound.engine.loop import Engine
from outbound.engine.presence import LeaseLost


class Command(BaseCommand):
    help = "Delivers accepted mail until it is stopped. Several may run on one database."
    requires_system_checks = ("adminapp",)  # all of them would load every page, which this process never shows

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pins.check()
        except pins.PinRefused as error:
            raise CommandError(str(error)) from None
        if settings.BROKER_URL:
            self._say()
            self._work(settings.BROKER_URL)
            return
        gc.collect()
        gc.freeze()  # what is loaded stays; collections while mail is delivered need not look through it
        engine = Engine()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: engine.stop())
        self._say()
        try:
            engine.run()
        except (HubFailed, LeaseLost) as error:
            raise CommandError(str(error)) from None
        if engine.restarting:
            raise CommandError(restart.SENTENCE, returncode=restart.EXIT_CODE)

    def _say(self) -> None:
        self.stdout.write("The outbound service runs. Ctrl-C or SIGTERM ends it after what is in flight.")
        self.stdout.flush()

    def _work(self, broker_url: str) -> None:
        from outbound.engine.celery import run_worker  # here, because Celery is an optional package

        code = run_worker(broker_url, settings.BROKER_QUEUE)
        if code == restart.EXIT_CODE:
            raise CommandError(restart.SENTENCE, returncode=code)
        if code:
            raise CommandError("The worker ended with a failure; its log has the reason.", returncode=code)
