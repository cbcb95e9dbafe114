"""Opening an SMTP session: every stage, its facts, and what each fault is called."""

from collections.abc import Callable

import pytest

from emailcfg.providers.base import Stage
from tests.emailcfg.providers.conftest import deliver, mail, opened, smtp_session
from tests.servers.certificates import TestAuthority
from tests.servers.smtp import SmtpServer


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_session_logs_in_and_delivers(
    smtp_server: Callable[..., SmtpServer], authority: TestAuthority, security: str
) -> None:
    server = smtp_server(security=security, users={"ada@example.com": "pässwörd / % #"})
    session = smtp_session(
        server,
        security=security,
        username="ada@example.com",
        password="pässwörd / % #",
        ca_certificate="" if security == "none" else authority.pem,
    )
    steps = opened(session)
    assert [step.failure for step in steps] == [None] * len(steps)
    order = [Stage.TLS, Stage.GREETING] if security == "tls" else [Stage.GREETING, Stage.TLS]
    assert [step.stage for step in steps] == [Stage.RESOLVE, Stage.CONNECT, *order, Stage.EHLO, Stage.LOGIN]
    assert session.tls == ("" if security == "none" else "TLSv1.3")
    record = deliver(session, [mail(1), mail(2)])
    assert [result.failure for result in record.results] == [None, None]
    assert record.entered == [1, 2]
    first, second = server.wait_for(2)
    assert first.content == b"Subject: mail 1\r\n\r\n.body 1\r\n"
    assert second.login == "ada@example.com"
    assert record.results[1].provider_id == "TEST000002"
    assert server.login_attempts == ["ada@example.com"]
