"""The engine as a whole: activations, holds, several processes, limits, and a database that fails for a while."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from emailcfg import activation
from emailcfg.models import ActiveConfig, AuditEvent, ServiceInstance
from emailcfg.schema import EmailConfig
from outbound import instances, queue
from outbound.engine import loop, outcomes, pools, store
from outbound.engine.transport import TransportRefused, load
from outbound.models import Attempt, Breaker, Message, OutcomeCount, Recipient
from outbound.submit import Submission, submit
from tests.outbound.engine.running import running, spawned, until
from tests.outbound.engine.sink import Sink
from tests.outbound.making import ANA, a_config, a_request, activate, activate_unreadable, queued
from tests.servers.scripted import Drop, ScriptedSmtp, Silence

pytestmark = pytest.mark.django_db(transaction=True)
Scripted = Callable[..., ScriptedSmtp]


def _sent(count: int) -> Callable[[], bool]:
    return lambda: Message.objects.filter(state="sent").count() >= count


def test_a_backlog_is_delivered_once_and_counted() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(1500)
        with running():
            until(_sent(1500))
    assert sorted(sink.taken.values()) == [1] * 1500
    assert sum(OutcomeCount.objects.filter(outcome="sent").values_list("count", flat=True)) == 1500
    assert Attempt.objects.count() == 1500
    attempt = Attempt.objects.all()[0]
    assert (attempt.code, attempt.revision, attempt.generation) == (250, activation.current().revision_id, 1)
    assert attempt.provider_id == "4ABC12345"
    assert attempt.server == f"127.0.0.1:{sink.port}"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite tells for nothing that another process changed it")
def test_mail_and_an_activation_of_another_process_are_noticed_between_two_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "POLL_S", 30.0)
    with Sink() as first, Sink() as second, running() as engine:
        activate(a_config(first.port))
        queued(1)
        until(_sent(1), timeout_s=10)
        activate(a_config(second.port))
        until(lambda: engine.transport.generation == 2, timeout_s=10)
        queued(1)
        until(_sent(2), timeout_s=10)
        assert (first.count, second.count) == (1, 1)
        engine.stop()
        engine.wake.set()


def test_a_connection_that_nobody_needs_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_CLOSE_S", 0.2)
    with Sink() as sink:
        activate(a_config(sink.port))
        with running():
            queued(1)
            until(_sent(1))
            until(lambda: sink.left >= sink.connections > 0)


def test_connections_are_kept_open_and_no_more_than_configured() -> None:
    with Sink() as sink:
        activate(a_config(sink.port, max_connections=2))
        with running():
            for _ in range(5):
                expected = sink.count + 20
                queued(20)
                until(_sent(expected))
        assert sink.connections <= 2


def test_a_kept_connection_that_the_server_closed_costs_no_message_a_retry(scripted_smtp: Scripted) -> None:
    server = scripted_smtp({"MAIL": ["250 Ok", Drop(), "250 Ok"]})
    activate(a_config(server.port, max_connections=1))
    with running():
        queued(1)
        until(_sent(1))
        queued(1)
        until(_sent(2))
    assert not Message.objects.exclude(attempts=1).exists()
    assert not Breaker.objects.exists()


def test_a_server_that_does_not_answer_is_no_reason_to_refuse_a_request(
    call: Callable[..., Any], scripted_smtp: Scripted
) -> None:
    server = scripted_smtp({"MAIL": [Silence()]})
    activate(a_config(server.port, max_connections=1))
    body = {"to": ["bob@example.com"], "subject": "Hello", "text": "Good morning."}
    with running():
        first = call("post", "/messages", body)
        until(lambda: any(line.startswith("MAIL") for line in server.commands))
        second = call("post", "/messages", body)
        assert (first.status_code, second.status_code) == (202, 202)
        assert set(Message.objects.values_list("state", flat=True)) <= {"queued", "sending"}


def test_nothing_leaves_before_its_time_and_high_priority_goes_first() -> None:
    with Sink() as sink:
        activate(a_config(sink.port, max_connections=1))
        later = queued(1)[0]
        Message.objects.filter(pk=later).update(due_at=timezone.now() + timedelta(hours=1))
        bulk, normal, high = queued(3)
        for pk, priority in ((bulk, 2), (normal, 1), (high, 0)):
            Message.objects.filter(pk=pk).update(priority=priority)
        with running():
            until(_sent(3))
        by_id = dict(Message.objects.values_list("message_id", "pk"))
        assert [by_id[one] for one in sink.taken] == [high, normal, bulk]
    assert Message.objects.get(pk=later).state == "queued"


def test_an_activation_is_taken_up_within_a_second_and_stamped() -> None:
    with Sink() as first, Sink() as second:
        activate(a_config(first.port))
        with running():
            queued(5)
            until(_sent(5))
            active = activate(a_config(second.port))
            begun = time.monotonic()
            until(lambda: ServiceInstance.objects.filter(state="running", generation=active.generation).exists())
            assert time.monotonic() - begun < 1.0
            queued(5)
            until(_sent(10))
        assert (first.count, second.count) == (5, 5)
    assert sorted(Attempt.objects.values_list("generation", flat=True)) == [1] * 5 + [2] * 5


def test_a_send_in_flight_ends_on_the_old_way_when_another_is_activated() -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hook(phase: str, count: int) -> None:
        if phase == "dot" and count == 1:
            reached.set()
            go_on.wait(10)

    with Sink(hook) as first, Sink() as second:
        activate(a_config(first.port, max_connections=1))
        queued(10)
        with running():
            assert reached.wait(10)
            activate(a_config(second.port))
            until(_sent(8))
            go_on.set()
            until(_sent(10))
        assert first.count + second.count == 10
        assert 1 <= first.count <= 2
    stamps = dict(Attempt.objects.order_by("-generation").values_list("message_id", "generation"))
    assert sorted(stamps.values()) == [1] * first.count + [2] * second.count


def test_a_retry_leaves_by_what_is_active_then(scripted_smtp: Scripted, settings: Any) -> None:
    settings.RETRY_FIRST_S = 0.5
    server = scripted_smtp({"RCPT": "451 4.7.1 Greylisted"})
    with Sink() as second:
        activate(a_config(server.port))
        (waiting,) = queued(1)
        with running():
            until(lambda: Message.objects.get(pk=waiting).state == "deferred")
            activate(a_config(second.port))
            until(_sent(1))
        assert second.count == 1
    assert list(Attempt.objects.order_by("pk").values_list("generation", flat=True)[:1]) == [1]
    assert Attempt.objects.get(code=250).generation == 2


def test_what_another_process_learnt_of_the_server_holds_this_one_too() -> None:
    with Sink() as sink:
        active = activate(a_config(sink.port))
        with running():
            queued(1)
            until(_sent(1))
            later = timezone.now() + timedelta(hours=1)
            Breaker.objects.create(
                generation=active.generation, is_open=True, failures=1, error_class="configuration", next_probe_at=later
            )
            queued(20)
            time.sleep(1)  # of rounds in which it could claim
        assert sink.count == 1
    assert Message.objects.filter(attempts=0, state="queued").count() == 20


def test_twenty_activations_in_a_row_end_at_the_newest() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        with running():
            for n in range(19):
                activate(a_config(sink.port, general={"sender_name": f"Acme {n}"}))
                queued(1)
            until(_sent(19))
            until(lambda: ServiceInstance.objects.get().generation == 20)
        assert sorted(sink.taken.values()) == [1] * 19
    until(lambda: sum(thread.name.startswith("lane-") for thread in threading.enumerate()) == 0)


def test_a_fresh_installation_waits_and_the_first_activation_starts_it() -> None:
    with Sink() as sink, running():
        until(lambda: ServiceInstance.objects.filter(state="running").exists())
        activate(a_config(sink.port))
        queued(1)
        until(_sent(1))


def test_without_a_delivery_service_mail_is_accepted_and_waits() -> None:
    activate(EmailConfig.model_validate({"general": {"sender_email": "no-reply@acme.example"}}))
    queued(1)
    with running():
        until(lambda: bool(ServiceInstance.objects.filter(error__startswith="No delivery service").exists()))
    assert Message.objects.get().state == "queued"


def test_a_secret_that_does_not_open_is_refused_and_the_last_good_configuration_goes_on() -> None:
    with Sink() as sink:
        first = activate(a_config(sink.port))
        with running():
            queued(1)
            until(_sent(1))
            activate_unreadable(sink.port)
            until(lambda: ServiceInstance.objects.get().state == "rejected")
            row = ServiceInstance.objects.get()
            assert row.generation == 1
            assert "can't be decrypted with the keys of this installation" in row.error
            assert row.error.endswith(f"It goes on with r{first.revision_id}.")
            queued(1)
            until(_sent(2))
        assert activation.current().generation == 2
    assert set(Attempt.objects.values_list("generation", "revision")) == {(1, first.revision_id)}


def test_what_another_process_learnt_of_the_last_good_configuration_holds_while_the_active_one_is_refused() -> None:
    with Sink() as sink:
        first = activate(a_config(sink.port))
        with running():
            queued(1)
            until(_sent(1))
            activate_unreadable(sink.port)
            until(lambda: ServiceInstance.objects.get().state == "rejected")
            later = timezone.now() + timedelta(hours=1)
            Breaker.objects.create(
                generation=first.generation, is_open=True, failures=3, error_class="host", next_probe_at=later
            )
            queued(20)
            time.sleep(1)  # of rounds in which it could claim
        assert sink.count == 1
    assert Message.objects.filter(attempts=0, state="queued").count() == 20


def test_a_sending_that_is_paused_stays_so_when_the_configuration_can_not_be_read_either() -> None:
    activate_unreadable(2525)
    active = activation.current()
    with pytest.raises(TransportRefused):
        load(active)
    active.confirm_state = ActiveConfig.Confirm.FAILED
    assert "Sending is paused" in load(active).hold


def test_what_is_claimed_and_not_begun_waits_when_mail_is_switched_off() -> None:
    taken, go_on = threading.Event(), threading.Event()

    def hook(phase: str, count: int) -> None:
        if phase == "dot":
            taken.set()
            go_on.wait(20)

    with Sink(hook, pipelining=False) as sink:
        activate(a_config(sink.port, max_connections=1, timeout_s=60))
        queued(500)  # one claim, of which some hundreds are loaded at a time
        with running() as engine:
            assert taken.wait(10)
            activate(EmailConfig.model_validate({"general": {"sender_email": "no-reply@acme.example"}}))
            until(lambda: engine.transport.hold != "")
            until(lambda: Message.objects.filter(state="queued", attempts=0).count() == 499)
            go_on.set()
            until(_sent(1))
        assert sink.count == 1


def test_suppressed_mail_does_not_leave_and_says_why() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(3)
        activate(a_config(sink.port, general={"suppress_all": True}))  # also what was accepted before
        with running():
            until(lambda: Message.objects.filter(state="suppressed").count() == 3)
        assert sink.count == 0
    assert set(Message.objects.values_list("cause", flat=True)) == {"suppress_all"}
    assert set(Recipient.objects.values_list("state", flat=True)) == {"suppressed"}
    assert Attempt.objects.filter(reason="suppress_all", revision=activation.current().revision_id).count() == 3


def test_diverted_mail_goes_to_one_address_and_names_whom_it_was_for(scripted_smtp: Scripted) -> None:
    server = scripted_smtp()
    activate(a_config(server.port))
    submit([Submission(a_request("bob@example.com", "carol@example.com", subject="Hello"))])
    activate(a_config(server.port, general={"divert_to": "test@acme.example"}))  # also what was accepted before
    with running():
        until(_sent(1))
    assert server.taken[0].recipients == ["test@acme.example"]
    assert b"Subject: [for bob@example.com and 1 more] Hello" in server.taken[0].data
    assert Attempt.objects.get().note == "Diverted to test@acme.example."
    assert set(Recipient.objects.values_list("address", "state")) == {
        ("bob@example.com", "sent"),
        ("carol@example.com", "sent"),
    }


def test_a_pause_holds_through_an_activation_until_it_is_lifted() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queue.pause(actor=ANA, reason="Maintenance")
        queued(2)
        with running():
            active = activate(a_config(sink.port, general={"sender_name": "Other"}))
            until(lambda: ServiceInstance.objects.filter(generation=active.generation).exists())
            assert Message.objects.filter(state="queued").count() == 2
            queue.resume(actor=ANA)
            until(_sent(2))
    assert list(AuditEvent.objects.filter(action__startswith="queue.").values_list("action", flat=True)) == [
        "queue.resumed",
        "queue.paused",
    ]


def test_two_processes_share_one_queue_without_sending_twice() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(3000)
        other = spawned()
        try:
            until(lambda: sink.count > 0)
            with running():
                until(_sent(3000))
        finally:
            other.terminate()
            other.wait(30)
        assert sorted(sink.taken.values()) == [1] * 3000
    assert Message.objects.exclude(state="sent").count() == 0
    assert ServiceInstance.objects.count() == 2


def test_while_the_database_takes_nothing_no_outcome_is_lost_and_nothing_is_sent_twice(monkeypatch: Any) -> None:
    real, failing = outcomes.record, threading.Event()
    failures: list[int] = []

    def record(*args: Any) -> None:
        if args[1] and failing.is_set():
            failures.append(1)
            raise OperationalError("database or disk is full")
        real(*args)

    monkeypatch.setattr(outcomes, "record", record)
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(50)
        failing.set()
        with running():
            until(lambda: sink.count == 50 and len(failures) >= 3)
            assert not Message.objects.filter(state="sent").exists()
            failing.clear()
            until(_sent(50))
        assert sorted(sink.taken.values()) == [1] * 50


@pytest.mark.parametrize("at", ["load", "commit"])
def test_a_database_that_fails_after_a_claim_leaves_no_message_behind(monkeypatch: Any, at: str) -> None:
    failures: list[int] = []
    real_load, real_claim = store.load, store.claim

    def load(works: list[Any]) -> list[Any]:
        if at == "load" and len(failures) < 3:
            failures.append(1)
            raise OperationalError("disk I/O error")
        return real_load(works)

    def claim(*args: Any, **options: Any) -> list[Any]:
        found = real_claim(*args, **options)
        if at == "commit" and found and len(failures) < 3:
            failures.append(1)
            transaction.on_commit(_lost_answer)
        return found

    def _lost_answer() -> None:
        raise OperationalError("the connection was lost while committing")

    monkeypatch.setattr(store, "load", load)
    monkeypatch.setattr(store, "claim", claim)
    with Sink() as sink:
        activate(a_config(sink.port))
        queued(50)
        with running():
            until(_sent(50))
        assert sorted(sink.taken.values()) == [1] * 50
    assert len(failures) == 3
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


def test_the_rate_limit_is_kept_by_two_processes_together() -> None:
    with Sink() as sink:
        activate(a_config(sink.port, rate_limit_per_minute=600))
        queued(1000)
        other = spawned()
        begun = time.monotonic()
        try:
            with running():
                until(_sent(20))
        finally:
            other.terminate()
            other.wait(30)
        allowed = 10 * (time.monotonic() - begun) + 10 + 10
        assert sink.count <= allowed


def test_a_process_that_was_killed_is_shown_as_lost() -> None:
    row = instances.register("outbound")
    instances.beat(row, state="running", generation=1)
    assert instances.state_of(row) == "running"
    row.last_seen = timezone.now() - timedelta(seconds=16)
    assert instances.state_of(row) == "lost"


def test_no_connection_is_opened_when_nothing_is_due() -> None:
    with Sink() as sink:
        activate(a_config(sink.port))
        with running():
            until(lambda: ServiceInstance.objects.filter(state="running", generation=1).exists())
        assert sink.connections == 0
        assert ServiceInstance.objects.get().state == "stopped"
