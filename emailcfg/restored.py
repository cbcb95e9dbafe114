"""Notices that an older backup of the database was restored, by what this machine remembers outside of it.

The log of activations only ever grows. When its newest row that was seen here is no longer in the database, the
database is an older one: it gets a new epoch, so that every process loads it anew, and an activation that waited for
its confirmation when the backup was made is left as it is instead of being returned or confirmed by old news.
"""

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from emailcfg import audit
from emailcfg.actor import SYSTEM
from emailcfg.models import Activation, ActiveConfig, AuditEvent

ACTION = "backup.restored"
_SHOWN_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest activation, by its key and its exact time, and all epochs of the database so far."""

    activation: int
    generation: int
    at: str
    epochs: tuple[str, ...]

    @property
    def epoch(self) -> str:
        return self.epochs[-1]


class Memory:
    """What was seen of the database by the processes of this data folder. One object for each process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "last-activation.json"
        self._last: _Seen | None = None

    def check(self) -> bool:
        """Compares, and remembers what is new. Returns whether the database is an older one than at the last check
        (or, at the first one, than in the file). Two short queries when nothing changed. Raises DatabaseError."""
        found = _found()
        if found is None or (self._last is not None and _same(found, self._last)):
            return False
        before, self._last = self._last, found
        known = self._read()
        if known is not None and _is_older(found, known):
            found = self._last = _Seen(found.activation, found.generation, found.at, (*known.epochs, _note(known)))
            self._write(found)
            return True
        epochs = known.epochs if known is not None else ()
        if found.epoch not in epochs:
            self._last = _Seen(found.activation, found.generation, found.at, (*epochs, found.epoch))
            self._write(self._last)
            return known is not None
        if known is None or found.activation > known.activation:
            self._write(_Seen(found.activation, found.generation, found.at, epochs))
        return before is not None and before.epoch != found.epoch

    def _read(self) -> _Seen | None:
        try:
            held = json.loads(self._file.read_text(encoding="utf-8"))
            return _Seen(held["activation"], held["generation"], held["at"], tuple(held["epochs"]) or ("",))
        except (OSError, ValueError, KeyError, TypeError):  # absent or broken: what is found is believed
            return None

    def _write(self, seen: _Seen) -> None:
        """Whole or not at all: several processes write it."""
        handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".last-activation-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(seen), file)
        Path(name).replace(self._file)


def _found() -> _Seen | None:
    newest = Activation.objects.order_by("-pk").values_list("pk", "generation", "at").first()
    epoch = ActiveConfig.objects.filter(singleton=1).values_list("epoch", flat=True).first()
    if newest is None or epoch is None:
        return None  # nothing was ever active: there is nothing to compare
    return _Seen(newest[0], newest[1], newest[2].isoformat(), (epoch,))


def _same(one: _Seen, other: _Seen) -> bool:
    return (one.activation, one.at, one.epoch) == (other.activation, other.at, other.epoch)


def _is_older(found: _Seen, known: _Seen) -> bool:
    if found.epoch != known.epoch:
        # Another machine may have noticed first; then the database says so itself, with an epoch that is new here.
        return found.epoch in known.epochs or not _noted(found.epoch)
    row = Activation.objects.filter(pk=known.activation).values_list("at", flat=True).first()
    return row is None or row.isoformat() != known.at


def _noted(epoch: str) -> bool:
    return AuditEvent.objects.filter(action=ACTION, detail__epoch=epoch).exists()


def _note(known: _Seen) -> str:
    """Gives the database a new epoch and suspends what waits for a confirmation. Returns the epoch; of several
    processes that notice, the first one does it."""
    with transaction.atomic():
        active = ActiveConfig.objects.locked()
        if active.epoch not in known.epochs and _noted(active.epoch):
            return active.epoch
        epoch = secrets.token_hex(8)
        pending = active.confirm_state == ActiveConfig.Confirm.PENDING
        changes = {"confirm_state": ActiveConfig.Confirm.NONE, "confirm_deadline": None, "confirm_token_hash": ""}
        ActiveConfig.objects.filter(singleton=1).update(epoch=epoch, **(changes if pending else {}))
        audit.record(
            ACTION,
            actor=SYSTEM,
            subject=f"r{active.revision_id}" if active.revision_id else "",
            generation=active.generation,
            generation_before=known.generation,
            suspended=pending,
            epoch=epoch,
        )
        return epoch


@dataclass(frozen=True, slots=True)
class Restored:
    """That an older backup runs, in sentences."""

    at: datetime
    sentence: str


def standing(active: ActiveConfig) -> Restored | None:
    """Since an older backup came back, until somebody activates or confirms something; at most for a week."""
    if not active.epoch:
        return None
    event = AuditEvent.objects.filter(
        action=ACTION, detail__epoch=active.epoch, at__gt=timezone.now() - _SHOWN_FOR
    ).first()
    if event is None or Activation.objects.filter(at__gt=event.at).exists():
        return None
    name = f"r{active.revision_id}" if active.revision_id else "no revision"
    text = (
        f"An older backup of the database was restored: generation {event.detail['generation_before']} had run here, "
        f"and generation {event.detail['generation']} with {name} runs now."
    )
    if event.detail["suspended"]:
        text += f" {name} was waiting for its confirmation then; that is suspended, and {name} stays until you decide."
    return Restored(event.at, text)
