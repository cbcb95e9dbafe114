"""Reports each stage of opening a session to its observer, and makes one failure out of whatever went wrong."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from emailcfg.providers.base import ErrorClass, Failure, Observer, Reply, SessionError, Stage, Step


class StageFailed(Exception):
    """A stage ended in `failure`. Caught by `Stages.stage`, which reports it and raises SessionError."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def failed(stage: Stage, error_class: ErrorClass, reason: str, detail: str = "") -> StageFailed:
    return StageFailed(Failure(stage, error_class, reason, detail=detail))


@dataclass(slots=True)
class Note:
    """What a stage has learnt so far; `ok` is set to None by a stage that was not needed."""

    ok: bool | None = True
    detail: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    reply: Reply | None = None


class Stages:
    """One opening of a session, watched by `observer`."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[Note]:
        """Times the body and reports it as a Step. The Failure may name an earlier stage (the EHLO in front of
        STARTTLS belongs to the TLS stage, but is refused as EHLO)."""
        note = Note()
        start = time.perf_counter()
        try:
            yield note
        except StageFailed as problem:
            failure = problem.failure
            ms = (time.perf_counter() - start) * 1000
            self._observer(Step(failure.stage, False, ms, failure.words, note.facts, failure.reply, failure))
            raise SessionError(failure) from None
        ms = (time.perf_counter() - start) * 1000
        self._observer(Step(stage, note.ok, ms, note.detail, note.facts, note.reply))
