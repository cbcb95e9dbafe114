"""The ladder's order is the order in which the real sessions report their steps."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from emailcfg.diagnosis.ladder import Mode, State, climb
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import Mail, Session, SessionError, Step
from emailcfg.providers.sendgrid import SendGridSession
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import SendGrid, Smtp
from tests.servers.certificates import TestAuthority
from tests.servers.scripted import ScriptedSmtp, ehlo
from tests.servers.sendgrid import KEY, Answer, SendGridServer

CONTENT = b"From: news@example.com\r\nTo: bob@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"
MAIL = Mail(1, "news@example.com", ("bob@example.org",), CONTENT)


def climbed(session: Session, *, dry_run: bool = False) -> list[Step]:
    steps: list[Step] = []
    try:
        session.open(steps.append)
        if dry_run:
            session.probe(MAIL, steps.append)
        else:
            session.deliver([MAIL], before_data=lambda mail: None, on_result=lambda result: None, observer=steps.append)
    except SessionError:
        pass
    finally:
        session.close()
    return steps


@pytest.fixture
def smtp_session(authority: TestAuthority, scripted_smtp: Callable[..., ScriptedSmtp]) -> Callable[..., SmtpSession]:
    def make(security: str, script: dict[str, str] | None = None) -> SmtpSession:
        offers = [ehlo("STARTTLS"), ehlo("AUTH PLAIN")] if security == "starttls" else ehlo("AUTH PLAIN")
        server = scripted_smtp(
            {"EHLO": offers, **(script or {})}, context=authority.server_context(), tls_from_start=security == "tls"
        )
        settings = {"host": "127.0.0.1", "port": server.port, "security": security, "username": "ana"}
        settings |= {"password": SecretStr("hunter2-secret"), "ca_certificate": authority.pem}
        return SmtpSession(Smtp.model_validate(settings), policy=NetworkPolicy(ports=None))

    return make


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("mode", ["starttls", "tls", "none"])
def test_smtp_climbs_rung_by_rung(mode: Mode, dry_run: bool, smtp_session: Callable[..., SmtpSession]) -> None:
    steps = climbed(smtp_session(mode), dry_run=dry_run)
    ladder = climb(steps, mode=mode, finished=True, dry_run=dry_run)
    assert ladder.ok is True
    reported = list(dict.fromkeys(step.stage for step in steps))
    assert [rung.stage for rung in ladder.rungs][: len(reported)] == reported
    assert len(ladder.rungs) == 10
    # at every moment in between exactly one rung runs, and it is the next one to be reported
    for count in range(len(reported)):
        so_far = climb(steps[:count], mode=mode, finished=False, dry_run=dry_run)
        assert [rung.stage for rung in so_far.rungs if rung.state is State.RUNNING] == [reported[count]]


def test_a_refused_recipient_stops_the_ladder_there(smtp_session: Callable[..., SmtpSession]) -> None:
    steps = climbed(smtp_session("tls", {"RCPT": "550 5.1.1 No such user"}))
    ladder = climb(steps, mode="tls", finished=True)
    assert ladder.ok is False
    assert {str(rung.stage): str(rung.state) for rung in ladder.rungs}["recipient"] == "failed"
    assert next(rung.words for rung in ladder.rungs if rung.state is State.FAILED) == "550 5.1.1 No such user"


@pytest.mark.parametrize("dry_run", [False, True])
def test_sendgrid_climbs_to_accepted_or_to_the_check_of_the_form(
    dry_run: bool, sendgrid_server: SendGridServer
) -> None:
    if dry_run:
        sendgrid_server.next_answers = [Answer(200, {})]
    session = SendGridSession(SendGrid(enabled=True, api_key=SecretStr(KEY)), api_url=sendgrid_server.url)
    ladder = climb(climbed(session, dry_run=dry_run), mode="sendgrid", finished=True, dry_run=dry_run)
    assert ladder.ok is True
    assert ("No mail was sent." in ladder.summary) == dry_run
