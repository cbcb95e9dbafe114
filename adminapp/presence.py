"""The sign of life of a web process, for Status and `/readyz`."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

from emailcfg.models import ServiceInstance
from outbound import instances

log = logging.getLogger(__name__)


@contextmanager
def present(role: str) -> Iterator[None]:
    """Reports this process as running every few seconds until the block ends. It carries no configuration of its
    own (a web process reads it per request), so its generation stays empty."""
    leaving = threading.Event()
    reporter = threading.Thread(target=_report, args=(role, leaving), daemon=True)
    reporter.start()
    try:
        yield
    finally:
        leaving.set()
        reporter.join(timeout=2)  # a locked database must not hold up the end


def _report(role: str, leaving: threading.Event) -> None:
    instance: ServiceInstance | None = None
    while True:
        state = ServiceInstance.State.STOPPED if leaving.is_set() else ServiceInstance.State.RUNNING
        try:
            instance = instance or instances.register(role)
            instances.beat(instance, state=state, generation=None)
        except DatabaseError as problem:
            log.warning("The sign of life could not be written: %s", problem)
        finally:
            connection.close()
        if leaving.is_set():
            return
        leaving.wait(instances.BEAT_S)
