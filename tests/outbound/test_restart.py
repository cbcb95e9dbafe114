"""Restarting all processes: who is asked, whose turn it is, and where it stops."""

from datetime import timedelta

import pytest
from django.utils import timezone

from emailcfg.models import AuditEvent, ServiceInstance
from outbound import instances, restart
from outbound.restart import RestartRefused
from tests.outbound.log_making import a_service
from tests.outbound.making import ANA

pytestmark = pytest.mark.django_db


def ended(process: ServiceInstance) -> None:
    process.refresh_from_db()
    instances.beat(process, state="stopped", generation=None)


def turns(*processes: ServiceInstance) -> list[bool]:
    return [restart.my_turn(process) for process in processes]


def seen() -> restart.Restart:
    found = restart.look()
    assert found is not None
    return found


def test_one_after_the_other_and_the_next_only_when_the_new_one_runs() -> None:
    first, second = a_service(None, role="web"), a_service(1)
    assert turns(first, second) == [False, False]
    assert restart.ask(actor=ANA) == 2
    assert turns(first, second) == [True, False]
    assert "0 of 2" in seen().sentence
    ended(first)
    assert turns(second) == [False]
    assert "its successor starts" in seen().sentence
    fresh = a_service(None, role="web", state="starting")
    assert turns(second, fresh) == [False, False]
    instances.beat(fresh, state="running", generation=None)
    assert turns(second, fresh) == [True, False]
    assert "1 of 2" in seen().sentence
    ended(second)
    a_service(1)
    assert (seen().sentence, seen().running) == ("All 2 processes restarted.", False)


def test_a_successor_that_refuses_the_configuration_stops_it_so_that_the_others_go_on() -> None:
    first, second = a_service(1), a_service(1)
    restart.ask(actor=ANA)
    ended(first)
    a_service(None, state="rejected")
    assert turns(second) == [False]
    assert not seen().running
    assert "refused the configuration" in seen().sentence


def test_a_process_that_does_not_come_back_stops_it_and_another_may_be_asked_for() -> None:
    first, second = a_service(1), a_service(1)
    restart.ask(actor=ANA)
    ended(first)
    ServiceInstance.objects.filter(pk=first.pk).update(last_seen=timezone.now() - timedelta(seconds=31))
    assert turns(second) == [False]
    assert not seen().running
    assert "did not come back" in seen().sentence
    assert restart.ask(actor=ANA) == 1
    assert turns(second) == [True]


def test_a_process_that_is_killed_meanwhile_is_not_waited_for() -> None:
    first, second = a_service(1), a_service(1)
    restart.ask(actor=ANA)
    ServiceInstance.objects.filter(pk=first.pk).update(last_seen=timezone.now() - timedelta(seconds=60))
    assert turns(second) == [True]


def test_the_place_is_taken_by_a_process_of_the_same_kind_on_the_same_machine() -> None:
    first, second = a_service(1), a_service(1, host="elsewhere")
    restart.ask(actor=ANA)
    ended(first)
    a_service(1, host="elsewhere")
    a_service(None, role="web")
    assert turns(second) == [False]


def test_it_is_asked_for_once_at_a_time_and_only_of_what_runs() -> None:
    with pytest.raises(RestartRefused, match="No process"):
        restart.ask(actor=ANA)
    a_service(1, state="stopped")
    a_service(1, ago_s=3600)
    with pytest.raises(RestartRefused, match="No process"):
        restart.ask(actor=ANA)
    assert restart.look() is None
    a_service(1)
    restart.ask(actor=ANA)
    with pytest.raises(RestartRefused, match="under way"):
        restart.ask(actor=ANA)
    assert list(AuditEvent.objects.values_list("action", "actor_name", "subject")) == [
        ("services.restart", ANA.name, "1 process")
    ]


def test_it_is_no_news_for_ever() -> None:
    process = a_service(1)
    restart.ask(actor=ANA)
    ended(process)
    ServiceInstance.objects.filter(pk=process.pk).update(last_seen=timezone.now() - timedelta(minutes=11))
    a_service(1)
    assert restart.look() is None
