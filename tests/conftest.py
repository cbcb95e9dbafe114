"""What every test may use: a claimed installation, its administrator, and a client that is logged in."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from adminapp.accounts import create_administrator
from adminapp.models import Claim

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
