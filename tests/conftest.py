"""What every test may use: a claimed installation, its administrator, and a client that is logged in."""

import time
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.backends.base.operations import BaseDatabaseOperations
from django.test import Client

from adminapp.accounts import create_administrator
from adminapp.models import Claim
from emailcfg import insert_only
from emailcfg.reauthentication import STARTED

pytest_plugins = ["tests.servers.fixtures"]

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _no_remembered_rates(request: pytest.FixtureRequest) -> None:
    """Rate limits live in the shared cache; a test starts without what others used up."""
    if "db" in request.fixturenames or "transactional_db" in request.fixturenames:
        cache.clear()


@pytest.fixture
def claimed(db: None) -> Claim:
    """An installation whose first run is over, without any account."""
    return Claim.objects.create(email="ana@acme.example")


@pytest.fixture
def admin_user(claimed: Claim) -> User:
    return create_administrator(email=claimed.email, password=PASSWORD)


@pytest.fixture
def admin_client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def logged_in_ago(client: Client, seconds: int) -> None:
    """Has the client's session begin so many seconds ago."""
    session = client.session
    session[STARTED] = int(time.time()) - seconds
    session.save()


@pytest.fixture
def late_client(admin_client: Client) -> Client:
    """An administrator at work for sixteen minutes: long enough to be asked for the password again."""
    logged_in_ago(admin_client, 16 * 60)
    return admin_client


@pytest.fixture(autouse=True, scope="session")
def _tests_may_empty_tables() -> Iterator[None]:
    """On SQLite a test with transactions is cleaned up by DELETE, which the triggers of insert-only tables refuse."""
    flush = BaseDatabaseOperations.execute_sql_flush

    def lifted(operations: BaseDatabaseOperations, statements: list[str]) -> None:
        insert_only.remove(operations.connection)
        flush(operations, statements)
        insert_only.install(operations.connection, apps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", lifted)
        yield
