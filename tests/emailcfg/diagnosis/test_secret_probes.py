"""The counter-probes that use the secret: once, where it belongs, and only when it may help."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from emailcfg.diagnosis.counterprobe import Alternative
from emailcfg.diagnosis.explain import Context, explain
from emailcfg.diagnosis.facts import learnt_from
from emailcfg.diagnosis.secret_probes import other_mechanism, other_region
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import ErrorClass, Failure, Reply, SessionError, Stage, Step
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import SendGrid, Smtp
from tests.servers.scripted import Script, ScriptedSmtp
from tests.servers.sendgrid import KEY, SendGridServer

Scripted = Callable[..., ScriptedSmtp]
ANY = NetworkPolicy(ports=None)
NO = "535 5.7.8 Error: authentication failed"
BY_LOGIN: Script = {"AUTH LOGIN": "334 VXNlcm5hbWU6", "base64": ["334 UGFzc3dvcmQ6", "235 2.7.0 Accepted"]}


def probed(server: ScriptedSmtp, *, host: str = "", explained: str = "", **more: object) -> Alternative | None:
    """Logs in as a test does, and asks for what else would have worked. The refusal counts as words of `host`."""
    given = {"host": server.host, "port": server.port, "security": "none", "timeout_s": 2}
    smtp = Smtp.model_validate({**given, "username": "ana", "password": SecretStr("hunter2-secret"), **more})
    steps: list[Step] = []
    with pytest.raises(SessionError) as caught:
        SmtpSession(smtp, policy=ANY).open(steps.append)
    failure, learnt = caught.value.failure, learnt_from(steps)
    told = explain(failure, context=Context(provider="smtp", host=host or server.host, learnt=learnt))
    return other_mechanism(smtp, failure, explained=explained or told.code, learnt=learnt, policy=ANY)


def attempts(server: ScriptedSmtp) -> list[str]:
    return [" ".join(line.split()[:2]) for line in server.commands if line.startswith("AUTH")]


def test_a_password_that_plain_does_not_carry_and_login_does_is_found(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"AUTH PLAIN": NO, **BY_LOGIN}, keywords=["AUTH PLAIN LOGIN"])
    found = probed(server)
    assert found is not None
    assert (dict(found.changes), found.works_until) == ({"smtp.auth_mechanism": "login"}, Stage.LOGIN)
    assert found.sentence.startswith("127.0.0.1 takes the same user name and password by LOGIN")
    assert attempts(server) == ["AUTH PLAIN", "AUTH LOGIN"]
    assert server.connections == 2
    assert not [line for line in server.commands if line.startswith("MAIL")]


def test_a_wrong_password_costs_one_attempt_more_and_finds_nothing(scripted_smtp: Scripted) -> None:
    server = scripted_smtp(
        {"AUTH PLAIN": NO, **BY_LOGIN, "base64": ["334 UGFzc3dvcmQ6", NO]}, keywords=["AUTH PLAIN LOGIN"]
    )
    assert probed(server) is None
    assert attempts(server) == ["AUTH PLAIN", "AUTH LOGIN"]


@pytest.mark.parametrize(("mechanism", "script", "change"), [("login", {"AUTH LOGIN": NO}, "auto")])
def test_a_fixed_method_gives_way_to_automatic_where_that_would_choose_right(
    mechanism: str, script: Script, change: str, scripted_smtp: Scripted
) -> None:
    found = probed(scripted_smtp(script, keywords=["AUTH LOGIN PLAIN"]), auth_mechanism=mechanism)
    assert found is not None
    assert found.changes == {"smtp.auth_mechanism": change}


def test_a_fixed_method_that_is_not_offered_gives_way_to_automatic(scripted_smtp: Scripted) -> None:
    server = scripted_smtp(BY_LOGIN, keywords=["AUTH LOGIN"])
    found = probed(server, auth_mechanism="plain")
    assert found is not None
    assert found.changes == {"smtp.auth_mechanism": "auto"}
    assert attempts(server) == ["AUTH LOGIN"]


@pytest.mark.parametrize("offered", ["PLAIN", "PLAIN CRAM-MD5", "PLAIN XOAUTH2 NTLM"])
def test_where_no_other_method_of_ours_is_offered_nothing_is_tried(offered: str, scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"AUTH": NO}, keywords=[f"AUTH {offered}"])
    assert probed(server) is None
    assert server.connections == 1


@pytest.mark.parametrize(
    "limit",
    [
        "454 4.7.0 Too many login attempts",
        "454 4.7.0 Temporary authentication failure",
        "421 4.7.0 Too many logins from you",
        "421 4.7.28 Slow down",
        "432 4.7.12 A password transition is needed",
        "451 4.3.0 Later",
    ],
)
@pytest.mark.parametrize("explained", ["", "login-refused"])  # whatever it may be taken for
def test_after_a_limit_nothing_is_tried(limit: str, explained: str, scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"AUTH": limit}, keywords=["AUTH PLAIN LOGIN"])
    assert probed(server, explained=explained) is None
    assert (server.connections, attempts(server)) == (1, ["AUTH PLAIN"])


@pytest.mark.parametrize(
    ("host", "reply"),
    [
        ("smtp.gmail.com", "535 5.7.8 Username and Password not accepted gsmtp"),
        ("smtp.gmail.com", "534 5.7.9 Application-specific password required"),
        ("smtp.office365.com", "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant"),
        ("", "535 5.7.1 Your account has been suspended"),
    ],
)
def test_where_the_server_has_said_why_the_account_is_spared_another_attempt(
    host: str, reply: str, scripted_smtp: Scripted
) -> None:
    server = scripted_smtp({"AUTH": reply}, keywords=["AUTH PLAIN LOGIN"])
    assert probed(server, host=host) is None
    assert attempts(server) == ["AUTH PLAIN"]


def test_after_a_504_for_plain_login_was_tried_already_and_is_not_tried_again(scripted_smtp: Scripted) -> None:
    server = scripted_smtp(
        {"AUTH PLAIN": "504 5.5.4 Unrecognized", **BY_LOGIN, "base64": ["334 UGFzc3dvcmQ6", NO]},
        keywords=["AUTH PLAIN LOGIN"],
    )
    assert probed(server) is None
    assert attempts(server) == ["AUTH PLAIN", "AUTH LOGIN"]
    assert server.connections == 1


def test_an_eu_key_on_the_global_host_is_found_at_the_other_one(sendgrid_server: SendGridServer) -> None:
    config = SendGrid(enabled=True, api_key=SecretStr(KEY), region="global")
    reply = Reply(401, "The provided authorization grant is invalid, expired, or revoked")
    failure = Failure(Stage.KEY, ErrorClass.CONFIGURATION, "key_refused", reply)
    urls = {"eu": sendgrid_server.url, "global": "http://127.0.0.1:9"}
    found = other_region(config, failure, base_urls=urls)
    assert found is not None
    assert found.changes == {"sendgrid.region": "eu"}
    assert sendgrid_server.requests == ["GET /v3/scopes"]
    sendgrid_server.keys.clear()
    assert other_region(config, failure, base_urls=urls) is None


def test_exhausted_credits_are_no_reason_to_show_the_key_to_another_host(sendgrid_server: SendGridServer) -> None:
    config = SendGrid(enabled=True, api_key=SecretStr(KEY), region="global")
    failure = Failure(Stage.KEY, ErrorClass.RATE, "quota_exceeded", Reply(401, "Maximum credits exceeded"))
    assert other_region(config, failure, base_urls={"eu": sendgrid_server.url}) is None
    assert sendgrid_server.requests == []
