"""Telling the workers on other machines, through the broker, that something was accepted. With BROKER_URL only.

Accepting never waits for the broker: a thread publishes, and puts what comes meanwhile into its next hint. A broker
that fails is left alone for a while; the workers find the messages by themselves (outbound.engine.hinted)."""

import logging
import os
import threading
import time
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

log = logging.getLogger(__name__)

MAX_IDS = 100  # in one hint; that there is one is what counts
REST_S = 10.0  # after a failure


def offer(ids: Iterable[int]) -> None:
    """Hints at these messages soon. Call it after their commit. Never fails and never waits."""
    if settings.BROKER_URL:
        _publisher(os.getpid(), settings.BROKER_URL, settings.BROKER_QUEUE).offer(ids)


@lru_cache(maxsize=1)
def _publisher(pid: int, url: str, queue: str) -> "Publisher":
    """One per process: a thread does not live on in a forked child."""
    publisher = Publisher(url, queue)
    publisher.start()
    return publisher


class Publisher(threading.Thread):
    """Publishes hints, one at a time. `failing`: the broker did not take the last one."""

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(name="hints", daemon=True)
        self._url, self._queue = url, queue
        self._ids: list[int] = []
        self._some = threading.Condition()
        self._rest_until = 0.0
        self.failing = False

    def offer(self, ids: Iterable[int]) -> None:
        with self._some:
            self._ids = [*self._ids, *ids][:MAX_IDS]
            self._some.notify()

    def run(self) -> None:
        # Here, because Celery is an optional package, and so that no request waits for its import.
        from outbound.engine.celery import make_app, publish

        app = make_app(self._url, self._queue)
        while True:
            with self._some:
                self._some.wait_for(lambda: self._ids)
                ids, self._ids = self._ids, []
            if time.monotonic() < self._rest_until:
                continue
            try:
                publish(app, ids)
            except Exception as error:  # noqa: BLE001 - whatever a client library makes of a broken broker
                self._failed(error)
            else:
                self._worked()

    def _failed(self, error: Exception) -> None:
        self._rest_until = time.monotonic() + REST_S
        if not self.failing:
            log.warning("The broker takes no hints: %s. The workers find accepted mail by themselves.", error)
        self.failing = True

    def _worked(self) -> None:
        if self.failing:
            log.info("The broker takes hints again.")
        self.failing = False
