"""What a delivering process sees to beside its queue, with clocks moved by hand."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from emailcfg import activation
from outbound.engine.settle import Policy
from outbound.engine.upkeep import Upkeep
from outbound.ids import first_id_at
from outbound.models import Lease, Message, MessageBody
from tests.outbound.making import a_config, activate, queued

pytestmark = pytest.mark.django_db


class Clocks:
    """The database's clock and the monotonic one."""

    def __init__(self) -> None:
        self.database = activation.database_time()
        self.monotonic = 1000.0

    def pass_seconds(self, seconds: float) -> None:
        self.database += timedelta(seconds=seconds)
        self.monotonic += seconds

    def upkeep(self, folder: Path) -> Upkeep:
        return Upkeep(folder, Policy(), monotonic=lambda: self.monotonic, database_clock=lambda: self.database)


def claimed(clocks: Clocks, for_s: float) -> Lease:
    """A message in the hands of a process whose lease has so many seconds left."""
    activate(a_config())
    lease = Lease.objects.create(instance="another", until=clocks.database + timedelta(seconds=for_s))
    Message.objects.filter(pk__in=queued(1)).update(state="sending", lease=lease.pk, due_at=None)
    return lease


def test_what_a_lapsed_lease_held_is_in_doubt(tmp_path: Path) -> None:
    clocks = Clocks()
    claimed(clocks, for_s=15)
    upkeep = clocks.upkeep(tmp_path)
    upkeep.tick()
    clocks.pass_seconds(11)
    upkeep.tick()
    assert Message.objects.get().state == "sending"
    clocks.pass_seconds(11)
    upkeep.tick()
    assert Message.objects.get().state == "in_doubt"


def test_when_the_clock_jumps_a_living_process_keeps_what_it_has_in_flight(tmp_path: Path) -> None:
    clocks = Clocks()
    lease = claimed(clocks, for_s=600)
    upkeep = clocks.upkeep(tmp_path)
    upkeep.tick()
    clocks.pass_seconds(11)
    clocks.database += timedelta(hours=1)
    upkeep.tick()
    assert Message.objects.get().state == "sending"
    Lease.objects.filter(pk=lease.pk).update(until=clocks.database + timedelta(seconds=600))  # its next sign of life
    clocks.pass_seconds(11)
    upkeep.tick()
    assert Message.objects.get().state == "sending"
    assert Lease.objects.filter(pk=lease.pk).exists()


def test_when_the_database_was_away_for_longer_than_a_lease_the_others_renew_theirs_first(tmp_path: Path) -> None:
    clocks = Clocks()
    lease = claimed(clocks, for_s=600)
    upkeep = clocks.upkeep(tmp_path)
    upkeep.tick()
    clocks.pass_seconds(700)  # in which no look succeeded
    upkeep.tick()
    assert Message.objects.get().state == "sending"
    Lease.objects.filter(pk=lease.pk).update(until=clocks.database + timedelta(seconds=5))
    clocks.pass_seconds(11)
    upkeep.tick()  # it gave one sign of life, and no more
    assert Message.objects.get().state == "in_doubt"


def test_after_a_jump_a_process_that_gives_no_sign_of_life_is_lost_all_the_same(tmp_path: Path) -> None:
    clocks = Clocks()
    claimed(clocks, for_s=600)
    upkeep = clocks.upkeep(tmp_path)
    upkeep.tick()
    clocks.pass_seconds(11)
    clocks.database += timedelta(hours=1)
    upkeep.tick()
    clocks.pass_seconds(11)
    upkeep.tick()
    assert Message.objects.get().state == "in_doubt"


def test_a_running_process_deletes_what_is_past_its_time(tmp_path: Path) -> None:
    activate(a_config())
    (kept, gone) = queued(2)
    Message.objects.filter(pk=gone).update(state="sent", due_at=None)
    long_ago = first_id_at(timezone.now() - timedelta(days=15))
    with connection.cursor() as cursor:  # an id tells its age
        for table, column in (("messagebody", "message_id"), ("recipient", "message_id"), ("message", "id")):
            cursor.execute(f"UPDATE outbound_{table} SET {column} = %s WHERE {column} = %s", [long_ago, gone])
    Clocks().upkeep(tmp_path).tick()
    assert list(MessageBody.objects.values_list("pk", flat=True)) == [kept]
    assert Message.objects.filter(pk=long_ago).exists()
