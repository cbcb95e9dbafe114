"""What the configuration room learns from the rooms above it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from adminapp import wiring
from emailcfg import activation, ports
from emailcfg.ports import ConfirmationAsked
from outbound.models import Message, MessageBody
from tests.emailcfg.making import a_revision
from tests.outbound.making import a_config, activate, queued

pytestmark = pytest.mark.django_db


def asked(recipient: str = "ana@acme.example") -> ConfirmationAsked:
    deadline = activation.database_time() + timedelta(minutes=10)
    return ConfirmationAsked(15, 14, recipient, "/configuration/confirm/token/", deadline)


def test_the_queue_is_counted() -> None:
    activate(a_config())
    queued(3)
    assert ports.queued_messages() == 3


def test_the_link_is_queued_for_the_administrator_who_activated(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://mail.acme.example"
    activate(a_config())
    ports.ask_for_confirmation(asked())
    message = Message.objects.get()
    assert message.first_recipient == "ana@acme.example"
    content = bytes(MessageBody.objects.get().content).replace(b"=\r\n", b"")
    assert b"https://mail.acme.example/configuration/confirm/token/" in content


def test_a_link_that_can_not_be_queued_does_no_harm() -> None:
    wiring.mail_confirmation_link(asked())
    activate(a_config())
    wiring.mail_confirmation_link(asked("not an address"))
    assert not Message.objects.exists()


def test_a_link_in_a_mail_never_comes_from_the_request(admin_client: Client, settings: Any) -> None:
    settings.PUBLIC_BASE_URL, settings.ALLOWED_HOSTS = "https://mail.acme.example", ["*"]
    activate(a_config())
    second = a_revision(a_config(2526))
    posted = {"expected_generation": 1, "request_id": "one", "how": "confirm", "minutes": "10", "reason": "Now"}
    page = f"/configuration/revisions/{second.number}/activate/"
    assert admin_client.post(page, posted, headers={"Host": "evil.example"}).status_code == 303
    content = bytes(MessageBody.objects.get().content).replace(b"=\r\n", b"")
    assert b"https://mail.acme.example/configuration/confirm/" in content
    assert b"evil.example" not in content
