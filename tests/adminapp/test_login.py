"""Login, logout, password change, and how long a login lasts."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from emailcfg.models import AuditEvent
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def log_in(client: Client, email: str = "ana@acme.example", password: str = PASSWORD) -> object:
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_the_email_address_and_password_log_in_and_lead_to_the_status(admin_user: User, client: Client) -> None:
    response = log_in(client)
    assert (response.status_code, response["Location"]) == (302, "/status/")
    assert "ana@acme.example" in client.get("/status/").content.decode()


def test_the_address_may_be_typed_in_any_case(admin_user: User, client: Client) -> None:
    assert log_in(client, "Ana@ACME.example").status_code == 302


def test_a_page_asked_for_before_the_login_opens_after_it(admin_user: User, client: Client) -> None:
    response = client.get("/support/")
    assert response["Location"] == "/accounts/login/?next=/support/"
    page = client.get(response["Location"])
    assert 'name="next"' in page.content.decode()
    done = client.post("/accounts/login/", {"login": "ana@acme.example", "password": PASSWORD, "next": "/support/"})
    assert done["Location"] == "/support/"


def test_the_login_leads_to_no_other_host(admin_user: User, client: Client) -> None:
    data = {"login": "ana@acme.example", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/accounts/login/", data)["Location"] == "/status/"


def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(admin_user: User) -> None:
    unknown = log_in(Client(), email="bob@acme.example")
    wrong = log_in(Client(), password="not the password at all")
    texts = [
        r.content.decode().split("notice-error")[1].split("</form>")[0].split("</div>")[0] for r in (unknown, wrong)
    ]
    assert texts[0] == texts[1]
    assert "The email address or the password is wrong." in texts[0]


def test_guessing_is_slowed_down_by_address_and_does_not_lock_the_person_out_elsewhere(admin_user: User) -> None:
    for _ in range(5):
        log_in(Client(REMOTE_ADDR="127.0.0.2"), password="wrong wrong wrong")
    blocked = log_in(Client(REMOTE_ADDR="127.0.0.2"))
    assert "Location" not in blocked
    assert log_in(Client(REMOTE_ADDR="127.0.0.3")).status_code == 302


def test_logging_out_needs_a_post_and_ends_the_session(admin_client: Client) -> None:
    assert admin_client.get("/accounts/logout/").status_code == 200
    assert admin_client.get("/status/").status_code == 200
    assert admin_client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert admin_client.get("/status/").status_code == 302


def test_a_changed_password_keeps_this_session_and_ends_the_others(admin_user: User) -> None:
    here, there = Client(), Client()
    log_in(here)
    log_in(there)
    new = "another horse another staple"
    data = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post("/accounts/password/change/", data).status_code == 302
    assert here.get("/status/").status_code == 200
    assert there.get("/status/").status_code == 302
    assert log_in(Client(), password=new).status_code == 302


def test_a_new_password_must_be_good(admin_client: Client) -> None:
    data = {"oldpassword": PASSWORD, "password1": "password1234", "password2": "password1234"}
    assert admin_client.post("/accounts/password/change/", data).status_code == 200


def test_a_login_ends_after_thirty_idle_minutes(admin_user: User, client: Client) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        log_in(client)
        clock.shift(timedelta(minutes=20))
        assert client.get("/status/").status_code == 200
        clock.shift(timedelta(minutes=20))
        assert client.get("/status/").status_code == 200
        clock.shift(timedelta(minutes=31))
        assert client.get("/status/").status_code == 302


def test_what_a_page_asks_for_by_itself_does_not_keep_a_login_alive(admin_user: User, client: Client) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        log_in(client)
        client.get("/status/")
        for _ in range(4):
            clock.shift(timedelta(minutes=7))
            assert client.get("/omnibar/", headers={"X-Background": "1"}).status_code == 200
        clock.shift(timedelta(minutes=7))
        assert client.get("/status/").status_code == 302


def test_a_login_ends_after_twelve_hours_of_work(admin_user: User, client: Client) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        log_in(client)
        for _ in range(12 * 4 - 1):
            clock.shift(timedelta(minutes=15))
            assert client.get("/status/").status_code == 200
        clock.shift(timedelta(minutes=15))
        assert client.get("/status/").status_code == 302


def test_a_part_of_a_page_leads_the_whole_page_to_the_login(claimed: object, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/status/?a=1"}
    response = client.get("/omnibar/", headers=headers)
    assert response.status_code == 401
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fstatus%2F%3Fa%3D1"


def test_a_part_that_refreshes_itself_leaves_the_page_alone(claimed: object, client: Client) -> None:
    response = client.get("/omnibar/", headers={"HX-Request": "true", "X-Background": "1"})
    assert response.status_code == 401
    assert "HX-Redirect" not in response


def test_there_is_no_sign_up(claimed: object, client: Client) -> None:
    assert client.get("/accounts/signup/").status_code == 404


def test_logins_failures_and_logouts_are_on_record_without_the_password(admin_user: User) -> None:
    client = Client(REMOTE_ADDR="127.0.0.9")
    log_in(client, password="not the password at all")
    log_in(client)
    client.post("/accounts/logout/")
    events = list(AuditEvent.objects.order_by("pk").values_list("action", "actor_name", "address"))
    assert events[1:] == [
        ("login.failed", "ana@acme.example", "127.0.0.9"),
        ("login", "ana@acme.example", "127.0.0.9"),
        ("logout", "ana@acme.example", "127.0.0.9"),
    ]
    assert "not the password" not in str(list(AuditEvent.objects.values()))


def test_a_far_reaching_act_asks_for_the_password_again_once_the_last_time_is_long_ago(admin_user: User) -> None:
    client = Client()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        log_in(client)
        clock.shift(timedelta(minutes=16))
        page = client.get("/accounts/reauthenticate/?next=/support/")
        assert "Confirm it is you" in page.content.decode()
        wrong = client.post("/accounts/reauthenticate/", {"password": "wrong wrong wrong", "next": "/support/"})
        assert wrong.status_code == 200
        assert "The password is wrong." in wrong.content.decode()
        right = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/support/"})
        assert (right.status_code, right["Location"]) == (302, "/support/")


def test_a_changed_password_is_on_record_with_where_it_came_from(admin_client: Client) -> None:
    new = "another horse battery staple"
    data = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    admin_client.post("/accounts/password/change/", data, REMOTE_ADDR="127.0.0.9")
    event = AuditEvent.objects.filter(action="password.changed").latest("pk")
    assert (event.actor_name, event.address, event.detail) == ("ana@acme.example", "127.0.0.9", {})


def test_logins_survive_a_new_secret_key_above_the_old_one_and_end_without_the_old_one(
    admin_user: User, settings: Settings
) -> None:
    here, there = Client(), Client()
    log_in(here)
    log_in(there)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "n" * 60
    settings.SECRET_KEY_FALLBACKS = [old]
    assert here.get("/status/").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert there.get("/status/").status_code == 302


def test_an_ipv4_client_is_on_record_by_its_own_address_where_the_port_is_an_ipv6_one(admin_user: User) -> None:
    log_in(Client(REMOTE_ADDR="::ffff:127.0.0.1"))
    assert AuditEvent.objects.latest("pk").address == "127.0.0.1"
