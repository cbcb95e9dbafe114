"""`manage.py doctor`: looks whether the installation can do its work. Counts and sentences, never a secret."""

import json
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from emailcfg import activation, confirmation, obstacles, pins, revisions, secrets
from emailcfg.destinations import SecretUnavailable
from emailcfg.models import ConfigRevision
from emailcfg.schema_migrations import NewerSchema


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question."""

    name: str
    ok: bool
    detail: str


def examine() -> list[Finding]:
    """All findings, in order; a failing one does not stop the rest, but for the database, which all others need."""
    found = [_database()]
    if found[0].ok:
        found += [_keys(), _secrets(), _revisions(), _pins(), _active()]
    return found


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return Finding("database", False, "The database does not answer.")
    if missing:
        sentence = f"{missing} steps are missing in the database: “make run” or “manage.py migrate” takes them."
        return Finding("database", False, sentence)
    return Finding("database", True, f"{connection.vendor} answers.")


def _keys() -> Finding:
    try:
        secrets.key_ring()
    except SecretUnavailable as error:
        return Finding("keys", False, str(error))
    return Finding("keys", True, "The key files can be read, by their owner alone.")


def _secrets() -> Finding:
    """Every secret is opened where each revision uses it."""
    try:
        ring = secrets.key_ring()
    except SecretUnavailable:
        return Finding("secrets", False, "No secret can be opened without the key files.")
    opened, closed = 0, 0
    for revision in ConfigRevision.objects.iterator(chunk_size=200):
        try:
            config = revisions.read(revision).config
        except (revisions.RevisionUnreadable, NewerSchema):
            continue
        problems = secrets.check(config, ring)
        closed += len(problems)
        opened += sum(value is not None for value in secrets.all_of(config)) - len(problems)
    return Finding("secrets", not closed, f"{opened} secrets of all revisions open, {closed} don't.")


def _revisions() -> Finding:
    unreadable = [
        revision.number for revision in ConfigRevision.objects.iterator(chunk_size=200) if _unreadable(revision)
    ]
    total = ConfigRevision.objects.count()
    if unreadable:
        return Finding(
            "revisions", False, f"{len(unreadable)} of {total} can't be read, the first is r{unreadable[-1]}."
        )
    return Finding("revisions", True, f"All {total} can be read.")


def _unreadable(revision: ConfigRevision) -> bool:
    try:
        revisions.read(revision)
    except (revisions.RevisionUnreadable, NewerSchema):
        return True
    return False


def _pins() -> Finding:
    try:
        pinned = pins.current()
    except pins.PinRefused as error:
        return Finding("pins", False, str(error))
    return Finding("pins", True, f"{len(pinned)} fields are pinned by the environment.")


def _active() -> Finding:
    active = activation.current()
    if active.revision is None:
        return Finding("active", False, "No revision is active: no mail is accepted.")
    problems = obstacles.problems(active.revision)
    paused = confirmation.sending_paused(active)
    if problems or paused:
        return Finding("active", False, f"r{active.revision_id} is active. {' '.join([*problems, paused]).strip()}")
    return Finding("active", True, f"r{active.revision_id} is active and can run (generation {active.generation}).")


class Command(BaseCommand):
    help = "Checks the database, the keys, every stored secret and the active revision. Prints counts, never secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine()
        if options["json"]:
            self.stdout.write(
                json.dumps({"ok": all(one.ok for one in found), "checks": [asdict(one) for one in found]})
            )
        else:
            for one in found:
                self.stdout.write(f"{'ok  ' if one.ok else 'FAIL'} {one.name}: {one.detail}")
        if not all(one.ok for one in found):
            raise CommandError("Not everything is in order.")
