"""The SQLite file is replaced by an older backup while a process of its own delivers from it."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from emailcfg import activation
from emailcfg.models import AuditEvent, ServiceInstance
from outbound.models import Message
from tests.outbound.engine.running import spawned, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import a_config, activate, queued

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="a file that can be swapped"),
]


def path() -> Path:
    return Path(connection.settings_dict["NAME"])


def back_up(to: Path) -> None:
    source, target = sqlite3.connect(path()), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def swap(backup: Path) -> None:
    """Puts it in the place of the database, whose write-ahead log goes as well."""
    connection.close()
    for suffix in ("-wal", "-shm"):
        path().with_name(path().name + suffix).unlink(missing_ok=True)
    backup.replace(path())


@pytest.fixture
def process(settings: Any) -> Iterator[Any]:
    process = spawned()
    yield process
    process.terminate()
    process.wait(40)


@pytest.mark.slow
def test_a_swapped_file_is_noticed_within_a_second_and_delivery_goes_on_from_it(tmp_path: Path, process: Any) -> None:
    with Sink() as old, Sink() as new:
        first = activate(a_config(old.port))
        back_up(tmp_path / "backup.sqlite3")
        activate(a_config(new.port))
        (before,) = queued()
        until(lambda: Message.objects.get(pk=before).state == "sent")
        assert new.count == 1

        swap(tmp_path / "backup.sqlite3")
        swapped_at = time.monotonic()
        until(lambda: AuditEvent.objects.filter(action="backup.restored").exists())
        # A second for the look, and as much again for a machine that runs other tests at the same time.
        assert time.monotonic() - swapped_at < 2
        until(lambda: ServiceInstance.objects.filter(state="running", generation=first.generation).exists())
        (after,) = queued()
        until(lambda: Message.objects.get(pk=after).state == "sent")
        assert (old.count, new.count) == (1, 1)
        assert process.poll() is None  # it was not the supervisor's work
        assert activation.current().revision_id == first.revision_id
