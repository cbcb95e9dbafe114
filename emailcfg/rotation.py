"""Re-encrypts every stored secret under the newest key: in batches, repeatable, to be resumed after an interruption."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from emailcfg.destinations import SecretUndecryptable
from emailcfg.encryption import KeyRing
from emailcfg.models import FormDraft, Secret

BATCH = 200


@dataclass(frozen=True, slots=True)
class Rotated:
    """Counts only: what was re-encrypted now, what stood under the newest key already, what no key opens."""

    rotated: int = 0
    current: int = 0
    unreadable: int = 0

    def __add__(self, other: "Rotated") -> "Rotated":
        return Rotated(self.rotated + other.rotated, self.current + other.current, self.unreadable + other.unreadable)


def rotate(ring: KeyRing, *, batch: int = BATCH) -> Rotated:
    """Rotates all secrets and what stands in drafts of the form. Each batch is a transaction of its own."""
    total = Rotated()
    for batch_counts in _secrets(ring, batch):
        total += batch_counts
    return total + _drafts(ring)


def _secrets(ring: KeyRing, batch: int) -> Iterator[Rotated]:
    last = 0
    while True:
        with transaction.atomic():
            rows = list(Secret.objects.select_for_update().filter(pk__gt=last).order_by("pk")[:batch])
            if not rows:
                return
            counts = Rotated()
            for row in rows:
                token, one = _one(ring, row.ciphertext)
                counts += one
                if one.rotated:
                    Secret.objects.filter(pk=row.pk, ciphertext=row.ciphertext).update(ciphertext=token)
        last = rows[-1].pk
        yield counts


def _one(ring: KeyRing, token: str) -> tuple[str, Rotated]:
    if ring.is_newest(token):
        return token, Rotated(current=1)
    try:
        return ring.rotate(token), Rotated(rotated=1)
    except SecretUndecryptable:
        return token, Rotated(unreadable=1)


@transaction.atomic
def _drafts(ring: KeyRing) -> Rotated:
    counts = Rotated()
    for draft in FormDraft.objects.select_for_update():
        changed = dict(draft.secrets)
        for path, item in draft.secrets.items():
            if "token" in item:
                token, one = _one(ring, item["token"])
                counts += one
                changed[path] = {**item, "token": token}
        if changed != draft.secrets:
            FormDraft.objects.filter(pk=draft.pk).update(secrets=changed)
    return counts
