"""Fixtures of this room: the key ring in use and a token for the API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from outbound import auth, submit
from tests.outbound.making import ANA, a_config, activate


@pytest.fixture(autouse=True)
def _no_remembered_configuration() -> None:
    """Revision numbers begin anew in each test."""
    submit._general.cache_clear()


@pytest.fixture
def active(db: None) -> None:
    """A configuration is active."""
    activate(a_config())


@pytest.fixture
def call(claimed: object) -> Callable[..., HttpResponse]:
    """Calls the API with a token of these scopes: `call("post", "/messages", {...})`."""
    client = Client()
    token = auth.create(name="tests", scopes=auth.SCOPES, actor=ANA)

    def send(method: str, path: str, body: Any = None, *, token: str | None = token, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if method == "get":
            return client.get(f"/api/v1{path}", query, headers=headers)
        return client.generic(
            method.upper(), f"/api/v1{path}", json.dumps(body), content_type="application/json", headers=headers
        )

    return send
