"""The engine as the tests run it: in a thread, or as a process that can be killed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

from outbound.engine.loop import Engine

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def running(engine: Engine | None = None) -> Iterator[Engine]:
    """An engine in a thread; what it raised is raised at the end."""
    engine = engine or Engine()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            engine.run()
        except BaseException as error:  # noqa: BLE001  told to the test
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield engine
    finally:
        engine.stop()
        thread.join(40)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Waits for a condition that another thread or process makes true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.01)


def spawned(
    command: Sequence[str] = (sys.executable, "manage.py", "outbound"), **environment: str
) -> "subprocess.Popen[bytes]":
    """`manage.py outbound` as a process of its own on the test's database, keys and data folder."""
    name = connection.settings_dict
    url = f"sqlite:///{name['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgresql://{name['USER']}:{name['PASSWORD']}@{name['HOST']}:{name['PORT']}/{name['NAME']}"
    variables = {
        **{key: value for key, value in os.environ.items() if key not in ("DJANGO_SETTINGS_MODULE",)},
        "DATA_DIR": str(settings.DATA_DIR),
        "DATABASE_URL": url,
        "ENCRYPTION_KEY_FILES": ",".join(str(path) for path in settings.ENCRYPTION_KEY_FILES),
        "FINGERPRINT_KEY_FILE": str(settings.FINGERPRINT_KEY_FILE),
        "OUTBOUND_ALLOWED_PORTS": "*",
        "RETRY_FIRST_S": str(settings.RETRY_FIRST_S),
        **{name: str(value) for name in ("SENDGRID_API_URL", "SSL_CERT_FILE") if (value := getattr(settings, name))},
        **environment,
    }
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
