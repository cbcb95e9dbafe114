"""The first run: one winner, closed for ever afterwards."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from adminapp import setup
from adminapp.models import Claim, SetupToken
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def register(client: Client, token: str, **changes: str) -> object:
    return client.post("/setup/", {"token": token, "email": "ana@acme.example", "password": PASSWORD} | changes)


@pytest.mark.parametrize(
    "path", ["/", "/status/", "/accounts/login/", "/messages/", "/nothing/", "/configuration/email/"]
)
def test_until_it_is_claimed_every_page_leads_to_the_setup(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, "/setup/")


def test_until_it_is_claimed_the_api_answers_with_a_problem_document(client: Client) -> None:
    response = client.get("/api/v1/config/active")
    assert response.status_code == 503
    assert response.json()["code"] == "not_set_up"


def test_the_token_registers_the_administrator_and_logs_them_in(client: Client) -> None:
    response = register(client, setup.new_token(), email="Ana@Acme.example ")
    assert (response.status_code, response["Location"]) == (302, "/configuration/email/")
    user = User.objects.get()
    assert (user.username, user.email, user.is_superuser) == ("ana@acme.example", "ana@acme.example", True)
    assert client.get("/status/").status_code == 200


def test_the_link_fills_the_token_in(client: Client) -> None:
    token = setup.new_token()
    assert f'value="{token}"' in client.get(f"/setup/?token={token}").content.decode()


def test_only_a_digest_of_the_token_is_stored(client: Client) -> None:
    token = setup.new_token()
    assert len(token) >= 43
    assert token not in str(SetupToken.objects.values_list())


def test_a_wrong_token_registers_nobody(client: Client) -> None:
    setup.new_token()
    response = register(client, "wrong")
    assert response.status_code == 422
    assert "not valid" in response.content.decode()
    assert not User.objects.exists()


def test_a_token_ends_after_thirty_minutes(client: Client) -> None:
    token = setup.new_token()
    with time_machine.travel(timezone.now() + timedelta(minutes=31), tick=False):
        assert register(client, token).status_code == 422
    assert not User.objects.exists()


def test_a_new_token_ends_the_one_before(client: Client) -> None:
    first = setup.new_token()
    setup.new_token()
    assert register(client, first).status_code == 422


@pytest.mark.parametrize("password", ["short", "password1234", "ana@acme.example", ""])
def test_a_weak_password_is_refused_and_the_token_stays_valid(client: Client, password: str) -> None:
    token = setup.new_token()
    assert register(client, token, password=password).status_code == 422
    assert register(client, token).status_code == 302


def test_a_claimed_installation_has_no_setup_page_even_when_all_accounts_are_gone(client: Client) -> None:
    token = setup.new_token()
    register(client, token)
    User.objects.all().delete()
    gone = Client().get("/setup/")
    assert gone.status_code == 404
    assert "Log in instead" in gone.content.decode()
    assert register(Client(), token).status_code == 404
    with pytest.raises(setup.AlreadyClaimed):
        setup.new_token()


def test_of_two_registrations_the_second_is_refused() -> None:
    setup.claim(email="first@acme.example", password=PASSWORD)
    with pytest.raises(setup.AlreadyClaimed):
        setup.claim(email="second@acme.example", password=PASSWORD)
    assert list(User.objects.values_list("username", flat=True)) == ["first@acme.example"]
    assert Claim.objects.get().email == "first@acme.example"


def test_the_setup_page_refuses_a_post_without_the_csrf_token() -> None:
    token = setup.new_token()
    assert register(Client(enforce_csrf_checks=True), token).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_of_registrations_at_the_same_moment_one_wins_and_the_others_find_it_closed() -> None:
    together = Barrier(6)

    def attempt(number: int) -> str:
        together.wait()
        try:
            return setup.claim(email=f"ana{number}@acme.example", password=PASSWORD).username
        except setup.AlreadyClaimed:
            return "closed"
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    assert outcomes.count("closed") == 5
    [winner] = User.objects.values_list("username", flat=True)
    assert winner in outcomes
    assert Claim.objects.get().email == winner
