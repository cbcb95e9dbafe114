"""Plain HTTP and HTTPS, proxies, cookies and headers."""

from ipaddress import ip_network

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

ELSEWHERE = "192.0.2.7"


@pytest.fixture(autouse=True)
def _claimed(admin_user: User) -> None:
    pass


@pytest.mark.parametrize("method", ["get", "head"])
def test_plain_http_from_elsewhere_is_sent_to_https(method: str) -> None:
    response = getattr(Client(REMOTE_ADDR=ELSEWHERE), method)("/accounts/login/?next=/status/")
    assert response.status_code == 307
    assert response["Location"] == "https://testserver:8443/accounts/login/?next=/status/"


@pytest.mark.parametrize("path", ["/accounts/login/", "/setup/", "/api/v1/messages"])
def test_a_form_sent_over_plain_http_from_elsewhere_is_refused(path: str) -> None:
    response = Client(REMOTE_ADDR=ELSEWHERE).post(path, {"login": "ana@acme.example", "password": PASSWORD})
    assert response.status_code == 403
    assert b"HTTPS" in response.content
    assert not response.cookies


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_served_over_plain_http(address: str) -> None:
    assert Client(REMOTE_ADDR=address).get("/accounts/login/").status_code == 200


def test_liveness_is_answered_over_plain_http_to_anyone() -> None:
    assert Client(REMOTE_ADDR=ELSEWHERE).get("/healthz").content == b"ok\n"


def test_forwarded_headers_of_a_stranger_count_for_nothing() -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
    assert Client(REMOTE_ADDR=ELSEWHERE).get("/accounts/login/", headers=headers).status_code == 307


@pytest.fixture
def proxy(settings: Settings) -> Client:
    settings.TRUSTED_PROXIES = (ip_network("10.0.0.0/8"),)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return Client(REMOTE_ADDR="10.1.1.1")


def test_a_trusted_proxy_is_served_on_the_plain_port_and_its_clients_are_secure(proxy: Client) -> None:
    response = proxy.get("/accounts/login/", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": ELSEWHERE})
    assert response.status_code == 200
    assert response.wsgi_request.is_secure()
    assert response.wsgi_request.META["REMOTE_ADDR"] == ELSEWHERE


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.9, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1, 192.0.2.7, 10.2.2.2", "192.0.2.7"),
        ("junk, 10.2.2.2", "10.2.2.2"),
        ("", "10.1.1.1"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(proxy: Client, forwarded: str, client: str) -> None:
    response = proxy.get("/healthz", headers={"X-Forwarded-For": forwarded})
    assert response.wsgi_request.META["REMOTE_ADDR"] == client


def log_in(client: Client, *, secure: bool) -> HttpResponse:
    data = {"login": "ana@acme.example", "password": PASSWORD}
    return client.post("/accounts/login/", data, secure=secure)


def test_over_tls_the_cookies_have_host_names_and_are_secure() -> None:
    client = Client()
    client.get("/accounts/login/", secure=True)
    assert log_in(client, secure=True).status_code == 302
    session = client.cookies["__Host-sessionid"]
    assert (session["secure"], session["httponly"], session["samesite"], session["path"]) == (True, True, "Lax", "/")
    assert not session["domain"]
    assert "sessionid" not in client.cookies
    assert client.cookies["__Host-csrftoken"]["secure"]
    assert client.get("/status/", secure=True).status_code == 200


def test_over_tls_a_session_cookie_without_the_prefix_is_ignored(admin_client: Client) -> None:
    assert admin_client.get("/status/").status_code == 200
    assert admin_client.get("/status/", secure=True).status_code == 302


def test_over_loopback_http_the_cookies_work_without_secure() -> None:
    client = Client()
    assert log_in(client, secure=False).status_code == 302
    assert not client.cookies["sessionid"]["secure"]
    assert client.cookies["sessionid"]["httponly"]


def test_logging_out_over_tls_deletes_the_cookie() -> None:
    client = Client()
    log_in(client, secure=True)
    client.post("/accounts/logout/", secure=True)
    assert client.cookies["__Host-sessionid"].value == ""
    assert client.cookies["__Host-sessionid"]["max-age"] == 0


def test_pages_behind_the_login_are_not_stored(admin_client: Client) -> None:
    assert "no-store" in admin_client.get("/status/")["Cache-Control"]


def test_an_unknown_host_gets_a_page_that_says_why() -> None:
    response = Client().get("/accounts/login/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert b"ALLOWED_HOSTS" in response.content


def test_strict_transport_security_is_sent_over_tls_alone() -> None:
    assert "max-age=31536000" in Client().get("/accounts/login/", secure=True)["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in Client().get("/accounts/login/")
