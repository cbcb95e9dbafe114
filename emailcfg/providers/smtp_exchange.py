"""Commands and replies of mail transactions: sent, read, judged, and reported to whoever watches."""

import time

from emailcfg.providers.base import ErrorClass, Failure, Observer, Reply, SessionError, Stage, Step, ignore_steps
from emailcfg.providers.classify import refusal
from emailcfg.providers.smtp_wire import Wire, WireError


class Exchange:
    """Speaks over `wire`; what goes wrong before the final dot is reported and raised as SessionError.

    `watched` is False for real mail, where a step costs nothing."""

    def __init__(self, wire: Wire, observer: Observer) -> None:
        self.wire = wire
        self._watch = None if observer is ignore_steps else observer
        self.watched = self._watch is not None
        self._since = time.perf_counter()

    def start(self, deadline_s: float) -> None:
        """A new attempt: its time runs from now."""
        self.wire.deadline = time.monotonic() + deadline_s

    def judged(self, stage: Stage, reply: Reply) -> Failure:
        """The failure of a reply; one that says that the server is going ends the session."""
        failure = refusal(stage, reply)
        if failure.error_class is ErrorClass.HOST:
            self.step(stage, reply, failure)
            raise SessionError(failure)
        return failure

    def ask(self, stage: Stage, line: bytes) -> Reply:
        self.send(stage, line)
        return self.read(stage)

    def send(self, stage: Stage, data: bytes) -> None:
        try:
            self.wire.send(data)
        except WireError as error:
            raise self._broke(stage, error) from None

    def read(self, stage: Stage) -> Reply:
        try:
            return self.wire.read_reply()
        except WireError as error:
            raise self._broke(stage, error) from None

    def _broke(self, stage: Stage, error: WireError) -> SessionError:
        failure = self.lost(stage, error)
        self.step(stage, failure=failure)
        return SessionError(failure)

    @staticmethod
    def lost(stage: Stage, error: WireError) -> Failure:
        """The failure of a dialogue that can't go on before the final dot: free to retry."""
        return Failure(stage, ErrorClass.HOST, error.reason, detail=error.detail)

    def step(
        self, stage: Stage, reply: Reply | None = None, failure: Failure | None = None, *, address: str = ""
    ) -> None:
        """Reports a stage to the observer, with the time since the one before."""
        if self._watch is None:
            return
        now = time.perf_counter()
        ms, self._since = (now - self._since) * 1000, now
        facts = {"address": address} if address else {}
        detail = failure.words if failure is not None else reply.text if reply is not None else ""
        self._watch(Step(stage, failure is None, ms, detail, facts, reply, failure))
