"""What this process has claimed and not yet recorded. Its limits bound the memory that a backlog needs: content is
loaded shortly before it is sent, a portion at a time."""

from collections.abc import Iterable

from outbound.engine import store
from outbound.engine.work import Work
from outbound.journal import Journal

MAX_HELD = 3 * store.BATCH
LOW_WATER = 500  # so few messages not begun: time to claim more
MAX_HELD_BYTES = store.BATCH_BYTES  # what is held above it is one claim
PORTION = 100  # messages whose content one look into the database brings
PORTION_BYTES = 500_000


class Held:
    """`works` by their ids; `fresh` of them were not given to the lanes yet. The journal forgets what this forgets."""

    def __init__(self, journal: Journal) -> None:
        self.works: dict[int, Work] = {}
        self.fresh: list[Work] = []
        self._journal = journal

    @property
    def suspect(self) -> bool:
        """Whether what is held is a message that has to go alone."""
        return len(self.works) == 1 and next(iter(self.works.values())).suspect

    def room(self) -> int:
        """How many messages may be claimed on top of these."""
        if sum([work.size for work in self.works.values()]) >= MAX_HELD_BYTES:
            return 0
        return MAX_HELD - len(self.works)

    def add(self, claimed: list[Work]) -> None:
        """Once the claim is committed."""
        self.works.update({work.id: work for work in claimed})
        self.fresh += claimed

    def portion(self) -> list[Work]:
        """The next of `fresh`: up to PORTION, of PORTION_BYTES together, or a larger one alone."""
        size = 0
        for count, work in enumerate(self.fresh[:PORTION]):
            size += work.size
            if count and size > PORTION_BYTES:
                return self.fresh[:count]
        return self.fresh[:PORTION]

    def handed_out(self, portion: list[Work]) -> None:
        """These are the lanes' now, or have their outcome."""
        gone = {work.id for work in portion}
        self.fresh = [work for work in self.fresh if work.id not in gone]

    def forget(self, ids: Iterable[int]) -> None:
        """These are recorded, or back in the queue."""
        gone = list(ids)
        for pk in gone:
            self.works.pop(pk, None)
        if self.fresh:
            self.fresh = [work for work in self.fresh if work.id in self.works]
        self._journal.committed(gone)
