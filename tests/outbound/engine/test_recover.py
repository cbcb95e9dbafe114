"""What a dead process left: taken over by one that runs, and doubted where its journal may lack a line."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from outbound import journal
from outbound.engine import upkeep
from outbound.models import Message
from tests.outbound.engine.running import running, spawned, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import a_config, activate, queued

pytestmark = pytest.mark.django_db(transaction=True)


class Gate:
    """A sink's hook that holds every message at its dot while it is `shut`."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, phase: str, count: int) -> None:
        if phase == "dot":
            self.reached.set()
            self.open.wait(30)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.open.set()


def _killed_at_its_dot(gate: Gate) -> None:
    process = spawned()
    assert gate.reached.wait(20)
    until(lambda: Message.objects.filter(state="sending").count() == 10)
    process.kill()
    process.wait(10)


def test_another_process_on_the_machine_takes_over_while_it_runs(
    gate: Gate, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.IN_DOUBT = "hold"
    monkeypatch.setattr(upkeep, "_SWEEP_S", 0.2)
    with Sink(gate) as sink:
        activate(a_config(sink.port, max_connections=1, timeout_s=60))
        queued(10)
        process = spawned()
        assert gate.reached.wait(20)
        until(lambda: Message.objects.filter(state="sending").count() == 10)
        with running():
            until(lambda: len(list((settings.DATA_DIR / "outbound").glob("*.journal"))) == 2)
            assert Message.objects.filter(state="sending").count() == 10  # while it lives they are its own
            process.kill()
            process.wait(10)
            gate.open.set()
            until(lambda: Message.objects.filter(state="sent").count() == 9)
        assert set(sink.taken.values()) == {1}
    assert Message.objects.get(state="in_doubt").cause == "process_lost"


def test_after_a_power_cut_all_that_was_claimed_is_in_doubt(
    gate: Gate, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines that the machine had no time to write are those of the last moment, which nobody knows."""
    settings.IN_DOUBT = "hold"
    with Sink(gate) as sink:
        activate(a_config(sink.port, max_connections=1, timeout_s=60))
        queued(10)
        _killed_at_its_dot(gate)
        gate.open.set()
        monkeypatch.setattr(journal, "boot_id", lambda: "another boot")
        with running():
            until(lambda: Message.objects.filter(state="in_doubt").count() == 10)
        assert sink.count == 1
