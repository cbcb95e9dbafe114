"""An older backup comes back: it is noticed, everything loads anew, and nothing that waited is decided by old news."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from emailcfg import activation, confirmation, insert_only, restored
from emailcfg.models import Activation, ActiveConfig, AuditEvent
from emailcfg.restored import Memory
from tests.emailcfg.making import ANA, a_revision, activated

pytestmark = pytest.mark.django_db


class Backup:
    """What the tables that decide held at one moment, and how to bring it back."""

    def __init__(self) -> None:
        self.active = ActiveConfig.objects.values().get()
        self.newest = Activation.objects.values_list("pk", flat=True).first()
        self.events = AuditEvent.objects.values_list("pk", flat=True).first() or 0

    def restore(self) -> None:
        insert_only.remove(connection)
        ActiveConfig.objects.filter(singleton=1).update(**self.active)
        Activation.objects.filter(pk__gt=self.newest).delete()
        AuditEvent.objects.filter(pk__gt=self.events).delete()
        insert_only.install(connection, apps)


def test_activations_forward_are_no_restored_backup(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert not memory.check()
    for seconds in range(1, 4):
        activated(a_revision(smtp__timeout_s=seconds))
        assert not memory.check()
        assert not Memory(tmp_path).check()
    assert restored.standing(activation.current()) is None
    assert activation.current().epoch == ""


@pytest.mark.parametrize("at_start", [True, False], ids=["at the start", "while running"])
def test_an_older_backup_gets_a_new_epoch_and_is_told(tmp_path: Path, at_start: bool) -> None:
    memory = Memory(tmp_path)
    activated(a_revision())
    backup = Backup()
    for seconds in range(1, 4):
        activated(a_revision(smtp__timeout_s=seconds))
    memory.check()
    backup.restore()

    assert (Memory(tmp_path) if at_start else memory).check()
    active = activation.current()
    assert (active.generation, active.epoch != "") == (1, True)
    assert not memory.check() or at_start  # a process that still runs has to hear of it as well, once
    assert not memory.check()
    assert not Memory(tmp_path).check()
    told = restored.standing(active)
    assert told is not None
    assert "generation 4 had run here" in told.sentence
    assert "generation 1" in told.sentence
    event = AuditEvent.objects.get(action="backup.restored")
    assert (event.actor_name, event.detail["generation_before"], event.detail["generation"]) == ("system", 4, 1)

    activated(a_revision(smtp__timeout_s=9))
    assert restored.standing(activation.current()) is None


def test_a_backup_that_went_on_by_itself_is_noticed_although_its_numbers_are_the_same(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    activated(a_revision())
    backup = Backup()
    activated(a_revision(smtp__timeout_s=2))
    memory.check()
    backup.restore()
    activated(a_revision(smtp__timeout_s=3))  # before any process looked
    assert activation.current().generation == 2
    assert Memory(tmp_path).check()


def test_what_waited_for_its_confirmation_in_the_backup_is_neither_returned_nor_confirmed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    activated(a_revision())
    waiting = activated(a_revision(smtp__timeout_s=2), confirm_within_s=600)
    ActiveConfig.objects.update(confirm_deadline=timezone.now() - timedelta(hours=1))  # long over by now
    backup = Backup()
    assert confirmation.return_to_fallback(waiting.generation, reason="Nobody confirmed in time.")
    memory.check()
    backup.restore()

    assert memory.check()
    assert not confirmation.Watch().tick()
    active = activation.current()
    assert active.revision_id == waiting.revision_id
    assert active.confirm_state == ActiveConfig.Confirm.NONE
    assert active.fallback_id == waiting.fallback_id
    told = restored.standing(active)
    assert told is not None
    assert "stays until you decide" in told.sentence
    assert activation.rollback(expected_generation=active.generation, actor=ANA).changed


def test_a_second_restore_of_the_same_backup_is_noticed_too(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    activated(a_revision())
    backup = Backup()
    activated(a_revision(smtp__timeout_s=2))
    memory.check()
    epochs = {""}
    for _ in range(2):
        backup.restore()
        assert memory.check()
        epochs.add(activation.current().epoch)
    assert len(epochs) == 3


def test_another_machine_that_noticed_first_is_believed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    one, other = Memory(here), Memory(there)
    activated(a_revision())
    backup = Backup()
    activated(a_revision(smtp__timeout_s=2))
    one.check()
    other.check()
    backup.restore()
    assert one.check()
    epoch = activation.current().epoch
    pending = activated(a_revision(smtp__timeout_s=3), confirm_within_s=600)
    assert other.check()  # so that it loads anew
    active = activation.current()
    assert (active.epoch, active.generation, active.confirm_state) == (epoch, pending.generation, "pending")
    assert AuditEvent.objects.filter(action="backup.restored").count() == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"activation": 1}'])
def test_a_broken_memory_stops_nothing(tmp_path: Path, content: str) -> None:
    activated(a_revision())
    (tmp_path / "last-activation.json").write_text(content)
    assert not Memory(tmp_path).check()
    assert json.loads((tmp_path / "last-activation.json").read_text())["generation"] == 1
