"""Saving, activating, confirming, rolling back and deleting from many threads and processes at once."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from emailcfg import activation, confirmation, history, obstacles, revisions
from emailcfg.activation import ActivationError
from emailcfg.models import Activation, ActiveConfig, ConfigRevision, Secret
from emailcfg.revisions import RevisionError
from tests.emailcfg.making import ANA, a_config, a_revision, activated

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*verbs: Callable[[], Any]) -> list[Any]:
    """Runs all of them from threads that start together; refusals of the verbs are results, anything else fails."""
    gate = threading.Barrier(len(verbs))

    def run(verb: Callable[[], Any]) -> Any:
        gate.wait(10)
        try:
            return verb()
        except (ActivationError, RevisionError) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(verbs)) as pool:
        return list(pool.map(run, verbs))


def check_the_books() -> None:
    """Exactly one row says what runs, the log leads to it without a gap, and every revision can be read."""
    active = ActiveConfig.objects.get()
    moves = list(Activation.objects.exclude(kind="confirm").order_by("pk"))
    assert [move.generation for move in moves] == list(range(1, active.generation + 1))
    assert active.revision_id == (moves[-1].revision_id if moves else None)
    assert [move.previous_id for move in moves[1:]] == [move.revision_id for move in moves[:-1]]
    for revision in ConfigRevision.objects.all():
        assert obstacles.problems(revision) == []
    assert Secret.objects.filter(revisions=None).count() == 0


def test_parallel_saves_get_numbers_of_their_own() -> None:
    saved = at_once(*[lambda seconds=seconds: a_revision(smtp__timeout_s=seconds) for seconds in range(1, 11)])  # type: ignore[misc]
    assert len({revision.number for revision in saved}) == 10
    check_the_books()


def test_parallel_repeats_of_one_save_make_one_revision() -> None:
    def save() -> ConfigRevision:
        return revisions.save(config=a_config(), base=None, description="The same one", actor=ANA, request_id="one")

    assert len({revision.number for revision in at_once(*[save] * 8)}) == 1
    assert Secret.objects.count() == 1


def test_of_parallel_activations_from_one_page_one_wins() -> None:
    made = [a_revision(smtp__timeout_s=seconds) for seconds in range(1, 9)]
    results = at_once(
        *[lambda one=one: activation.activate(one.number, expected_generation=0, actor=ANA) for one in made]  # type: ignore[misc]
    )
    kinds = Counter(type(result).__name__ for result in results)
    assert kinds == {"Activated": 1, "GenerationConflict": 7}
    check_the_books()


def test_a_double_click_from_many_hands_activates_once() -> None:
    number = a_revision().number
    results = at_once(
        *[lambda: activation.activate(number, expected_generation=0, actor=ANA, request_id="one")] * 8,
    )
    assert [result.active.generation for result in results] == [1] * 8
    assert sum(result.changed for result in results) == 1


def test_deleting_and_activating_a_draft_have_one_winner() -> None:
    for seconds in range(1, 6):
        number = a_revision(smtp__timeout_s=seconds).number
        generation = activation.current().generation
        deleted, done = at_once(
            lambda number=number: revisions.delete(number, actor=ANA),  # type: ignore[misc]
            lambda number=number, now=generation: activation.activate(number, expected_generation=now, actor=ANA),  # type: ignore[misc]
        )
        assert isinstance(deleted, RevisionError) != isinstance(done, RevisionError)
        check_the_books()


def test_deleting_a_base_while_its_secret_is_kept_loses_nothing() -> None:
    for seconds in range(1, 6):
        base = a_revision(smtp__timeout_s=seconds)
        at_once(
            lambda base=base: revisions.delete(base.number, actor=ANA),  # type: ignore[misc]
            lambda base=base, seconds=seconds: a_revision(base=base, smtp__timeout_s=100 + seconds),  # type: ignore[misc]
        )
        check_the_books()


def test_confirming_and_returning_have_one_winner() -> None:
    activated(a_revision())
    for seconds in range(2, 8):
        generation = activated(a_revision(smtp__timeout_s=seconds), confirm_within_s=600).generation
        confirmed, returned = at_once(
            lambda now=generation: confirmation.confirm(actor=ANA, expected_generation=now),  # type: ignore[misc]
            lambda now=generation: confirmation.return_to_fallback(now, reason="In the same moment."),  # type: ignore[misc]
        )
        assert isinstance(confirmed, ActivationError) == (returned is True)
        assert activation.current().generation == generation + (returned is True)
        check_the_books()


def test_of_many_processes_that_notice_one_returns() -> None:
    activated(a_revision())
    activated(a_revision(smtp__timeout_s=2), confirm_within_s=600)
    results = at_once(*[lambda: confirmation.return_to_fallback(2, reason="Over.")] * 8)
    assert sum(results) == 1
    check_the_books()


def anything(seed: int, steps: int) -> Counter[str]:
    """Does one thing after another, as a hurried administrator would, and counts what came of it."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for step in range(steps):
        try:
            _one_thing(chance, f"{seed}-{step}")
            outcomes["done"] += 1
        except (ActivationError, RevisionError) as refusal:
            outcomes[type(refusal).__name__] += 1
    connection.close()
    return outcomes


def _one_thing(chance: random.Random, request_id: str) -> None:
    active = activation.current()
    rows = history.page(active, size=8).revisions
    number = chance.choice(rows).revision.number if rows else 1
    match chance.randrange(6):
        case 0 | 1:
            a_revision(smtp__timeout_s=chance.randrange(1, 300), base=active.revision)
        case 2:
            wait = chance.choice([None, 60])
            activation.activate(
                number, expected_generation=active.generation, actor=ANA, request_id=request_id, confirm_within_s=wait
            )
        case 3:
            activation.rollback(expected_generation=active.generation, actor=ANA, request_id=request_id)
        case 4:
            confirmation.confirm(actor=ANA, expected_generation=active.generation, request_id=request_id)
        case _:
            revisions.delete(number, actor=ANA)


def test_threads_that_do_anything_leave_the_books_in_order() -> None:
    activated(a_revision())
    with ThreadPoolExecutor(6) as pool:
        outcomes = sum(pool.map(lambda seed: anything(seed, 15), range(6)), Counter())
    assert outcomes.total() == 90
    assert outcomes["done"] > 0
    check_the_books()


# A process of its own, on the database and keys of the test.
_PROCESS = """
import json, os, sys
from pathlib import Path
import django
from django.conf import settings

database, keys, fingerprint, seed = sys.argv[1:]
settings.DATABASES["default"]["NAME"] = database
settings.ENCRYPTION_KEY_FILES, settings.FINGERPRINT_KEY_FILE = [Path(keys)], Path(fingerprint)
django.setup()
from tests.emailcfg.test_races import anything
print(json.dumps(anything(int(seed), 15)))
"""


@pytest.mark.slow
def test_processes_that_do_anything_leave_the_books_in_order(settings: Any) -> None:
    activated(a_revision())
    files = [str(settings.ENCRYPTION_KEY_FILES[0]), str(settings.FINGERPRINT_KEY_FILE)]
    command = [sys.executable, "-c", _PROCESS, str(connection.settings_dict["NAME"]), *files]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    running = [
        subprocess.Popen([*command, str(seed)], env=environment, stdout=subprocess.PIPE, text=True)
        for seed in range(10, 13)
    ]
    outcomes = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert [sum(each.values()) for each in outcomes] == [15, 15, 15]
    check_the_books()
