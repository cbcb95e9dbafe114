"""The SQLite file is replaced by an older backup while a process of its own delivers from it."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from emailcfg import activation
from emailcfg.models import AuditEvent, ServiceInstance
from outbound import queue
from outbound.models import Attempt, Lease, Message
from tests.outbound.engine.running import spawned, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, activate, queued

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


@pytest.mark.slow
def test_what_was_in_flight_when_the_file_was_swapped_is_not_recorded_in_the_other_one(
    tmp_path: Path, settings: Any
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hook(phase: str, count: int) -> None:
        if phase == "dot" and count == 1:
            reached.set()
            go_on.wait(30)

    with Sink(hook) as sink:
        activate(a_config(sink.port, timeout_s=60))
        queue.pause(actor=ANA)
        queued(2)
        back_up(tmp_path / "backup.sqlite3")
        queue.resume(actor=ANA)
        activate(a_config(sink.port, timeout_s=59))
        process = spawned()
        try:
            assert reached.wait(20)
            swap(tmp_path / "backup.sqlite3")
            until(lambda: AuditEvent.objects.filter(action="backup.restored").exists())
            go_on.set()
            until(lambda: ServiceInstance.objects.filter(state="running", generation=1).exists())
            assert set(Message.objects.values_list("state", "attempts")) == {("queued", 0)}
            assert not Attempt.objects.exists()
            assert not Lease.objects.exclude(instance__in=ServiceInstance.objects.values("instance")).exists()
            queue.resume(actor=ANA)
            until(lambda: Message.objects.filter(state="sent").count() == 2)
        finally:
            go_on.set()
            process.terminate()
            assert process.wait(40) == 0
