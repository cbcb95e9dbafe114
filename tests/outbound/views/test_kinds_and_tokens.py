"""The previews of every kind of mail, and the tokens page."""

import pytest
from django.test import Client

from emailcfg.models import AuditEvent
from outbound import auth
from outbound.kinds import KINDS
from outbound.models import ApiToken
from tests.conftest import PASSWORD, logged_in_ago
from tests.outbound.making import ANA, a_config, activate

pytestmark = pytest.mark.django_db

ASKED = "your password is asked for once more"


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_a_preview_before_anything_is_configured(admin_client: Client, kind: str) -> None:
    page = admin_client.get(f"/messages/kinds/{kind}/").content.decode()
    assert KINDS[kind].title.replace("'", "&#x27;") in page
    frame = admin_client.get(f"/messages/kinds/{kind}/mail/")
    assert frame.status_code == 200
    assert "sandbox" in frame["Content-Security-Policy"]
    for value in KINDS[kind].values:
        if value.form == "url" and value.required:
            assert value.sample in frame.content.decode()


def test_a_preview_has_the_sender_that_is_active(admin_client: Client) -> None:
    activate(a_config())
    assert "no-reply@acme.example" in admin_client.get("/messages/kinds/").content.decode()


def test_an_unknown_kind_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/messages/kinds/nonsense/").status_code == 404
    assert admin_client.get("/messages/kinds/nonsense/mail/").status_code == 404


def test_a_token_soon_after_the_login_asks_for_nothing(admin_client: Client) -> None:
    logged_in_ago(admin_client, 14 * 60)
    assert ASKED not in admin_client.get("/support/tokens/").content.decode()
    made = admin_client.post("/support/tokens/create/", {"name": "shop", "scope": ["messages:send"]})
    assert 'value="aat_' in made.content.decode()


def test_a_token_long_after_the_login_needs_the_password_and_then_what_was_asked_for_goes_on(
    late_client: Client,
) -> None:
    assert ASKED in late_client.get("/support/tokens/").content.decode()
    asked = late_client.post("/support/tokens/create/", {"name": "shop", "scope": ["messages:send"]})
    assert asked.status_code == 302
    assert not ApiToken.objects.exists()
    wrong = late_client.post(asked["Location"], {"password": "wrong", "next": "/support/tokens/create/"})
    assert wrong.status_code == 200
    assert not ApiToken.objects.exists()
    done = late_client.post(asked["Location"], {"password": PASSWORD, "next": "/support/tokens/create/"})
    assert 'value="aat_' in done.content.decode()
    assert ApiToken.objects.get().name == "shop"


def test_a_token_is_shown_once_and_works(admin_client: Client) -> None:
    answer = admin_client.post("/support/tokens/create/", {"name": "shop", "scope": ["messages:send"]})
    text = answer.content.decode().split('value="aat_')[1].split('"')[0]
    assert auth.find("aat_" + text) == ApiToken.objects.get(name="shop")
    assert answer["Cache-Control"] == "no-store"
    assert text not in admin_client.get("/support/tokens/").content.decode()
    assert AuditEvent.objects.get(action="token.created").actor_name == "ana@acme.example"


@pytest.mark.parametrize(
    "posted", [{"name": "", "scope": ["messages:send"]}, {"name": "shop"}, {"name": "shop", "scope": ["all"]}]
)
def test_a_token_that_can_not_be_made_is_refused_before_the_password_is_asked_for(
    late_client: Client, posted: dict
) -> None:
    answer = late_client.post("/support/tokens/create/", posted)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert f'name="name" value="{posted["name"]}"' in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_pressing_create_twice_makes_one_token(admin_client: Client) -> None:
    for _ in range(2):
        answer = admin_client.post("/support/tokens/create/", {"name": "shop", "scope": ["messages:send"]})
    assert "already a token named shop" in answer.content.decode()
    assert ApiToken.objects.count() == 1


def test_revoking_ends_a_token_once(admin_client: Client) -> None:
    text = auth.create(name="<b>shop</b>", scopes=["messages:send"], actor=ANA)
    for _ in range(2):
        page = admin_client.post("/support/tokens/revoke/", {"name": "<b>shop</b>"}, follow=True).content.decode()
    assert "<b>shop</b>" not in page
    assert auth.find(text) is None
    assert AuditEvent.objects.filter(action="token.revoked").count() == 1
    gone = admin_client.post("/support/tokens/revoke/", {"name": "nobody"}, follow=True)
    assert "There is no token named nobody." in gone.content.decode()
