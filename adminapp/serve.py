"""The one process that runs the product: it holds the ports, and keeps the web and the service processes running.

The children are forked from it, after everything is imported: they start in milliseconds and share its memory. Each
watches a pipe that only the parent holds open, so that none outlives it, not even after SIGKILL.
"""

import asyncio
import errno
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection as pipes
from multiprocessing.process import BaseProcess
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.db import connections
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets
from hypercorn.utils import load_application

from adminapp.header_names import PlainHeaderNames
from adminapp.presence import present
from outbound import restart

WEB_PROCESSES = 2
WEB_GRACE_S = 5.0
LAST_REQUESTS_S = 0.3
SERVICE_GRACE_S = 30.0
SECOND_SIGNAL_S = 1.0
# Above this the server hangs up with a bare 400; from DATA_UPLOAD_MAX_MEMORY_SIZE up to here Django says what is wrong.
MAX_BODY = 2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
RESTART_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A child that ran this long was healthy: its next end counts as the first one.
HEALTHY_AFTER_S = 60.0

_fork = multiprocessing.get_context("fork")


class CannotServe(Exception):
    """The start is impossible. The message is one sentence for the operator."""


@dataclass(slots=True, eq=False)
class Child:
    """One kind of process to keep running: `run` is called in it and returns when it was told to stop."""

    name: str
    run: Callable[[], object]
    grace_s: float
    process: BaseProcess | None = None
    started: float = 0.0
    ended: int = 0
    start_at: float = field(default=0.0)


def open_sockets() -> Sockets:
    """Binds both ports, HTTPS first. Raises CannotServe with the reason."""
    return Sockets([_listen("HTTPS_PORT", settings.HTTPS_PORT)], [_listen("HTTP_PORT", settings.HTTP_PORT)], [])


def _listen(name: str, port: int) -> socket.socket:
    address = settings.BIND
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as problem:
        listener.close()
        reason = {
            errno.EADDRINUSE: "another program uses it. Stop that program, or set {name} to another port",
            errno.EACCES: "this user may not open it. Set {name} to a port above 1023",
            errno.EADDRNOTAVAIL: "this machine does not have that address. Correct BIND",
        }.get(problem.errno or 0, "{problem}")
        sentence = reason.format(name=name, problem=problem.strerror)
        raise CannotServe(f"Port {port} on {address} can't be opened: {sentence}.") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def serve(sockets: Sockets, *, certificate: Path, key: Path, ready: Callable[[], None]) -> int:
    """Runs until SIGTERM or SIGINT; `ready` is called once the ports are served. Returns the exit code."""
    config = Config()
    config.application_path = "wsgi:adminapp.wsgi:application"
    config.certfile, config.keyfile = str(certificate), str(key)
    config.accesslog = None
    config.loglevel = "WARNING"
    config.include_server_header = False
    config.graceful_timeout = WEB_GRACE_S / 2
    config.wsgi_max_body_size = MAX_BODY
    config.read_timeout = 60  # seconds between two reads of one request
    app = PlainHeaderNames(load_application(config.application_path, MAX_BODY))

    def web() -> None:
        with present("web") as presence:
            asyncio.run(worker_serve(app, config, sockets=sockets, shutdown_trigger=partial(_told_to_end, sockets)))
        if presence.restarting:
            raise SystemExit(restart.EXIT_CODE)

    def close_ports() -> None:
        for listener in (*sockets.secure_sockets, *sockets.insecure_sockets):
            listener.close()

    def outbound() -> None:
        close_ports()  # inherited: the last mails may take a while, and a new start must find the ports free
        try:
            call_command("outbound")
        except CommandError as problem:
            if problem.returncode == restart.EXIT_CODE:
                raise SystemExit(restart.EXIT_CODE) from None
            raise SystemExit(f"The outbound service stopped: {problem}") from None

    children = [Child(f"web {number}", web, WEB_GRACE_S) for number in range(1, WEB_PROCESSES + 1)]
    if "outbound" in get_commands():
        children.append(Child("outbound", outbound, SERVICE_GRACE_S))
    return _Supervisor(children, stopping=close_ports).run(ready)


async def _told_to_end(sockets: Sockets) -> None:
    """Returns when this process may end. From the signal on it takes no new connection, which leaves them to the other
    process, and what it has taken gets a moment to be asked: hypercorn closes without a word what is idle."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, told.set)
    await told.wait()
    for listener in (*sockets.secure_sockets, *sockets.insecure_sockets):
        loop.remove_reader(listener)
    await asyncio.sleep(LAST_REQUESTS_S)


class _Supervisor:
    def __init__(self, children: list[Child], *, stopping: Callable[[], None]) -> None:
        self.children = children
        self.stopping = stopping
        self.alive_read, self.alive_write = os.pipe()  # the children read; its end tells them that we are gone
        self.wake_read, self.wake_write = os.pipe()  # our signal handlers write
        os.set_blocking(self.wake_write, False)

    def run(self, ready: Callable[[], None]) -> int:
        connections.close_all()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: os.write(self.wake_write, b"."))
        for child in self.children:
            self._start(child)
        ready()
        while not self._wait():
            self._restart_ended()
        self._stop()
        for signum in (signal.SIGTERM, signal.SIGINT):  # while Python ends, where no handler stands any more
            signal.signal(signum, signal.SIG_IGN)
        return 0

    def _start(self, child: Child) -> None:
        child.process = _fork.Process(target=self._in_child, args=(child,), name=child.name)
        child.process.start()
        child.started = time.monotonic()

    def _in_child(self, child: Child) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        for end in (self.alive_write, self.wake_read, self.wake_write):
            os.close(end)
        threading.Thread(target=_end_with_parent, args=(self.alive_read,), daemon=True).start()
        child.run()

    def _wait(self) -> bool:
        """Waits for a signal (True), for a child's end, or for the time to start one again (False)."""
        pauses = [child.start_at - time.monotonic() for child in self.children if child.process is None]
        sentinels = [child.process.sentinel for child in self.children if child.process is not None]
        timeout = max(0.0, min(pauses)) if pauses else None
        return self.wake_read in pipes.wait([self.wake_read, *sentinels], timeout)

    def _restart_ended(self) -> None:
        for child in self.children:
            now = time.monotonic()
            if child.process is not None and child.process.exitcode is not None:
                code = child.process.exitcode
                child.process.join()
                child.process = None
                if code == restart.EXIT_CODE:
                    sys.stderr.write(f"The {child.name} process ended as it was asked to; it starts again.\n")
                    child.ended, child.start_at = 0, now
                    continue
                child.ended = 0 if now - child.started >= HEALTHY_AFTER_S else child.ended
                pause = RESTART_PAUSES_S[min(child.ended, len(RESTART_PAUSES_S) - 1)]
                sys.stderr.write(f"The {child.name} process ended (exit code {code}); it starts again in {pause} s.\n")
                child.ended, child.start_at = child.ended + 1, now + pause
            elif child.process is None and now >= child.start_at:
                self._start(child)

    def _stop(self) -> None:
        """Asks every child to stop, waits for each as long as it may take, and ends what is left. A second
        signal ends them at once; one that comes within a second is the first, told twice (as by `timeout`, to the
        process and to its group)."""
        self.stopping()
        asked = time.monotonic()
        running = {child: child.process for child in self.children if child.process is not None}
        for process in running.values():
            process.terminate()
        while running:
            left = max(child.grace_s for child in running) - (time.monotonic() - asked)
            sentinels = [process.sentinel for process in running.values()]
            signalled = self.wake_read in pipes.wait([self.wake_read, *sentinels], max(0.0, left))
            elapsed = time.monotonic() - asked
            if signalled:
                os.read(self.wake_read, 64)
                elapsed = float("inf") if elapsed >= SECOND_SIGNAL_S else elapsed
            for child, process in list(running.items()):
                if process.exitcode is None and elapsed >= child.grace_s:
                    process.kill()
                    process.join()
                if process.exitcode is not None:
                    del running[child]


def _end_with_parent(alive: int) -> None:
    os.read(alive, 1)  # returns at the end of the pipe: the parent is gone
    os.kill(os.getpid(), signal.SIGTERM)
