"""Metrics: who may read them, their form, and that nothing private stands in them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from outbound import auth, queue
from outbound.models import OutcomeCount
from tests.outbound.log_making import (
    ACCEPTED,
    GREYLISTED,
    NO_ANSWER,
    a_day_of_outcomes,
    a_message,
    a_service,
    an_open_breaker,
)
from tests.outbound.making import ANA, a_config, activate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("claimed")]

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.9", "secure": True}


def values(client: Client) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines)}


def test_every_line_has_the_form_of_the_text_format(client: Client) -> None:
    active = activate(a_config())
    a_service(active.generation)
    text = client.get("/metrics").content.decode()
    assert text.endswith("\n")
    label = r'[a-z_]+="[^"\\\n]*"'
    sample = re.compile(rf"adminapp_[a-z_]+(?:\{{{label}(?:,{label})*\}})? -?[0-9.e+]+")
    for line in text.splitlines():
        assert line.startswith(("# HELP adminapp_", "# TYPE adminapp_")) or sample.fullmatch(line), line
    described = set(re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE))
    assert set(re.findall(r"^(adminapp_[a-z_]+)", text, flags=re.MULTILINE)) <= described


def test_the_numbers_are_those_of_status(client: Client) -> None:
    active = activate(a_config())
    a_service(active.generation)
    a_service(active.generation, ago_s=60)
    a_message("sent", ACCEPTED, revision=active.revision_id)
    a_message("deferred", GREYLISTED)
    found = values(client)
    assert found['adminapp_queue_messages{state="deferred"}'] == 1
    assert found["adminapp_mail_works"] == 1
    assert found["adminapp_active_generation"] == active.generation
    assert sorted(value for name, value in found.items() if name.startswith("adminapp_process_up")) == [0, 1]
    an_open_breaker(active.generation)
    assert values(client)["adminapp_breaker_open"] == 1
    assert values(client)["adminapp_mail_works"] == 0


@pytest.mark.parametrize(
    ("general", "name"),
    [({"suppress_all": True}, "adminapp_suppressed"), ({"divert_to": "box@acme.example"}, "adminapp_diverted")],
)
def test_it_shows_that_no_mail_reaches_whom_it_is_for(client: Client, general: dict[str, Any], name: str) -> None:
    activate(a_config())
    assert values(client)[name] == 0
    activate(a_config(general=general))
    assert values(client)[name] == 1
    assert values(client)["adminapp_mail_works"] == 0


def test_outcomes_are_counted_from_midnight(client: Client) -> None:
    a_day_of_outcomes()
    today = OutcomeCount.objects.latest("slot").slot.replace(hour=0)
    wanted = sum(row.count for row in OutcomeCount.objects.filter(outcome="sent", slot__gte=today))
    assert values(client)['adminapp_outcomes_total{outcome="sent"}'] == wanted


def test_other_machines_need_a_token_that_may_read_the_log(client: Client) -> None:
    reader = auth.create(name="prometheus", scopes=["messages:read"], actor=ANA)
    sender = auth.create(name="shop", scopes=["messages:send"], actor=ANA)
    assert client.get("/metrics", **ELSEWHERE).status_code == 401
    for text, status in ((reader, 200), (sender, 401), ("nonsense", 401), ("", 401)):
        headers = {"Authorization": f"Bearer {text}"}
        assert client.get("/metrics", headers=headers, **ELSEWHERE).status_code == status


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("::ffff:192.0.2.9", 401), ("2001:db8::9", 401)],
)
def test_this_machine_is_known_by_either_kind_of_address(client: Client, address: str, status: int) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address, secure=True).status_code == status


def test_a_wrong_token_is_refused_on_this_machine_too(client: Client) -> None:
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearér", "\xff", "Basic", ""])
def test_an_authorization_of_another_kind_is_none(client: Client, scheme: str) -> None:
    assert client.get("/metrics", headers={"Authorization": f"{scheme} x"}, **ELSEWHERE).status_code == 401


def test_nothing_private_stands_in_them(client: Client) -> None:
    active = activate(a_config())
    a_message("deferred", GREYLISTED, to=("secret.person@example.com",), subject="Very private")
    an_open_breaker(active.generation, sender="shop@acme.example", sentence="535 ana is locked")
    text = client.get("/metrics").content.decode()
    for private in ("secret.person", "Very private", "acme.example", "127.0.0.1", "locked", "@"):
        assert private not in text


def test_what_the_manual_alarms_on_is_there_and_moves(client: Client) -> None:
    manual = (ROOT / "docs" / "monitoring.md").read_text()
    text = client.get("/metrics").content.decode()
    assert set(re.findall(r"adminapp_[a-z_]+", manual)) <= set(re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE))
    active = activate(a_config())
    a_service(active.generation)
    a_service(None, state="rejected")
    a_service(active.generation - 1, ago_s=60)
    a_message("in_doubt", NO_ANSWER)
    a_message("queued", due_at=timezone.now() - timedelta(minutes=20))
    queue.pause(actor=ANA)
    found = values(client)
    assert found['adminapp_queue_messages{state="in_doubt"}'] == 1
    assert 1200 <= found["adminapp_queue_oldest_due_age_seconds"] < 1260
    assert found["adminapp_paused"] == 1
    assert found["adminapp_disk_free_bytes"] > 0
    refused = [value for name, value in found.items() if name.startswith("adminapp_process_refused")]
    assert sorted(refused) == [0, 1]
    running = [value for name, value in found.items() if name.startswith("adminapp_process_generation")]
    assert running == [active.generation]
