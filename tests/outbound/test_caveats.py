"""What a test says beside its outcome, where real mail would go another way than the test did."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from emailcfg import activation, tested
from emailcfg.models import AuditEvent, Secret, ServiceInstance, TestSend
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import ErrorClass, Failure, Stage
from emailcfg.schema import EmailConfig
from outbound import breaker, healthcheck, queue, testrun, testsend, transcript, transport
from outbound.engine import transport as engine_transport
from outbound.models import Breaker
from tests.emailcfg.making import a_process
from tests.outbound.making import ANA, a_config, activate
from tests.servers.scripted import ScriptedSmtp
from tests.servers.sendgrid import KEY

pytestmark = pytest.mark.django_db
Servers = Callable[..., ScriptedSmtp]
TO = "ben@acme.example"


@pytest.fixture(autouse=True)
def _any_port(settings: Settings) -> None:
    settings.NETWORK_POLICY = NetworkPolicy(ports=None)


def of_active() -> TestSend:
    return testrun.run(testsend.prepare(testsend.of_revision(None, TO), ANA))


def of_form(config: EmailConfig) -> TestSend:
    return testrun.run(testsend.prepare(testsend.Plan(config, TestSend.Source.FORM, None, TO), ANA))


def beside(test: TestSend) -> str:
    return " ".join(transcript.beside(test.steps))


def a_service(state: str = "running", error: str = "", host: str | None = None) -> None:
    row = a_process(state, state, activation.current().generation, error=error)
    row.host = host or socket.gethostname()
    row.save()


def a_failure(error_class: ErrorClass) -> Failure:
    return Failure(Stage.LOGIN, error_class, "login_refused", detail="535 5.7.8 No")


def held(error_class: ErrorClass = ErrorClass.CONFIGURATION) -> Breaker:
    common: dict[str, Any] = {"provider": "smtp", "sender": "", "server": "x:25", "first_s": 60.0}
    breaker.failed(activation.current().generation, failure=a_failure(error_class), now=timezone.now(), **common)
    return Breaker.objects.get()


def test_where_nothing_is_in_the_way_nothing_is_said(scripted_smtp: Servers) -> None:
    activate(a_config(scripted_smtp().port))
    a_service()
    test = of_active()
    assert (test.state, beside(test)) == ("accepted", "")


def test_a_paused_queue_is_said(scripted_smtp: Servers) -> None:
    activate(a_config(scripted_smtp().port))
    a_service()
    queue.pause(actor=ANA)
    assert beside(of_active()) == f"Sending was paused by {ANA.name}: other mail waits until it is resumed on Status."


def test_a_held_queue_is_said_and_tried_at_once(scripted_smtp: Servers) -> None:
    activate(a_config(scripted_smtp().port))
    a_service()
    due = held().next_probe_at
    assert due is not None
    said = beside(of_active())
    assert said.startswith("All other mail was held when this test ended: ")
    assert "One message is tried now" in said
    tried = Breaker.objects.get().next_probe_at
    assert tried is not None
    assert tried <= timezone.now() < due
    assert AuditEvent.objects.filter(action="queue.tried", actor_name=ANA.name).exists()


@pytest.mark.parametrize("another", ["a limit", "a failed test", "a form"])
def test_a_held_queue_keeps_its_time_when_the_obstacle_may_stand(scripted_smtp: Servers, another: str) -> None:
    server = scripted_smtp()
    activate(a_config(server.port))
    a_service()
    due = held(ErrorClass.RATE if another == "a limit" else ErrorClass.CONFIGURATION).next_probe_at
    if another == "a failed test":
        server.script["MAIL"] = "550 5.7.1 No"
    of_form(a_config(server.port, timeout_s=9)) if another == "a form" else of_active()
    assert Breaker.objects.get().next_probe_at == due


def test_no_process_and_one_that_refused_are_said(scripted_smtp: Servers) -> None:
    activate(a_config(scripted_smtp().port))
    assert beside(of_active()).startswith("No process is running that delivers mail")
    a_service("rejected", "The key is missing.")
    said = f"Every process refused r{activation.current().revision_id}: The key is missing."
    assert beside(of_active()) == f"{said} Nothing leaves through what refused it."
    ServiceInstance.objects.update(error="The key is missing. It goes on with r7.", stand_in=7)
    assert beside(of_active()) == f"{said} It goes on with r7."


def test_mail_that_leaves_from_another_machine_is_said(scripted_smtp: Servers) -> None:
    activate(a_config(scripted_smtp().port))
    a_service(host="worker-7")
    here = socket.gethostname()
    assert beside(of_active()) == f"This test left from {here}; other mail leaves from worker-7."


def test_after_a_green_test_of_what_does_not_run_it_says_what_does(scripted_smtp: Servers) -> None:
    server = scripted_smtp()
    test = of_form(a_config(server.port))
    assert beside(test) == "No configuration is active: no other mail leaves until this is saved and activated."
    number = activate(a_config(server.port, timeout_s=9)).revision_id
    a_service()
    test = of_form(a_config(server.port))
    assert beside(test) == f"Real mail still leaves through r{number} until this is saved and activated."
    ServiceInstance.objects.update(state="rejected", error="No key opens it. It goes on with r7.", stand_in=7)
    assert beside(of_form(a_config(server.port))) == (
        "Real mail still leaves through r7 until this is saved and activated."
    )
    ServiceInstance.objects.update(error="No key opens it.", stand_in=None)
    assert beside(of_form(a_config(server.port))) == "No other mail leaves until this is saved and activated."
    ServiceInstance.objects.update(state="running", error="")
    activate(a_config(server.port))
    assert beside(of_form(a_config(server.port))) == ""  # the same content as what runs


def test_which_configuration_was_tested_stays_true_after_another_activation(scripted_smtp: Servers) -> None:
    server = scripted_smtp()
    number = activate(a_config(server.port)).revision_id
    test = of_active()
    activate(a_config(server.port, timeout_s=9))
    test.refresh_from_db()
    words = f"Test of r{number} (active at that time) through 127.0.0.1:{server.port} to {TO}"
    assert transcript.subject(test) == words


def test_what_the_environment_fixes_is_said_and_judged_by(scripted_smtp: Servers, settings: Settings) -> None:
    server = scripted_smtp()
    settings.EMAILCFG_PINS = {
        "EMAILCFG__SMTP__PORT": str(server.port),
        "EMAILCFG__GENERAL__DIVERT_TO": "trial@acme.example",
        "EMAILCFG__SMTP__TIMEOUT_S": "5",  # as the configuration says: changes nothing
    }
    said = beside(of_form(a_config(1)))
    assert "would go to trial@acme.example" in said
    assert "fixes Divert all mail to (EMAILCFG__GENERAL__DIVERT_TO), Port (EMAILCFG__SMTP__PORT), " in said


def test_the_badge_and_the_health_check_go_when_the_environment_fixes_something_else(
    scripted_smtp: Servers, settings: Settings
) -> None:
    first, second = scripted_smtp(), scripted_smtp()
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": str(first.port)}
    active = activate(a_config(1))
    assert active.revision is not None
    of_active()
    healthcheck.run(ANA)
    assert tested.of(active.revision.content_hash) is not None
    assert healthcheck.standing() is not None
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": str(second.port)}
    assert tested.of(active.revision.content_hash) is None
    assert healthcheck.standing() is None
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": str(first.port)}
    assert tested.of(active.revision.content_hash) is not None


def test_the_name_of_the_pins_tells_nothing_of_them(settings: Settings, scripted_smtp: Servers) -> None:
    server = scripted_smtp(keywords=["AUTH PLAIN"])
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PASSWORD": "hunter-two", "EMAILCFG__SMTP__USERNAME": "ana"}
    test = of_form(a_config(server.port))
    assert len(test.pins) == 64
    assert "hunter" not in test.pins


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("451 4.7.1 Greylisted, try again later", "real mail is tried again"),
        ("550 5.1.1 No such user", ""),
    ],
)
def test_red_says_where_real_mail_would_be_tried_again(scripted_smtp: Servers, answer: str, says: str) -> None:
    test = of_form(a_config(scripted_smtp({"RCPT": answer}).port))
    assert test.state == "failed"
    assert (says in beside(test)) if says else not beside(test)


def test_a_limit_is_waited_for_by_real_mail(scripted_smtp: Servers) -> None:
    test = of_form(
        a_config(scripted_smtp({"MAIL": "454 4.7.0 Throttling failure: Maximum sending rate exceeded."}).port)
    )
    assert beside(test) == "The test tries once. Real mail waits until the limit is over and leaves then."


def test_a_broken_key_of_the_service_that_is_off_stops_neither_mail_nor_test(scripted_smtp: Servers) -> None:
    config = a_config(scripted_smtp().port).model_dump()
    config["sendgrid"] = {"enabled": False, "api_key": KEY}
    active = activate(EmailConfig.model_validate(config))
    Secret.objects.update(ciphertext="not a token")
    a_service()
    assert engine_transport.load(active).config.provider == "smtp"
    assert of_active().state == "accepted"


def test_a_test_introduces_itself_as_real_mail_does(scripted_smtp: Servers, settings: Settings) -> None:
    """Also where only the machine has a full name: relays know a client by it."""
    settings.PUBLIC_BASE_URL = "https://mail:8443"
    server = scripted_smtp()
    transport.own_name.cache_clear()
    try:
        active = activate(a_config(server.port))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getfqdn", lambda: "mail-7.acme.example")
            of_active()
            session = engine_transport.load(active).session()
            session.open()
            session.close()
    finally:
        transport.own_name.cache_clear()
    greetings = [line for line in server.commands if line.startswith("EHLO")]
    assert greetings == ["EHLO mail-7.acme.example"] * 2
