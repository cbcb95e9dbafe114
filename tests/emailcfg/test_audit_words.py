"""The plain words for the events of the audit log: every event that the program records has its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from emailcfg import audit_log
from emailcfg.audit_words import WORDS, actions_like, words
from emailcfg.models import Activation

ROOT = Path(__file__).parents[2]
FIRST_WORDS = {word for _, those in audit_log.GROUPS.values() for word in those}


def recorded() -> Iterator[str]:
    """Every name of an event in the source: what audit.record is given, and what looks like a name beside it."""
    for room in ("adminapp", "emailcfg", "outbound"):
        for file in (ROOT / room).rglob("*.py"):
            source = file.read_text()
            if "audit.record(" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                    yield from strings(node.args[0])
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    first, dot, rest = node.value.partition(".")
                    if dot and first in FIRST_WORDS and re.fullmatch("[a-z_]+", rest):
                        yield node.value
    yield from (f"revision.{kind}" for kind in Activation.Kind.values)


def strings(given: ast.expr) -> Iterator[str]:
    if isinstance(given, ast.Constant):
        yield given.value
    elif isinstance(given, ast.IfExp):
        yield from (*strings(given.body), *strings(given.orelse))
    elif isinstance(given, ast.JoinedStr):
        assert ast.unparse(given) == "f'revision.{kind}'", "name what this makes"


def test_every_event_that_is_recorded_is_said_plainly_and_no_other() -> None:
    assert set(recorded()) == set(WORDS)


def test_no_two_events_are_called_alike() -> None:
    assert len(set(WORDS.values())) == len(WORDS)
    assert [said for said in WORDS.values() if "." in said or "_" in said or not said[0].isupper()] == []


def test_every_event_is_in_one_group_of_the_filter() -> None:
    groups = [
        [name for name, (_, those) in audit_log.GROUPS.items() if action.partition(".")[0] in those] for action in WORDS
    ]
    assert [found for found in groups if len(found) != 1] == []


def test_an_event_of_another_version_keeps_its_name() -> None:
    assert words("queue.paused") == "Sending paused"
    assert words("queue.painted") == "queue.painted"


def test_a_text_is_found_in_the_words_whatever_its_case() -> None:
    assert actions_like("SENDING PAUSED") == ["queue.paused"]
    assert actions_like("nothing like it") == []
