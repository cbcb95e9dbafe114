"""Celery, the optional way past one machine: the application, its one task, and the worker that delivers.

A message of the broker is a hint: it carries ids and says "look". Everything else is in the database. A hint that is
lost is found by the workers' own look, one that comes twice finds nothing to do. Import this module
only when BROKER_URL is set: Celery is an optional package."""

import logging
import os
import ssl
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery, bootsteps, signals
from celery.exceptions import SecurityWarning
from celery.worker import state
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from outbound import restart
from outbound.engine import store
from outbound.engine.hinted import HintedEngine
from outbound.engine.pools import STOP_WITHIN_S
from outbound.hints import MAX_IDS

log = logging.getLogger(__name__)

TASK = "outbound.deliver_due"
HINT_TTL_S = 60  # an older hint says nothing that the workers did not find by themselves
TASK_S = 5.0  # a task ends after so long; the engine goes on. Well within the broker's heartbeat of 120 s
_CONFIRM_S = 5.0
_FAILED = 1


def make_app(url: str, queue: str) -> Celery:
    """The application on this broker and queue, for publishers and workers alike. Connects to nothing yet."""
    app = Celery("adminapp", broker=url, set_as_current=False, fixups=[])
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=queue,
        task_default_delivery_mode="transient",  # a hint is not worth a disk write
        task_ignore_result=True,  # and there is no result backend
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0},  # once: for a connection that went stale
        worker_pool="solo",  # the engine has its own threads; the consumer acknowledges where it receives
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_timeout=3,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: mail is delivered meanwhile
        broker_transport_options=_transport_options(url),
    )
    if url.startswith("amqps:"):  # None: the URL's host. Else it compares no host name.
        app.conf.broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    return app


def _transport_options(url: str) -> dict[str, Any]:
    if url.startswith("sqs:"):  # seconds; a task takes TASK_S at most
        return {"visibility_timeout": 60, "wait_time_seconds": 10, "polling_interval": 1}
    return {"confirm_publish": True}


def publish(app: Celery, ids: Sequence[int]) -> None:
    """Sends one hint. Raises what the broker's client raises."""
    app.send_task(TASK, args=[list(ids)], expires=HINT_TTL_S, ignore_result=True, confirm_timeout=_CONFIRM_S)


class Deliveries(bootsteps.StartStopStep):
    """The part of a worker that delivers. It starts before the consumer, and so without any broker."""

    requires = ("celery.worker.components:Pool",)
    engine: HintedEngine | None = None

    def start(self, parent: Any) -> None:
        engine = Deliveries.engine = HintedEngine()
        self.thread = threading.Thread(target=_run, args=(engine,), name="engine", daemon=True)
        self.thread.start()

    def stop(self, parent: Any) -> None:
        if Deliveries.engine is not None:
            Deliveries.engine.stop()
            self.thread.join(STOP_WITHIN_S + 5)

    terminate = stop


def _run(engine: HintedEngine) -> None:
    try:
        engine.run()
    except BaseException:
        state.should_stop = _FAILED  # type: ignore[assignment]  # without its engine it must not take hints
        raise
    if engine.restarting:
        state.should_stop = restart.EXIT_CODE  # type: ignore[assignment]


def deliver_due(ids: Sequence[int]) -> None:
    """The task. A hint whose messages are in other hands by now ends here."""
    engine = Deliveries.engine
    if engine is None:
        return
    try:
        close_old_connections()
        if store.any_due(ids[:MAX_IDS], timezone.now()):
            engine.deliver(within_s=TASK_S)
    except DatabaseError as error:
        log.error("A hint could not be followed, because the database can't be used right now: %s", error)
    finally:
        close_old_connections()


def worker_app(url: str, queue: str) -> Celery:
    """The application with its task and the engine, for worker processes."""
    app = make_app(url, queue)
    app.task(name=TASK)(deliver_due)
    app.steps["worker"].add(Deliveries)
    signals.setup_logging.connect(_keep_logging)
    return app


def _keep_logging(**_: Any) -> None:
    """Being connected is enough: Celery leaves the product's logging (and its redaction) as it is."""


def run_worker(url: str, queue: str) -> int:
    """Delivers until SIGTERM or SIGINT; returns the exit code. Needs the main thread."""
    warnings.simplefilter("ignore", SecurityWarning)  # of being root: meant for pickled messages, which are not taken
    app = worker_app(url, queue)
    worker = app.Worker(
        hostname=f"outbound-{os.getpid()}@{os.uname().nodename}", quiet=True, without_gossip=True, without_mingle=True
    )
    worker.start()
    return int(worker.exitcode or 0)
