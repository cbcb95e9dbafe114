"""However much waits, a delivering process needs no more memory than for what it may hold of it at once."""

import base64
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from emailcfg.providers import shape
from outbound import queue
from outbound.engine.held import MAX_HELD_BYTES
from outbound.engine.pools import LOADED_BYTES
from outbound.engine.transport import HTTP_CONNECTIONS
from outbound.models import Message, MessageBody
from tests.outbound.engine.running import ROOT, spawned, until
from tests.outbound.engine.sink import ApiSink, CountingServer, Hook, Sink
from tests.outbound.making import ANA, a_config, a_sendgrid_config, activate, queued

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's memory from Linux's /proc"),
]

LARGE = 2_000_000  # bytes of a mail
MANY = 80
CONNECTIONS = 5  # of SMTP, when the configuration says nothing else

# What the code holds at most, beside what an idle process needs. Of all that is claimed (MAX_HELD_BYTES and more) only
# LOADED_BYTES wait with their content, passed by less than a mail. The database reads a large mail alone: its page,
# SQLite's value and its cast, and the driver's copy.
HELD = LOADED_BYTES + LARGE
LOADING = 4 * LARGE
# Each connection of SMTP has the mail with its dots doubled, and the write in which that stands; one lane, as they run
# in one thread, may be making the second of two such writes.
SMTP = 2 * CONNECTIONS * LARGE + LARGE
# Each connection to SendGrid has its request. One is in the making: the mail as text, its lines (with Python's 49 bytes
# each: twice), joined, as bytes, decoded, with other line ends, as a part of the JSON, as all of it, and its bytes.
SENDGRID = HTTP_CONNECTIONS * LARGE + 10 * LARGE
HEAP = 1.25  # the allocator's: what is free may lie in holes that the next mail does not fit into


def peak(pid: int) -> int:
    """The most memory that a process ever used, in bytes."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024


def _large_ones_queued() -> None:
    """MANY mails of LARGE bytes, as a text with a line that starts with a dot. None is claimed before all are made."""
    queue.pause(actor=ANA, reason="The mails are made large.")
    ids = queued(MANY)
    noise = base64.encodebytes(random.Random(1).randbytes(LARGE)).replace(b"\n", b"\r\n")
    with transaction.atomic():
        for body in MessageBody.objects.filter(message__in=ids):
            start = bytes(body.content) + b".\r\n"
            content = start + noise[: LARGE - len(start) - 2] + b"\r\n"
            MessageBody.objects.filter(pk=body.pk).update(content=content, shape=shape.shape_of(content))
            Message.objects.filter(pk=body.pk).update(size=len(content))
    queue.resume(actor=ANA)


def _over_smtp(hook: Hook, settings: Any) -> CountingServer:
    sink = Sink(hook)
    activate(a_config(sink.port, timeout_s=60))  # longer than the hook holds it
    return sink


def _through_sendgrid(hook: Hook, settings: Any) -> CountingServer:
    sink = ApiSink(hook)
    settings.SENDGRID_API_URL = sink.url
    activate(a_sendgrid_config())
    return sink


@pytest.mark.parametrize(
    ("begun", "connections_need"), [(_over_smtp, SMTP), (_through_sendgrid, SENDGRID)], ids=["smtp", "sendgrid"]
)
def test_a_backlog_of_large_mails_is_drained_with_what_the_limits_allow(
    begun: Callable[[Hook, Any], CountingServer], connections_need: int, settings: Any
) -> None:
    go_on = threading.Event()

    def hook(phase: str, count: int) -> None:
        if phase in ("data", "request") and count >= 1:
            go_on.wait(30)

    limit = int(HEAP * (HELD + LOADING + connections_need))
    assert limit < MANY * LARGE, "else the whole backlog would find room"
    with begun(hook, settings) as sink:
        queued(1)
        process = spawned()
        until(lambda: Message.objects.filter(state="sent").exists())
        idle = peak(process.pid)
        _large_ones_queued()
        until(lambda: Message.objects.filter(state="sending").count() * LARGE >= MAX_HELD_BYTES)
        time.sleep(1.5)  # of rounds in which it could claim more
        go_on.set()
        until(lambda: Message.objects.filter(state="sent").count() == MANY + 1, timeout_s=60)
        needed = peak(process.pid) - idle
        process.terminate()
        assert process.wait(30) == 0
    assert set(sink.taken.values()) == {1}
    assert needed < limit


def test_a_process_that_delivers_to_a_plain_relay_loads_neither_encryption_nor_what_tests_and_pages_need(
    tmp_path: Path,
) -> None:
    program = "import django, sys; django.setup(); import outbound.management.commands.outbound; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    own = {**os.environ, "DJANGO_SETTINGS_MODULE": "adminapp.settings", "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "outbound.engine.lanes" in loaded
    unneeded = {"cryptography", "sendgrid", "ninja", "emailcfg.diagnosis", "outbound.submit"}
    assert not loaded & unneeded


def test_a_process_loads_encryption_once_a_stored_password_has_to_be_opened() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        process = spawned()
        queued(1)
        until(lambda: Message.objects.filter(state="sent").count() == 1)
        assert "_rust" not in _mapped(process.pid)
        activate(a_config(sink.port, username="ana", password="secret word"))
        until(lambda: "_rust" in _mapped(process.pid))
        process.terminate()
        assert process.wait(30) == 0


def _mapped(pid: int) -> str:
    """What a process has mapped of cryptography."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return " ".join(line for line in maps.splitlines() if "cryptography" in line)


@pytest.mark.slow
def test_a_backlog_of_50_000_is_drained_with_flat_memory() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        for _ in range(10):
            queued(5_000)
        process = spawned()
        until(lambda: sink.count >= 5_000, timeout_s=60)
        early = peak(process.pid)
        until(lambda: sink.count >= 50_000, timeout_s=240)
        late = peak(process.pid)
        process.terminate()
        assert process.wait(30) == 0
    assert late - early < 16_000_000
    assert Message.objects.filter(state="sent").count() == 50_000
    assert set(sink.taken.values()) == {1}
