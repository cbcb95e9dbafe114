"""`manage.py queue pause|resume`: the pause of the Status page, also while nothing runs, as after a restore."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from emailcfg.actor import Actor
from outbound import queue

_ACTOR = Actor(name="command line")


class Command(BaseCommand):
    help = "Pauses sending and lets it go on. Mail is accepted and waits meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        pause = verbs.add_parser("pause", help="let no more mail leave; what is on its way ends")
        pause.add_argument("--reason", default="", help="why, for who finds it paused")
        resume = verbs.add_parser("resume", help="let mail leave again")
        for verb in (pause, resume):
            verb.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        paused = options["verb"] == "pause"
        changed = queue.pause(actor=_ACTOR, reason=options["reason"]) if paused else queue.resume(actor=_ACTOR)
        if options["json"]:
            self.stdout.write(json.dumps({"paused": paused, "changed": changed}))
            return
        sentence = "Sending is paused." if paused else "Mail leaves again."
        self.stdout.write(sentence if changed else f"{sentence} It was so already; nothing was changed.")
