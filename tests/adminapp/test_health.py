"""Liveness and readiness."""

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

pytestmark = pytest.mark.django_db


def test_readiness_names_each_check(claimed: object, client: Client) -> None:
    body = client.get("/readyz").json()
    assert {"database", "setup", "keys"} <= set(body["checks"])
    assert body["checks"]["database"]["ok"] is True
    assert body["checks"]["keys"]["ok"] is True


def test_an_installation_without_an_administrator_is_alive_but_not_ready(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["setup"] == {"ok": False, "detail": "No administrator is registered yet."}


def test_a_missing_key_file_is_named_without_its_folder(
    claimed: object, client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.ENCRYPTION_KEY_FILES = [tmp_path / "ring.keys"]
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "ring.keys" in response.json()["checks"]["keys"]["detail"]
    assert str(tmp_path) not in response.content.decode()
