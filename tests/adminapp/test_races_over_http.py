"""Programs and an administrator who change the configuration at once, over HTTP: nobody meets a 500."""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from emailcfg import activation
from outbound import auth
from tests.emailcfg.making import ANA, a_revision, activated
from tests.emailcfg.test_races import check_the_books

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAMS, PEOPLE, STEPS = 4, 2, 15


def a_program(seed: int, token: str) -> Counter[int]:
    """Saves, activates, goes back, confirms and deletes through the API; counts the answers."""
    chance, client, answers = random.Random(seed), Client(), Counter[int]()

    def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.generic(
            method, f"/api/v1/config{path}", json.dumps(body or {}), "application/json", headers=headers
        )
        answers[answer.status_code] += 1
        return answer

    for _ in range(STEPS):
        generation = call("GET", "/active").json()["generation"]
        rows = call("GET", "/revisions").json()["revisions"][:6]
        row = chance.choice(rows)
        match chance.randrange(5):
            case 0:
                config = call("GET", f"/revisions/{row['number']}").json().get("config")
                if config is not None:
                    config["smtp"]["timeout_s"] = chance.randrange(1, 300)
                    body = {"config": config, "description": "By a program", "base_revision": row["number"]}
                    call("POST", "/revisions", body)
            case 1:
                wait = chance.choice([None, 60])
                body = {"expected_generation": generation, "confirm_within_s": wait}
                call("POST", f"/revisions/{row['number']}/activate", body)
            case 2:
                call("POST", "/rollback", {"expected_generation": generation})
            case 3:
                call("POST", "/confirm", {"expected_generation": generation})
            case _:
                call("DELETE", f"/revisions/{row['number']}")
    connection.close()
    return answers


def a_person(seed: int, user: User) -> Counter[int]:
    """Does the same on the pages, from whatever they showed last."""
    chance, client, answers = random.Random(seed), Client(), Counter[int]()
    client.force_login(user)
    for _ in range(STEPS):
        active = activation.current()
        number = (active.revision_id or 1) + chance.randrange(-2, 3)
        given = {"expected_generation": active.generation, "reason": "Because", "request_id": f"{chance.random()}"}
        address, body = chance.choice(
            [
                (f"/configuration/revisions/{number}/activate/", {**given, "how": "confirm", "minutes": "5"}),
                (f"/configuration/revisions/{number}/activate/", {**given, "how": "good"}),
                ("/configuration/rollback/", {**given, "number": number}),
                ("/configuration/confirm/", given),
                (f"/configuration/revisions/{number}/delete/", {}),
            ]
        )
        answers[client.post(address, body).status_code] += 1
        for path in ("/configuration/history/", f"/configuration/revisions/{number}/", "/status/"):
            answers[client.get(path).status_code] += 1
    connection.close()
    return answers


def test_whoever_changes_the_configuration_at_once_nobody_meets_a_500(
    admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emailcfg.views.activate.Lookup", lambda settings: None)
    first = a_revision()
    activated(first)
    for seconds in range(1, 6):
        a_revision(base=first, smtp__timeout_s=seconds)
    tokens = [auth.create(name=f"program {n}", scopes=auth.SCOPES, actor=ANA) for n in range(PROGRAMS)]
    with ThreadPoolExecutor(PROGRAMS + PEOPLE) as pool:
        doing = [pool.submit(a_program, seed, token) for seed, token in enumerate(tokens)]
        doing += [pool.submit(a_person, 100 + seed, admin_user) for seed in range(PEOPLE)]
        answers = sum((one.result() for one in doing), Counter[int]())
    assert max(answers) < 500, answers
    assert answers[200] > 50
    check_the_books()
