"""Lanes: each holds a session and delivers what its pool gives it. They never touch the database.

All lanes run in the hub's thread, but for sessions that can only block: those deliver aside, in a thread each."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from emailcfg.providers.base import (
    ErrorClass,
    Failure,
    Mail,
    RecipientResult,
    Result,
    Session,
    SessionError,
    Stage,
)
from outbound.divert import diverted
from outbound.engine.settle import settle
from outbound.engine.work import QUEUE_WIDE, Broken, Stamp, Tripped, Work

if TYPE_CHECKING:
    from outbound.engine.pools import Pool

log = logging.getLogger(__name__)

_STOPS = QUEUE_WIDE | {ErrorClass.HOST}


class Lane:
    """One kept-open session and the messages it was given."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.ended = False
        self._session: Session | None = None
        self._given: dict[int, Work] = {}
        self._entered: set[int] = set()  # the messages that the server may have taken by now
        self._told = False
        self._stops: list[Failure] = []  # told by messages since the last one went out; others may be behind
        self._untouched = False  # the session was kept open and has not answered since
        self._stamp = pool.stamp

    def run(self) -> None:
        while True:
            if not self.pool.wait(has_session=self._session is not None):
                self._close()
                if self.pool.retired:
                    break
                continue
            try:
                self._work()
            except Exception:
                log.exception("A delivery ended unexpectedly.")
                self._erred()
            self.pool.wake.set()
        self.ended = True
        self.pool.wake.set()

    def _work(self) -> None:
        first = None
        self._untouched = self._session is not None
        if self._session is None:
            first = self.pool.take()
            if first is None:
                self.pool.opened(proven=False)
                return
            self._given[first.id] = first
            if not self._opened():
                return
        assert self._session is not None  # noqa: S101 - opened above, or kept
        try:
            if self._session.wait is not None:
                self._deliver(self._session, first)
            else:
                self.pool.hub.aside(partial(self._deliver, self._session, first))
        except SessionError as error:
            self._broke(error.failure)

    def _deliver(self, session: Session, first: Work | None) -> None:
        session.deliver(self._feed(first), before_data=self._before_data, on_result=self._on_result)

    def _opened(self) -> bool:
        session = self.pool.make_session()
        try:
            self.pool.hub.aside(session.open)
        except SessionError as error:
            self._stamp = Stamp(self.pool.stamp.revision, self.pool.stamp.generation, session.server, session.tls)
            self._broke(error.failure, opening=True)
            return False
        if session.wait is not None:
            session.wait = self.pool.hub.wait
        self._session = session
        self._stamp = Stamp(self.pool.stamp.revision, self.pool.stamp.generation, session.server, session.tls)
        self.pool.opened(proven=True)
        return True

    def _feed(self, first: Work | None) -> Iterator[Mail]:
        work = first or self.pool.take()
        while work is not None:
            self._given[work.id] = work
            if self.pool.divert_to:
                work.content = diverted(work.content, [address for _, address in work.open], self.pool.divert_to)
                work.diverted_to = self.pool.divert_to
            yield work.mail()
            work = self.pool.take()

    def _before_data(self, mail: Mail) -> None:
        self._told = self._untouched = False
        self._stops.clear()
        self.pool.journal.entered(self.pool.lease, mail.id)
        self._entered.add(mail.id)

    def _on_result(self, result: Result) -> None:
        work = self._given[result.mail.id]
        outcome = settle(work, result, self._stamp, self.pool.policy)
        del self._given[work.id]
        self._entered.discard(work.id)
        work.content = b""  # of no more use, and it may be large
        try:
            self.pool.journal.settled(self.pool.lease, outcome.id, outcome.line())
        finally:  # a journal that has no room for the outcome must not lose it for the database
            self.pool.done.append(outcome)
        self._told = self._untouched = False
        if outcome.error_class:
            self._look_wider(work, result)

    def _look_wider(self, work: Work, result: Result) -> None:
        """Whether the failure of a message says something about all mail, or about all of its sender's."""
        failures = [result.failure, *(entry.failure for entry in result.recipients)]
        for failure in failures:
            if failure is not None and failure.error_class in _STOPS | {ErrorClass.IN_DOUBT}:
                self._told = True
                self._stops.append(failure)
            if failure is not None and failure.error_class in QUEUE_WIDE:
                if failure.error_class is not ErrorClass.SENDER:
                    self.pool.broke(Broken(failure, self._stamp, None, ()), wide=True)
                else:
                    self.pool.refused(Tripped(failure, self._stamp, work.mail_from))
                return

    def _erred(self) -> None:
        """An error of the program's own, anywhere: messages that were on their way may have been taken."""
        opening = self._session is None
        detail = "The service met an error of its own; its log has the details."
        doubt = Failure(Stage.ACCEPTED, ErrorClass.IN_DOUBT, "internal_error", detail=detail)
        for work in [self._given[pk] for pk in sorted(self._entered & self._given.keys())]:
            mail = work.mail()
            entries = tuple([RecipientResult(address, None) for address in mail.recipients])
            self._on_result(Result(mail, entries, failure=doubt))
        stage = Stage.CONNECT if opening else Stage.DATA
        self._broke(Failure(stage, ErrorClass.HOST, "internal_error", detail=detail), opening=opening)

    def _broke(self, failure: Failure, *, opening: bool = False) -> None:
        """The session is of no use any more: tell the loop, and give back what was not sent."""
        self._close()
        given, self._given = list(self._given.values()), {}
        told = self._told or failure in self._stops
        self._told, self._stops, self._entered = False, [], set()
        stale = self._untouched and failure.error_class is ErrorClass.HOST
        first = given.pop(0) if given and not told and not stale else None
        event = Broken(failure, self._stamp, first, tuple(given), told, stale)
        self.pool.broke(event, wide=opening or failure.error_class in QUEUE_WIDE)
        if opening:
            self.pool.opened(proven=False)
        else:
            self.pool.unproven()
        self.pool.wake.set()

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self.pool.hub.aside(session.close)
