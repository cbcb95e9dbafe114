"""The test servers themselves, driven by the standard library's clients."""

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.servers.certificates import TestAuthority
from tests.servers.scripted import Drop, ScriptedSmtp, TakeThenDrop
from tests.servers.sendgrid import KEY, SendGridServer
from tests.servers.smtp import SmtpServer

CONTENT = b"Subject: hello\r\n\r\n.dots\r\n..\r\n.\r\nend\r\n"


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_the_friendly_server_takes_a_mail_after_a_login(
    smtp_server: Callable[..., SmtpServer], authority: TestAuthority, security: str
) -> None:
    server = smtp_server(security=security, users={"ada": "open sesame"})
    trust = ssl.create_default_context(cadata=authority.pem)
    client: smtplib.SMTP
    if security == "tls":
        client = smtplib.SMTP_SSL(server.host, server.port, context=trust)
    else:
        client = smtplib.SMTP(server.host, server.port)
    with client:
        if security == "starttls":
            client.starttls(context=trust)
        client.login("ada", "open sesame")
        client.sendmail("from@example.com", ["to@example.com"], CONTENT)
    (mail,) = server.wait_for(1)
    assert mail.content == CONTENT
    assert mail.login == "ada"
    assert mail.encrypted is (security != "none")
    assert mail.message["Subject"] == "hello"


def test_the_scripted_server_answers_by_recipient_and_by_turn(scripted_smtp: Callable[..., ScriptedSmtp]) -> None:
    server = scripted_smtp({"RCPT TO:<bob@": "550 5.1.1 No such user", "DATA": ["451 Later", "354 Go on"]})
    with smtplib.SMTP(server.host, server.port) as client:
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            client.sendmail("a@example.com", ["amy@example.com"], CONTENT)
        refused = client.sendmail("a@example.com", ["amy@example.com", "bob@example.com"], CONTENT)
    assert refused == {"bob@example.com": (550, b"5.1.1 No such user")}
    assert [taken.recipients for taken in server.taken] == [["amy@example.com"]]
    assert server.taken[0].data == b"Subject: hello\r\n\r\n..dots\r\n...\r\n..\r\nend\r\n"


@pytest.mark.parametrize(("script", "taken"), [({".": TakeThenDrop()}, 1), ({"DATA": Drop()}, 0)])
def test_the_scripted_server_drops(
    scripted_smtp: Callable[..., ScriptedSmtp], script: dict[str, Drop], taken: int
) -> None:
    server = scripted_smtp(script)
    client = smtplib.SMTP(server.host, server.port)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.sendmail("a@example.com", ["amy@example.com"], CONTENT)
    assert len(server.taken) == taken


def test_the_sendgrid_server_knows_keys_and_takes_payloads(sendgrid_server: SendGridServer) -> None:
    def call(path: str, key: str, body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(sendgrid_server.url + path, body, {"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read()

    assert "mail.send" in json.loads(call("/v3/scopes", KEY)[1])["scopes"]
    assert call("/v3/mail/send", KEY, b'{"subject": "x"}')[0] == 202
    assert sendgrid_server.sent == [{"subject": "x"}]
    with pytest.raises(urllib.error.HTTPError) as refused:
        call("/v3/scopes", "SG.wrong")
    with refused.value as error:
        assert error.code == 401
