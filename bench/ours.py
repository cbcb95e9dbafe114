"""This service under measurement: one installation in a throw-away folder, its processes started as in production."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from bench.others import BODIES, Run, free_port, peak_mb

ROOT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


def install(folder: Path) -> None:
    """Makes a fresh installation in `folder` and puts this process into it."""
    os.environ.update(DATA_DIR=str(folder), OUTBOUND_ALLOWED_PORTS="*", DJANGO_SETTINGS_MODULE="adminapp.settings")
    os.environ.pop("DATABASE_URL", None)
    sys.path.insert(0, str(ROOT))
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from adminapp import keys
    from adminapp.models import Claim

    call_command("migrate", verbosity=0)
    environment = settings.ENVIRONMENT
    keys.make_encryption_keys(
        ring=environment.encryption_key_files, fingerprint=environment.fingerprint_key_file, ciphertext_exists=False
    )
    Claim.objects.create(email="bench@acme.example")


def activate(port: int | None, connections: int = 5) -> int:
    """Activates a relay at this port, or no service at all; returns the generation."""
    from emailcfg import activation, revisions
    from emailcfg.actor import Actor
    from emailcfg.schema import EmailConfig

    config = EmailConfig.model_validate(
        {
            "general": {"sender_email": "no-reply@acme.example", "sender_name": f"Acme {time.monotonic_ns()}"},
            "delivery": {"selected": "smtp" if port else None},
            "smtp": {"host": "127.0.0.1", "port": port or 2525, "security": "none", "max_connections": connections},
        }
    )
    actor, active = Actor(name="bench"), activation.current()
    revision = revisions.save(config=config, base=active.revision, description="For the benchmark", actor=actor)
    return activation.activate(
        revision.number, expected_generation=active.generation, actor=actor, accept_stop=True
    ).active.generation


def fill(count: int) -> None:
    """Queues messages through `submit`, a thousand at a time."""
    from outbound.requests import Recipient, Request
    from outbound.submit import Submission, submit

    for start in range(0, count, 1000):
        submit(
            [
                Submission(
                    Request(
                        kind="raw",
                        to=(Recipient(f"user{n}@example.com"),),
                        subject=f"Message {n}",
                        text=BODIES["text"],
                        html=BODIES["html"],
                    )
                )
                for n in range(start, min(start + 1000, count))
            ]
        )


def pause() -> None:
    from emailcfg.actor import Actor
    from outbound import queue

    queue.pause(actor=Actor(name="bench"))


def resume() -> None:
    from emailcfg.actor import Actor
    from outbound import queue

    queue.resume(actor=Actor(name="bench"))


def waiting() -> bool:
    """Whether a message is still to be delivered: one cheap look, for it runs while the service is measured."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM outbound_message WHERE state = 'sending') OR "
            "EXISTS (SELECT 1 FROM outbound_message WHERE due_at IS NOT NULL)"
        )
        return bool(cursor.fetchone()[0])


def until(condition: object, timeout_s: float = 600.0, every_s: float = 0.02) -> None:
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit("The service did not get done in time.")
        time.sleep(every_s)


@contextmanager
def engine() -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py outbound`, running and up to date."""
    from emailcfg import activation
    from emailcfg.models import ServiceInstance

    process = subprocess.Popen([sys.executable, "manage.py", "outbound"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        generation = activation.current().generation
        mine = ServiceInstance.objects.filter(pid=process.pid, state="running", generation=generation)
        until(mine.exists, 30)
        yield process
    finally:
        process.terminate()
        process.wait(40)


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def deliver(port: int, count: int, connections: int) -> Run:
    """A full queue, until the sink has all and each outcome is durable; the process runs already."""
    activate(port, connections)
    pause()
    fill(count)
    with engine() as process:
        before = cpu_s(process.pid)
        resume()
        begun = time.perf_counter()
        until(lambda: not waiting())
        return Run(count, time.perf_counter() - begun, cpu_s(process.pid) - before, peak_mb(process.pid))


@contextmanager
def web() -> Iterator[tuple[str, str]]:
    """One web process on plain HTTP of loopback; yields its address and a token."""
    from emailcfg.actor import Actor
    from outbound import auth

    port = free_port()
    token = auth.create(name=f"bench {port}", scopes=["messages:send"], actor=Actor(name="bench"))
    command = [
        sys.executable,
        "-m",
        "hypercorn",
        "-b",
        f"127.0.0.1:{port}",
        "-w",
        "1",
        "wsgi:adminapp.wsgi:application",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        import urllib.request

        def up() -> bool:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2)
            except OSError:
                return False
            return True

        until(up, 30, 0.1)
        yield f"http://127.0.0.1:{port}", token
    finally:
        process.terminate()
        process.wait(20)


def requests(count: int) -> list[dict[str, object]]:
    return [{"to": [f"user{n}@example.com"], "subject": f"Message {n}", **BODIES} for n in range(count)]


def drain(port: int) -> None:
    """Delivers whatever waits, unmeasured."""
    resume()
    with engine():
        until(lambda: not waiting())
