"""Activation for a while: kept when confirmed, returned otherwise, exactly one of the two."""

from datetime import UTC, datetime, timedelta

import pytest

from emailcfg import activation, confirmation, revisions
from emailcfg.confirmation import Watch
from emailcfg.models import Activation, ActiveConfig, AuditEvent, ConfigRevision
from tests.emailcfg.making import ANA, BEN, a_process, a_revision, activated, tamper

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending() -> activation.Activated:
    """r2 active over r1, for ten minutes."""
    activated(a_revision())
    second = a_revision(smtp__timeout_s=10)
    return activation.activate(second.number, expected_generation=1, actor=ANA, confirm_within_s=600)


def expire() -> None:
    ActiveConfig.objects.update(confirm_deadline=activation.database_time() - timedelta(seconds=1))


def test_an_activation_for_a_while_says_until_when_and_hands_out_one_token(pending: activation.Activated) -> None:
    active = activation.current()
    left = active.confirm_deadline - activation.database_time()  # type: ignore[operator]
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)
    assert active.confirm_state == "pending"
    assert pending.confirm_token not in active.confirm_token_hash
    assert len(pending.confirm_token) >= 32


def test_a_confirmed_activation_stays(pending: activation.Activated) -> None:
    kept = confirmation.confirm(actor=BEN, expected_generation=2)
    assert kept.changed
    assert (kept.active.confirm_state, kept.active.confirm_deadline, kept.active.generation) == ("none", None, 2)
    assert [row.kind for row in Activation.objects.all()] == ["confirm", "activate", "activate"]
    assert not Watch().tick()


def test_confirming_twice_is_a_success_without_effect(pending: activation.Activated) -> None:
    confirmation.confirm(actor=ANA, expected_generation=2, request_id="one")
    assert not confirmation.confirm(actor=ANA, expected_generation=2, request_id="one").changed
    assert not confirmation.confirm(actor=ANA, expected_generation=2).changed
    assert Activation.objects.filter(kind="confirm").count() == 1


def test_a_link_confirms_once(pending: activation.Activated) -> None:
    assert confirmation.confirm(actor=ANA, token=pending.confirm_token).changed
    with pytest.raises(confirmation.ConfirmationOver, match="confirmed already"):
        confirmation.confirm(actor=ANA, token=pending.confirm_token)


def test_a_wrong_link_changes_nothing(pending: activation.Activated) -> None:
    for token in ("", "x", pending.confirm_token[:-1]):
        with pytest.raises(confirmation.TokenRefused):
            confirmation.confirm(actor=ANA, token=token)
    assert activation.current().confirm_state == "pending"


def test_a_link_after_the_deadline_says_that_it_returned(pending: activation.Activated) -> None:
    expire()
    assert Watch().tick()
    with pytest.raises(confirmation.ConfirmationOver, match="already returned to r"):
        confirmation.confirm(actor=ANA, token=pending.confirm_token)


def test_confirming_after_the_deadline_is_too_late_even_before_the_return(pending: activation.Activated) -> None:
    expire()
    with pytest.raises(confirmation.ConfirmationOver):
        confirmation.confirm(actor=ANA, expected_generation=2)
    assert Watch().tick()


def test_confirming_a_stale_generation_is_a_conflict(pending: activation.Activated) -> None:
    with pytest.raises(activation.GenerationConflict):
        confirmation.confirm(actor=ANA, expected_generation=1)


def test_nothing_waits_for_confirmation_by_default() -> None:
    activated(a_revision())
    with pytest.raises(confirmation.ConfirmationOver, match="Nothing waits"):
        confirmation.confirm(actor=ANA, expected_generation=1)


def test_without_confirmation_the_fallback_runs_again(pending: activation.Activated) -> None:
    fallback = activation.current().fallback
    assert not Watch().tick()
    expire()
    assert Watch().tick()
    active = activation.current()
    assert (active.revision, active.generation, active.fallback, active.confirm_state) == (fallback, 3, None, "none")
    log = Activation.objects.first()
    assert log is not None
    assert (log.kind, log.actor_name, log.reason) == ("return", "system", "Nobody confirmed in time.")
    assert not Watch().tick()


def test_a_program_started_after_the_deadline_returns_at_its_first_tick(pending: activation.Activated) -> None:
    expire()
    assert Watch().tick()


def test_a_second_activation_has_to_wait(pending: activation.Activated) -> None:
    third = a_revision(smtp__timeout_s=11)
    with pytest.raises(activation.ConfirmationPending, match="still waits"):
        activation.activate(third.number, expected_generation=2, actor=BEN)


def test_a_rollback_ends_the_wait_and_nothing_returns_later(pending: activation.Activated) -> None:
    first = activation.current().fallback
    back = activation.rollback(expected_generation=2, actor=BEN).active
    assert (back.revision, back.confirm_state, back.confirm_deadline) == (first, "none", None)
    assert not Watch().tick()
    assert Activation.objects.filter(generation=3).count() == 1


def test_an_unconfirmed_revision_never_becomes_the_fallback(pending: activation.Activated) -> None:
    first = activation.current().fallback
    older = a_revision(smtp__timeout_s=12)
    active = activation.rollback(older.number, expected_generation=2, actor=BEN).active
    assert active.fallback == first


def test_a_fallback_that_can_not_run_pauses_sending_instead_of_swapping(pending: activation.Activated) -> None:
    first = ConfigRevision.objects.last()
    assert first is not None
    tamper(first, payload={**first.payload, "general": {}})
    expire()
    assert not Watch().tick()
    active = activation.current()
    assert (active.generation, active.confirm_state) == (2, "failed")
    assert "Sending is paused" in confirmation.sending_paused(active)
    assert AuditEvent.objects.filter(action="revision.rollback_failed").count() == 1
    assert not Watch().tick()
    third = a_revision(smtp__timeout_s=11)
    assert confirmation.sending_paused(activated(third)) == ""


def test_the_first_activation_has_nothing_to_return_to() -> None:
    with pytest.raises(activation.NoFallback, match="for good"):
        activated(a_revision(), confirm_within_s=300)
    assert activation.current().generation == 0


def test_a_broken_running_revision_can_not_be_the_fallback() -> None:
    first = a_revision()
    activated(first)
    tamper(first, payload={**first.payload, "general": {}})
    with pytest.raises(activation.NoFallback, match="can't run any more"):
        activated(a_revision(smtp__timeout_s=10), confirm_within_s=300)


@pytest.mark.parametrize("seconds", [0, -1, 9, 24 * 3600 + 1])
def test_the_time_for_confirming_has_bounds(seconds: int) -> None:
    activated(a_revision())
    with pytest.raises(activation.ActivationError, match="between"):
        activated(a_revision(smtp__timeout_s=10), confirm_within_s=seconds)


@pytest.mark.parametrize(
    ("attempts", "failures", "returns"), [(9, 9, False), (10, 2, False), (10, 3, True), (100, 21, True)]
)
def test_configuration_failures_return_it(
    pending: activation.Activated, attempts: int, failures: int, returns: bool
) -> None:
    assert confirmation.report_attempts(2, attempts=attempts, configuration_failures=failures) is returns
    assert activation.current().generation == (3 if returns else 2)


def test_failures_of_another_generation_or_after_confirmation_return_nothing(pending: activation.Activated) -> None:
    assert not confirmation.report_attempts(1, attempts=50, configuration_failures=50)
    confirmation.confirm(actor=ANA, expected_generation=2)
    assert not confirmation.report_attempts(2, attempts=50, configuration_failures=50)


def test_a_revision_that_every_process_refuses_returns(pending: activation.Activated) -> None:
    a_process("a", "rejected", 1, error="The password can't be decrypted.")
    a_process("b", "rejected", 1)
    a_process("gone", "running", 2, seen=timedelta(minutes=2))
    assert Watch().tick()
    assert "password can't be decrypted" in Activation.objects.first().reason  # type: ignore[union-attr]


def test_a_revision_that_one_process_runs_stays(pending: activation.Activated) -> None:
    a_process("a", "rejected", 1)
    a_process("b", "running", 2)
    assert not Watch().tick()


class Clocks:
    """A database clock and a monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.database = activation.database_time()
        self.monotonic = 1000.0

    def pass_seconds(self, seconds: float) -> None:
        self.database += timedelta(seconds=seconds)
        self.monotonic += seconds

    def watch(self) -> Watch:
        return Watch(lambda: self.monotonic, lambda: self.database)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(seconds=61)])
def test_a_clock_that_jumps_takes_the_deadline_along(pending: activation.Activated, jump: timedelta) -> None:
    deadline = activation.current().confirm_deadline
    clocks = Clocks()
    one, other = clocks.watch(), clocks.watch()
    assert not one.tick()
    assert not other.tick()
    clocks.pass_seconds(1)
    clocks.database += jump
    assert not one.tick()
    assert not other.tick()
    assert activation.current().confirm_deadline == deadline + jump  # type: ignore[operator]
    assert AuditEvent.objects.filter(action="clock.jumped").count() == 1


def test_slow_ticks_are_no_jump(pending: activation.Activated) -> None:
    deadline = activation.current().confirm_deadline
    clocks = Clocks()
    watch = clocks.watch()
    watch.tick()
    clocks.pass_seconds(300)
    watch.tick()
    assert activation.current().confirm_deadline == deadline


def test_deadlines_are_the_databases_time_not_this_programs(pending: activation.Activated) -> None:
    time_machine = pytest.importorskip("time_machine")
    with time_machine.travel(datetime(2040, 1, 1, tzinfo=UTC)):
        assert not Watch().tick()
    assert confirmation.confirm(actor=ANA, expected_generation=2).changed


def test_the_fallback_can_not_be_deleted_while_it_is_needed(pending: activation.Activated) -> None:
    fallback = activation.current().fallback_id
    assert fallback is not None
    with pytest.raises(revisions.RevisionInUse):
        revisions.delete(fallback, actor=BEN)
