"""How the tests of the providers make sessions, mails and a record of what a session reported."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import Mail, Observer, Result, Session, SessionError, Stage, Step, ignore_steps
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import Smtp

ANY_PORT = NetworkPolicy(ports=None)


class Listening(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


def smtp_session(server: Listening, *, deadline_s: float = 10, **settings: Any) -> SmtpSession:
    """A session, not yet open, with a test server. Keywords are fields of schema.Smtp."""
    fields = {"enabled": True, "host": server.host, "port": server.port, "security": "none", "timeout_s": 5, **settings}
    return SmtpSession(Smtp(**fields), policy=ANY_PORT, ehlo_default="app.example.com", deadline_s=deadline_s)


def mail(number: int = 1, *recipients: str, content: bytes | None = None, mail_from: str = "from@example.com") -> Mail:
    body = content if content is not None else f"Subject: mail {number}\r\n\r\n.body {number}\r\n".encode()
    return Mail(number, mail_from, recipients or ("to@example.com",), body)


@dataclass
class Delivery:
    """What a session reported while it delivered."""

    results: list[Result] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    error: SessionError | None = None

    def stage(self, stage: Stage) -> Step:
        return next(step for step in self.steps if step.stage is stage)


def deliver(session: Session, mails: Iterable[Mail], observer: Observer = ignore_steps) -> Delivery:
    """Delivers `mails` over an open session and closes it."""
    record = Delivery()
    try:
        session.deliver(
            mails,
            before_data=lambda mail: record.entered.append(mail.id),
            on_result=record.results.append,
            observer=observer,
        )
    except SessionError as error:
        record.error = error
    finally:
        session.close()
    return record


def opened(session: Session) -> list[Step]:
    """Opens the session; the steps it reported, the last with the failure if it could not be opened."""
    steps: list[Step] = []
    with contextlib.suppress(SessionError):
        session.open(steps.append)
    return steps


WAYS: dict[str, tuple[str, ...]] = {
    "plain": ("SIZE 1000000",),
    "pipelined": ("PIPELINING", "SIZE 1000000"),
    "chunked": ("PIPELINING", "CHUNKING", "SIZE 1000000"),
}


@pytest.fixture(params=WAYS)
def keywords(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What a scripted server offers at EHLO: the same faults are tested in each way to send."""
    return WAYS[str(request.param)]
