"""`manage.py rotate_secrets`: re-encrypts every stored secret under the newest key."""

import json
import os
import tempfile
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from emailcfg import audit, rotation, secrets
from emailcfg.actor import Actor
from emailcfg.destinations import SecretUnavailable


class Command(BaseCommand):
    help = "Re-encrypts every secret under the newest key. May be interrupted and repeated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--new-key", action="store_true", help="first put a new key in front of the key ring")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            secrets.key_ring()
            if options["new_key"]:
                _put_in_front(Path(settings.ENCRYPTION_KEY_FILES[0]), Fernet.generate_key())
                audit.record("key.added", actor=Actor(name="command line"))
            counts = rotation.rotate(secrets.key_ring())
        except SecretUnavailable as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": {"code": "secret_unavailable", "detail": str(error)}}))
            raise CommandError(str(error)) from None
        audit.record(
            "key.rotated",
            actor=Actor(name="command line"),
            rotated=counts.rotated,
            current=counts.current,
            unreadable=counts.unreadable,
        )
        self.stdout.write(
            json.dumps(asdict(counts))
            if options["json"]
            else f"{counts.rotated} re-encrypted, {counts.current} under the newest key already, "
            f"{counts.unreadable} that no key opens."
        )
        if counts.unreadable:
            raise CommandError("Keep all keys, and enter the secrets that no key opens again.")
        if not options["json"]:
            self.stdout.write("Older keys are still needed for backups that were made before.")


def _put_in_front(path: Path, key: bytes) -> None:
    """Writes the file anew with the key as its first line, so that it is never there in part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # made with mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(key + b"\n" + path.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)
