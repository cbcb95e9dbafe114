"""The client and the Django mail backend, against the real API over HTTP."""

import base64
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from pytest_django.live_server_helper import LiveServer
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from outbound import auth, client
from outbound.client import Client, ServiceError, ServiceUnavailable
from outbound.models import Message, MessageBody, Recipient
from tests.outbound.making import ANA, a_config, activate

MAIL = {"to": ["bob@example.com"], "subject": "Hello", "text": "Good morning."}


@pytest.fixture
def token(transactional_db: None, claimed: object) -> str:
    activate(a_config())
    return auth.create(name="product", scopes=["messages:send"], actor=ANA)


@pytest.fixture
def client_of_service(live_server: LiveServer, token: str) -> Iterator[Client]:
    client = Client(live_server.url, token=token)
    yield client
    client.close()


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0) as server:
        yield server


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.mark.django_db(transaction=True)
def test_a_message_and_a_batch_are_accepted(client_of_service: Client) -> None:
    one = client_of_service.send(MAIL)
    assert Message.objects.get(pk=int(one.id)).message_id == one.message_id
    many = client_of_service.send_many([MAIL] * 1200)
    assert len({accepted.id for accepted in many}) == 1200


@pytest.mark.django_db(transaction=True)
def test_large_attachments_make_batches_that_the_service_takes(client_of_service: Client) -> None:
    file = {"filename": "a.bin", "content": base64.b64encode(bytes(5_000_000)).decode()}
    many = client_of_service.send_many([{**MAIL, "attachments": [file]}] * 4)
    assert Message.objects.filter(pk__in=[int(one.id) for one in many]).count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_refusal_names_its_fields(client_of_service: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        client_of_service.send({**MAIL, "to": ["nobody"]})
    assert caught.value.status == 400
    assert list(caught.value.errors) == ["0.to.0.email"]


@pytest.mark.django_db(transaction=True)
def test_a_lost_answer_is_asked_for_again_and_nothing_is_accepted_twice(
    client_of_service: Client, monkeypatch: pytest.MonkeyPatch, no_waiting: None
) -> None:
    real = http.client.HTTPConnection.getresponse
    lost = mock.Mock(side_effect=[True, False])

    def getresponse(self: http.client.HTTPConnection) -> Any:
        response = real(self)
        if lost():
            response.read()
            raise ConnectionResetError("lost on the way")
        return response

    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", getresponse)
    accepted = client_of_service.send(MAIL)
    assert Message.objects.get().pk == int(accepted.id)


def test_not_now_is_repeated_with_the_same_key_and_then_given_up(server: HTTPServer, no_waiting: None) -> None:
    keys: list[str] = []

    def not_now(request: Request) -> Response:
        keys.append(request.get_json()[0]["idempotency_key"])
        return Response('{"code": "disk_nearly_full", "detail": "Full."}', 503, {"Retry-After": "1"})

    server.expect_request("/api/v1/messages").respond_with_handler(not_now)
    with pytest.raises(ServiceUnavailable, match="Full"):
        Client(server.url_for(""), token="aat_x").send(MAIL)
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_a_service_that_is_down_is_told_after_all_tries(no_waiting: None) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        Client("http://127.0.0.1:1", token="aat_x").send(MAIL)
    assert caught.value.messages[0]["idempotency_key"]


@pytest.mark.parametrize("url", ["mail.internal", "ftp://mail.internal", "https://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Client(url, token="aat_x")


@pytest.mark.django_db(transaction=True)
def test_a_django_program_sends_by_one_setting(live_server: LiveServer, token: str, settings: Any) -> None:
    settings.OUTBOUND_URL, settings.OUTBOUND_TOKEN = live_server.url, token
    connection = get_connection("outbound.backend.EmailBackend")
    rich = EmailMultiAlternatives(
        "Hello", "Good morning.", "ignored@example.com", ["Bob Ross <bob@example.com>"], bcc=["carol@example.com"]
    )
    rich.attach_alternative("<p>Good morning.</p>", "text/html")
    rich.attach("notes.txt", "some text", "text/plain")
    plain = EmailMessage("Plain", "Text.", None, ["dave@example.com"], headers={"X-Campaign": "spring"})
    nobody = EmailMessage("Nobody", "Text.", None, [])
    hidden = EmailMessage("Hidden", "Text.", None, bcc=["erin@example.com"], reply_to=["Help <help@example.com>"])
    hidden.extra_headers = {
        "List-Unsubscribe": "<mailto:u@example.com>, <https://example.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert connection.send_messages([rich, plain, nobody, hidden]) == 3
    assert sorted(Recipient.objects.values_list("address", flat=True)) == [
        "bob@example.com",
        "carol@example.com",
        "dave@example.com",
        "erin@example.com",
    ]
    contents = [bytes(body.content) for body in MessageBody.objects.order_by("pk")]
    for expected in (b"Bob Ross <bob@example.com>", b"text/html", b"notes.txt", b"From: Acme <no-reply@acme.example>"):
        assert expected in contents[0]
    assert b"carol@example.com" not in contents[0]
    assert b"X-Campaign: spring" in contents[1]
    assert b"erin@" not in contents[2]
    for expected in (b"Reply-To: Help <help@example.com>", b"List-Unsubscribe: <https://example.com/u/1>"):
        assert expected in contents[2]


@pytest.fixture
def django_backend(live_server: LiveServer, token: str, settings: Any) -> Any:
    settings.OUTBOUND_URL, settings.OUTBOUND_TOKEN = live_server.url, token
    return get_connection("outbound.backend.EmailBackend")


def subjects() -> list[str]:
    return list(Message.objects.order_by("pk").values_list("subject", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_django_program_may_send_mail_without_subject_or_body(django_backend: Any) -> None:
    mails = [EmailMessage("", "", None, ["bob@example.com"]), EmailMessage("Hello", None, None, ["bob@example.com"])]
    assert django_backend.send_messages(mails) == 2
    assert subjects() == ["", "Hello"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("silent", [False, True])
def test_one_mail_that_is_refused_stops_no_other(django_backend: Any, silent: bool) -> None:
    django_backend.fail_silently = silent
    good = [EmailMessage(f"Number {n}", "Text.", None, ["bob@example.com"]) for n in range(3)]
    bad = EmailMessage("Bad", "Text.", None, ["not an address"])
    worse = EmailMessage("Worse", "Text.", None, ["bob@example.com"], headers={"Return-Path": "x"})
    mails = [good[0], bad, good[1], worse, good[2]]
    if silent:
        assert django_backend.send_messages(mails) == 3
    else:
        with pytest.raises(ServiceError, match="2 of 5 mails were refused, the others accepted") as caught:
            django_backend.send_messages(mails)
        assert list(caught.value.errors) == ["to.0.email"]
    assert subjects() == ["Number 0", "Number 1", "Number 2"]


@pytest.mark.django_db(transaction=True)
def test_what_became_of_each_stands_in_its_place_over_batches(client_of_service: Client) -> None:
    messages: list[dict[str, Any]] = [{**MAIL, "subject": f"Number {n}"} for n in range(1_100)]
    for place in (0, 7, 1_050):
        messages[place] = {**MAIL, "to": ["nobody"]}
    messages[3] = {**MAIL, "subject": "x" * 2_000}  # refused earlier, for its shape
    outcomes = client_of_service.send_each(messages)
    refused = [place for place, one in enumerate(outcomes) if isinstance(one, ServiceError)]
    assert refused == [0, 3, 7, 1_050]
    assert list(outcomes[3].errors) == ["subject"]  # type: ignore[union-attr]
    assert Message.objects.count() == 1_096
    by_id = dict(Message.objects.values_list("pk", "subject"))
    for place, one in enumerate(outcomes):
        assert isinstance(one, ServiceError) or by_id[int(one.id)] == f"Number {place}"


@pytest.mark.django_db(transaction=True)
def test_failing_silently_is_up_to_the_program(live_server: LiveServer, token: str, settings: Any) -> None:
    settings.OUTBOUND_URL, settings.OUTBOUND_TOKEN = live_server.url, "aat_wrong"
    mail = EmailMessage("Hello", "Text.", None, ["bob@example.com"])
    assert get_connection("outbound.backend.EmailBackend", fail_silently=True).send_messages([mail]) == 0
    with pytest.raises(ServiceError):
        get_connection("outbound.backend.EmailBackend").send_messages([mail])


PROGRAM = """
import sys, django
from django.conf import settings
from django.core.mail import send_mail
backend = "outbound.backend.EmailBackend"
settings.configure(EMAIL_BACKEND=backend, OUTBOUND_URL=sys.argv[1], OUTBOUND_TOKEN=sys.argv[2])
django.setup()
print(send_mail("Hello", "Good morning.", None, ["bob@example.com"]))
"""


@pytest.mark.django_db(transaction=True)
def test_the_two_files_are_all_that_another_django_program_needs(
    live_server: LiveServer, token: str, tmp_path: Path
) -> None:
    folder = tmp_path / "outbound"
    folder.mkdir()
    for name in ("client.py", "backend.py"):
        shutil.copy(Path(client.__file__).with_name(name), folder)
    command = [sys.executable, "-c", PROGRAM, live_server.url, token]
    own = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert subjects() == ["Hello"]


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    program = "import runpy, sys; runpy.run_path(sys.argv[1])"
    command = [sys.executable, "-I", "-S", "-c", program, client.__file__]
    subprocess.run(command, check=True, timeout=60)
