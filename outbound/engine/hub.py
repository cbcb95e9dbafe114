"""The hub: one thread that carries all lanes. A lane that waits, for its server or for work, lets the others go on.

A thread for each lane would do the same and cost three times the processor time: most of it for falling asleep, waking
up and taking turns at the interpreter's lock. A lane is a greenlet, so its code reads as if it had a thread."""

import contextlib
import logging
import math
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

log = logging.getLogger(__name__)

T = TypeVar("T")

_EVENTS = 64
_LOOK_S = 0.05  # how exact a time-out is


class HubFailed(Exception):
    """The hub's thread ended by an error of the program's own; its cause is the exception's. No lane goes on."""


class Hub:
    """Runs lanes until `end`, or until one raises: then `failed` is what it raised, and who runs the hub has to end.
    `start`, `wake`, `end` and `check` may be called from any thread; `wait`, `park` and `aside` by lanes alone."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._calls: deque[Callable[[], object]] = deque()  # for this thread, from any
        self._waiting: dict[int, tuple[Any, float]] = {}  # by file number: the lane that waits for it, and until when
        self._watched: dict[int, tuple[socket.socket, bool]] = {}  # what the kernel tells of; True: of room to write
        self._parked: dict[Any, float] = {}  # until when
        self._ended = False
        self.failed: BaseException | None = None
        self._open = threading.Lock()  # held while the bell is rung or put away
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    # From any thread

    def start(self, lane: Callable[[], None]) -> None:
        """Begins a lane."""
        self._call(lambda: greenlet(lane).switch())

    def wake(self) -> None:
        """Wakes every lane that is parked."""
        self._call(self._wake)

    def end(self) -> None:
        """Stops carrying: lanes that are still under way go no further."""
        self._ended = True
        self._call(lambda: None)

    def check(self) -> None:
        """Raises HubFailed when the lanes stand still for ever."""
        if self.failed is not None:
            raise HubFailed("The thread that carries the deliveries ended by an error.") from self.failed

    def _call(self, work: Callable[[], object]) -> None:
        self._calls.append(work)
        with self._open:
            if self._bell >= 0:
                os.eventfd_write(self._bell, 1)

    # For lanes

    def wait(self, sock: socket.socket, writing: bool, until: float) -> bool:
        """See emailcfg.providers.base.Wait."""
        number = sock.fileno()
        watched = self._watched.get(number)
        if watched is None or watched[0] is not sock or watched[1] is not writing:
            self._watch(number, sock, writing)
        self._waiting[number] = (getcurrent(), until)
        return bool(self._root.switch())

    def _watch(self, number: int, sock: socket.socket, writing: bool) -> None:
        """Asks the kernel to tell of this socket. It goes on doing so until somebody is told who does not wait."""
        events = select.EPOLLOUT if writing else select.EPOLLIN
        try:
            self._epoll.modify(number, events)
        except FileNotFoundError:  # a new connection; the kernel forgets those that are closed
            self._epoll.register(number, events)
        self._watched[number] = (sock, writing)

    def _unwatch(self, number: int) -> None:
        """A connection that nobody waits for, kept open: what comes now is seen when somebody does."""
        self._watched.pop(number, None)
        with contextlib.suppress(OSError):  # closed by a lane that was told before it
            self._epoll.unregister(number)

    def park(self, until: float) -> bool:
        """Waits for `wake`; False when the time was over first."""
        self._parked[getcurrent()] = until
        return bool(self._root.switch())

    def aside(self, work: Callable[[], T]) -> T:
        """Does what would block in a thread of its own, and waits for it. Raises what it raised."""
        lane, answer, error = getcurrent(), [], []

        def run() -> None:
            try:
                answer.append(work())
            except BaseException as raised:  # noqa: BLE001 - raised again in the lane that it belongs to
                error.append(raised)
            self._call(lane.switch)

        threading.Thread(target=run, name="aside", daemon=True).start()
        self._root.switch()
        if error:
            raise error[0]
        return answer[0]

    # The thread

    def _run(self) -> None:
        self._root = getcurrent()
        try:
            self._carry()
        except BaseException as error:
            log.critical("The thread that carries the deliveries ended by an error.", exc_info=True)
            self.failed = error
        finally:
            with self._open:
                os.close(self._bell)
                self._bell = -1
            self._epoll.close()

    def _carry(self) -> None:
        poll, waiting, calls = self._epoll.poll, self._waiting, self._calls
        look_at = 0.0
        while not self._ended:
            timed = waiting or any(until < math.inf for until in self._parked.values())
            for number, _ in poll(_LOOK_S if timed else -1, _EVENTS):
                if number == self._bell:
                    os.eventfd_read(self._bell)
                elif (found := waiting.pop(number, None)) is not None:
                    found[0].switch(True)
                else:
                    self._unwatch(number)
            while calls:
                calls.popleft()()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK_S
                self._look(now)

    def _look(self, now: float) -> None:
        """Tells lanes whose time is over."""
        for number in [number for number, (_, until) in self._waiting.items() if until <= now]:
            self._waiting.pop(number)[0].switch(False)
        for lane in [lane for lane, until in self._parked.items() if until <= now]:
            del self._parked[lane]
            lane.switch(False)

    def _wake(self) -> None:
        parked, self._parked = list(self._parked), {}
        for lane in parked:
            lane.switch(True)
