"""What the pages, the checks and the numbers say while the service refuses the active configuration."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from adminapp.verdict import gather, verdict
from emailcfg import activation
from emailcfg.models import ServiceInstance
from emailcfg.network import NetworkPolicy
from outbound import queue
from outbound.models import Breaker
from outbound.submit import DiskNearlyFull, NotConfigured
from tests.emailcfg.making import no_mail, tamper
from tests.outbound.engine.running import running, until
from tests.outbound.log_making import ACCEPTED, a_message, a_service, an_open_breaker
from tests.outbound.making import ANA, a_config, activate, activate_unreadable, queued
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR, settings.NETWORK_POLICY = tmp_path, NetworkPolicy(ports=None)


@pytest.fixture
def relay(smtp_server: Callable[..., SmtpServer]) -> Iterator[SmtpServer]:
    """r1 delivers to this relay; then r2 is active, whose password no key opens. The service runs."""
    server = smtp_server()
    activate(a_config(server.port))
    with running():
        until(lambda: ServiceInstance.objects.filter(generation=1, state="running").exists())
        activate_unreadable(server.port)
        until(lambda: ServiceInstance.objects.filter(state="rejected").exists())
        yield server


def text_of(client: Client, path: str) -> str:
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", client.get(path).content.decode())).split())


def checks(client: Client) -> dict[str, Any]:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    found: dict[str, Any] = json.loads(answer.content)["checks"]
    return found


def test_while_the_earlier_revision_goes_on_nothing_says_that_no_mail_leaves(
    relay: SmtpServer, admin_client: Client
) -> None:
    first, second = (f"r{activation.current().fallback_id}", f"r{activation.current().revision_id}")
    queued(1)
    until(lambda: len(relay.received) == 1)
    shown = text_of(admin_client, "/status/")
    assert f"{second} can't be run: mail still leaves through {first}." in shown
    assert f"{second} can't be run, {first} goes on" in shown  # the OmniBar
    assert f"In its place runs {first}." in shown
    assert f"still {first}" in shown
    assert f"Do not restart it before: it would lose {first}, and send nothing." in shown
    for untrue in ("No mail leaves", "accepted and waits;", "goes on with what it ran before", "One after the other"):
        assert untrue not in shown
    page = text_of(admin_client, f"/configuration/revisions/{second[1:]}/activate/")
    assert f"It goes on with {first}." in page
    assert f"What refused {second} tries again every few seconds." in page
    found = checks(admin_client)
    assert found["active_revision"]["detail"].endswith(f"In its place runs {first}.")
    assert (found["processes"]["ok"], found["processes"]["detail"]) == (
        False,
        "0 web and 1 outbound processes run. 1 refused the active configuration. Status says why."
        f" In its place runs {first}.",
    )
    numbers = admin_client.get("/metrics").content.decode()
    assert re.search(r"^adminapp_process_refused\{.*\} 1$", numbers, flags=re.MULTILINE)
    assert "adminapp_mail_works 0" in numbers


def test_a_pause_or_a_held_queue_of_the_earlier_revision_is_told_all_the_same(
    relay: SmtpServer, admin_client: Client
) -> None:
    an_open_breaker(1)
    assert "All mail is held" in text_of(admin_client, "/status/")
    assert checks(admin_client)["breaker"]["ok"] is False
    message = a_message("queued", due_at=timezone.now())
    assert "All mail is held" in text_of(admin_client, f"/messages/{message.pk}/")
    admin_client.post("/status/probe/")
    until(lambda: not Breaker.objects.get().is_open)
    queue.pause(actor=ANA)
    shown = text_of(admin_client, "/status/")
    assert "No mail leaves: sending was paused by ana@acme.example." in shown
    assert "In its place runs r" in shown
    assert "mail still leaves" not in shown.lower()
    assert "Mail goes on" not in shown


def test_a_process_that_has_nothing_else_to_send_with_is_said_to_send_nothing(
    smtp_server: Callable[..., SmtpServer], admin_client: Client
) -> None:
    activate_unreadable(smtp_server().port)
    with running():
        until(lambda: ServiceInstance.objects.filter(state="rejected").exists())
        queued(1)
        shown = text_of(admin_client, "/status/")
        assert "It has nothing else to send with, so it sends nothing." in shown
        assert "Mail is accepted and waits; nothing is lost." in shown
        assert checks(admin_client)["active_revision"]["detail"].endswith("No mail leaves.")
        number = activation.current().revision_id
        assert verdict(gather(activation.current())).short == f"1 message waits: r{number} can't be read"


def test_where_one_of_two_processes_refused_it_mail_leaves_and_it_is_not_green(admin_client: Client) -> None:
    active = activate(a_config())
    a_message("sent", ACCEPTED, revision=active.revision_id)
    a_service(active.generation)
    assert verdict(gather(active)).level == "ok"
    a_service(None, state="rejected", error="The key ring is missing.")
    found = verdict(gather(active))
    assert (found.level, found.sentence) == (
        "warning",
        f"Mail leaves, but 1 of 2 processes refused r{active.revision_id}.",
    )
    assert checks(admin_client)["processes"]["ok"] is False


def test_nobody_is_told_that_mail_is_accepted_where_it_is_refused(admin_client: Client, settings: Any) -> None:
    queue.pause(actor=ANA)
    a_service(0)
    assert_not_accepted(admin_client, "No mail is accepted: no configuration is active.")
    activate(a_config())
    assert "Mail is accepted and waits, through restarts and activations too." in text_of(admin_client, "/status/")
    before, settings.DISK_RESERVE_MB = settings.DISK_RESERVE_MB, 10**9
    assert_not_accepted(admin_client, "No mail is accepted: the disk is full.")
    settings.DISK_RESERVE_MB = before
    activate(no_mail())
    assert_not_accepted(admin_client, "No mail is accepted: the active configuration has no sender address.")
    activate(a_config(general={"sender_name": "Bent"}))
    revision = activation.current().revision
    assert revision is not None
    tamper(revision, payload={**revision.payload, "smtp": {"host": "elsewhere.example"}})
    assert_not_accepted(admin_client, "New mail may be refused with 503, so that programs try again later")


def assert_not_accepted(client: Client, said: str) -> None:
    with pytest.raises((NotConfigured, DiskNearlyFull)):
        queued(1)
    shown = text_of(client, "/status/")
    assert said in shown
    assert "ail is accepted and waits" not in shown
    assert "ail is accepted and waits" not in json.loads(client.get("/readyz").content)["checks"]["pause"]["detail"]
