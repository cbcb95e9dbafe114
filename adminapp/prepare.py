"""What has to stand before the product can serve: database, key files, static files. Repeating it costs little."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from adminapp import keys
from emailcfg import audit, restored, schema_upgrade
from emailcfg.actor import SYSTEM
from emailcfg.models import Secret

Say = Callable[[str], None]


def prepare(say: Say) -> None:
    """Brings everything up to date, one starting process at a time; says each step that has work to do.

    Raises OperationalError (no database), keys.KeyProblem, OSError."""
    with keys.locked(settings.DATA_DIR):
        migrate(say)
        if restored.Memory(settings.DATA_DIR).check():
            say("The database is an older one than at the last run: a restored backup. Status says what follows.")
        if (migrated := schema_upgrade.bring_up_to_date()) is not None:
            say(f"The active revision was brought to today's schema as r{migrated.revision_id}.")
        make_keys(say)
        collect_static(say)


def migrate(say: Say) -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        with _step(say, f"Bringing the database up to date ({len(plan)} steps)"):
            call_command("migrate", interactive=False, verbosity=0)


def make_keys(say: Say) -> None:
    made = keys.make_encryption_keys(
        ring=tuple(settings.ENCRYPTION_KEY_FILES),
        fingerprint=settings.FINGERPRINT_KEY_FILE,
        ciphertext_exists=Secret.objects.exists(),
    )
    if made:
        audit.record("key.made", actor=SYSTEM)
        say(f"Made the encryption key {settings.ENCRYPTION_KEY_FILES[0]}: keep a copy apart from the database's.")


def collect_static(say: Say) -> None:
    """Gathers the static files under hashed names, when any of their sources changed."""
    stamp = Path(settings.STATIC_ROOT) / ".sources"
    sources = _static_sources()
    if stamp.exists() and stamp.read_text() == sources:
        return
    with _step(say, "Gathering the static files"):
        call_command("collectstatic", interactive=False, verbosity=0, clear=True, stdout=io.StringIO())
        stamp.write_text(sources)


def _static_sources() -> str:
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            source = Path(storage.path(name)).stat()
            digest.update(f"{name}:{source.st_size}:{source.st_mtime_ns};".encode())
    return digest.hexdigest()


@contextmanager
def _step(say: Say, what: str) -> Iterator[None]:
    say(f"{what} …")
    started = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - started:.1f} s.")
