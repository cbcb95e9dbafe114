"""The sign of life of a web process, for Status and `/readyz`; it also hears that it is to restart."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

from emailcfg.models import ServiceInstance
from outbound import instances, restart

log = logging.getLogger(__name__)

_State = ServiceInstance.State
_LOOK_S = 1.0  # how soon it hears that it is to restart


class Presence:
    """What the reporting thread and the process tell each other."""

    def __init__(self) -> None:
        self.leaving = threading.Event()
        self.restarting = False


@contextmanager
def present(role: str) -> Iterator[Presence]:
    """Reports this process as running every few seconds until the block ends. It carries no configuration of its
    own (a web process reads it per request), so its generation stays empty. When it is to restart, it gets the
    SIGTERM after which it answers what it has begun and ends."""
    presence = Presence()
    reporter = threading.Thread(target=_report, args=(role, presence), daemon=True)
    reporter.start()
    try:
        yield presence
    finally:
        presence.leaving.set()
        reporter.join(timeout=2)  # a locked database must not hold up the end


def _report(role: str, presence: Presence) -> None:
    instance: ServiceInstance | None = None
    beat_at = 0.0
    while True:
        leaving = presence.leaving.is_set()
        try:
            if leaving or time.monotonic() >= beat_at:
                state = _State.STOPPED if leaving else _State.STOPPING if presence.restarting else _State.RUNNING
                instance = instance or instances.register(role)
                instances.beat(instance, state=state, generation=None)
                beat_at = time.monotonic() + instances.BEAT_S
            if not leaving and not presence.restarting and instance is not None and restart.my_turn(instance):
                presence.restarting = True
                instances.beat(instance, state=_State.STOPPING, generation=None)
                os.kill(os.getpid(), signal.SIGTERM)
        except DatabaseError as problem:
            log.warning("The sign of life could not be written: %s", problem)
            beat_at = time.monotonic() + instances.BEAT_S
        finally:
            connection.close()
        if leaving:
            return
        presence.leaving.wait(_LOOK_S)
