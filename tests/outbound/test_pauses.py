"""Which pauses a message waited through: on its page and in the API, with who paused and why."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from outbound import auth, pauses, queue
from outbound.models import Message
from tests.outbound.log_making import ACCEPTED, a_message
from tests.outbound.making import ANA, queued

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active")]


def _told(pk: int) -> list[tuple[str, bool]]:
    return [(one.reason, one.until is None) for one in pauses.of_message(Message.objects.get(pk=pk))]


def test_a_message_tells_the_pauses_between_its_acceptance_and_its_end() -> None:
    queue.pause(actor=ANA, reason="Before it came")
    queue.resume(actor=ANA)
    [first] = queued(1)
    queue.pause(actor=ANA, reason="Moving the relay")
    queue.resume(actor=ANA)
    assert _told(first) == [("Moving the relay", False)]
    Message.objects.filter(pk=first).update(state="sent", due_at=None, changed_at=timezone.now())
    queue.pause(actor=ANA, reason="Certificates")
    assert _told(first) == [("Moving the relay", False)]
    [second] = queued(1)
    assert _told(second) == [("Certificates", True)]


def test_a_message_that_left_while_the_pause_began_is_told_until_then() -> None:
    [pk] = queued(1)
    queue.pause(actor=ANA, reason="Moving the relay")
    ended = timezone.now() + timedelta(seconds=5)
    Message.objects.filter(pk=pk).update(state="sent", due_at=None, changed_at=ended)
    assert [one.until for one in pauses.of_message(Message.objects.get(pk=pk))] == [ended]


def test_the_page_and_the_api_say_who_paused_and_why(admin_client: Client) -> None:
    message = a_message("queued")
    queue.pause(actor=ANA, reason="Moving the relay")
    page = admin_client.get(f"/messages/{message.pk}/").content.decode()
    assert "<strong>Sending is paused</strong>" in page
    assert "by ana@acme.example: “Moving the relay”" in page
    token = auth.create(name="reader", scopes=["messages:read"], actor=ANA)
    answer = admin_client.get(f"/api/v1/messages/{message.pk}", headers={"Authorization": f"Bearer {token}"}).json()
    assert [(one["by"], one["reason"], one["until"]) for one in answer["pauses"]] == [
        ("ana@acme.example", "Moving the relay", None)
    ]
    other = a_message("sent", ACCEPTED)
    queue.resume(actor=ANA)
    assert "Sending is paused" not in admin_client.get(f"/messages/{other.pk}/").content.decode()


def test_the_page_turns_by_itself_when_the_pause_ends(admin_client: Client) -> None:
    message = a_message("queued")
    queue.pause(actor=ANA, reason="Moving the relay")
    page = admin_client.get(f"/messages/{message.pk}/").content.decode()
    address = next(part.split('"')[0] for part in page.split('hx-get="') if "/progress/" in part.split('"')[0])
    assert admin_client.get(address).status_code == 204
    queue.resume(actor=ANA)
    assert "Sending was paused from" in admin_client.get(address).content.decode()
