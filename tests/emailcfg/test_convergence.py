"""Which processes have taken up what is active."""

from datetime import timedelta

import pytest

from emailcfg import activation, confirmation
from emailcfg.convergence import Convergence, Outcome, look
from emailcfg.models import ServiceInstance
from tests.emailcfg.making import a_process, a_revision, activated

pytestmark = pytest.mark.django_db


def seen() -> Convergence:
    return look(activation.current(), activation.database_time())


def test_nothing_active_is_said() -> None:
    a_process("one", "running", None)
    assert seen().outcome is Outcome.NOTHING_ACTIVE


def test_no_process_is_never_done() -> None:
    activated(a_revision())
    assert seen().outcome is Outcome.NO_PROCESS
    assert "start the outbound service" in seen().sentence


def test_a_stopped_or_long_lost_process_is_no_process() -> None:
    activated(a_revision())
    a_process("stopped", "stopped", 1)
    a_process("lost", "running", 1, seen=timedelta(seconds=16))
    assert seen().outcome is Outcome.NO_PROCESS
    assert [process.fate for process in seen().processes] == ["lost: no sign of life"]


@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        ([("running", 1)], Outcome.CONVERGED),
        ([("running", 1), ("running", 1)], Outcome.CONVERGED),
        ([("running", 1), ("running", 0)], Outcome.WAITING),
        ([("starting", None)], Outcome.WAITING),
        ([("running", 1), ("rejected", 0)], Outcome.PARTIAL),
        ([("rejected", 0)], Outcome.REFUSED),
        ([("rejected", 0), ("running", 0)], Outcome.WAITING),
        ([("running", 7)], Outcome.WAITING),
    ],
)
def test_the_outcome_follows_from_the_living(states: list[tuple[str, int | None]], outcome: Outcome) -> None:
    activated(a_revision())
    for number, (state, generation) in enumerate(states):
        a_process(str(number), state, generation)
    assert seen().outcome is outcome


def test_the_sentence_counts() -> None:
    revision = a_revision()
    activated(revision)
    a_process("a", "running", 1)
    a_process("b", "running", 1)
    a_process("c", "rejected", 0, error="The password can't be decrypted.")
    a_process("d", "running", 1, seen=timedelta(minutes=5))
    assert seen().sentence == f"r{revision.number} is active. 2 of 3 processes run it; 1 refused it; 1 lost."


def test_a_refusal_of_what_was_active_before_is_none_of_this() -> None:
    """Else an activation for a while could return before any process looked at it."""
    before, after = a_revision(), a_revision(smtp__timeout_s=20)
    activated(before)
    a_process("a", "rejected", 0, seen=timedelta(seconds=2), error="The password can't be decrypted.")
    activated(after, confirm_within_s=600)
    assert seen().outcome is Outcome.WAITING
    assert not confirmation.tick()
    ServiceInstance.objects.update(last_seen=activation.database_time())
    assert seen().outcome is Outcome.REFUSED
    assert confirmation.tick()
    assert activation.current().revision_id == before.number


def test_a_web_process_that_loads_no_configuration_does_not_count() -> None:
    activated(a_revision())
    a_process("web", "running", None, role="web")
    assert seen().outcome is Outcome.NO_PROCESS
    ServiceInstance.objects.update(generation=1)
    assert seen().outcome is Outcome.CONVERGED
