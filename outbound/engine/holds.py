"""What holds the queue, as this process sees it: the breakers of the generation it runs."""

from collections.abc import Mapping
from datetime import datetime

from emailcfg.providers.base import ErrorClass
from outbound import breaker
from outbound.engine.reports import Report
from outbound.engine.store import Pulse
from outbound.engine.transport import Transport
from outbound.engine.work import QUEUE_WIDE, Outcome, Work
from outbound.models import Breaker


class Holds:
    """`uneasy`: a breaker stands open or has failures to forget, so every claim looks at them."""

    def __init__(self, first_s: float) -> None:
        self.uneasy = False
        self._first_s = first_s
        self._probing = False  # whether what is claimed probes for all mail
        self._probed: set[str] = set()  # senders of whom a message probes

    def may_claim(self, generation: int, pulse: Pulse, now: datetime) -> bool:
        """A first look, which takes no right to probe."""
        if not pulse.uneasy:
            return True
        gate = breaker.gate(generation, now)
        return not gate.shut or gate.probe is not None

    def allowed(self, limit: int, generation: int, pulse: Pulse, now: datetime, *, alone: bool) -> int:
        """How many messages may be claimed, up to `limit`. A held queue gives one, as a probe, when it is time and
        nothing else is in flight (`alone`). Within the claim's transaction."""
        self._probing = False
        if not pulse.uneasy and not self.uneasy:
            return limit
        gate = breaker.gate(generation, now)
        self.uneasy = gate.uneasy
        if not gate.shut:
            return limit
        self._probing = gate.probe is not None and alone and breaker.begin_probe(gate.probe, now, self._first_s)
        return int(self._probing)

    def of_senders(self, works: list[Work], generation: int, now: datetime) -> list[tuple[Breaker, list[Work]]]:
        """Mail of senders that the provider refuses, which has to wait. When it is time one of each may go, as a
        probe."""
        found = []
        for row in Breaker.objects.filter(generation=generation, is_open=True).exclude(sender=""):
            mine = [work for work in works if work.mail_from == row.sender]
            due = row.next_probe_at is None or row.next_probe_at <= now
            if mine and due and breaker.begin_probe(row, now, self._first_s):
                self._probed.add(row.sender)
                mine = mine[1:]
            if mine:
                found.append((row, mine))
        return found

    def judge(
        self, report: Report, transport: Transport, held: Mapping[int, Work], pulse: Pulse, now: datetime
    ) -> None:
        """Opens and closes breakers by what was just recorded. `held` knows the messages' senders."""
        if self.uneasy or pulse.uneasy:
            self._close(report, transport.generation, held, now)
        seen: set[tuple[str, str]] = set()
        for one in report.tripped:
            failure = one.failure
            key = (failure.error_class, one.sender if failure.error_class is ErrorClass.SENDER else "")
            stale = one.stamp.generation != transport.generation
            if stale or (failure.error_class in QUEUE_WIDE and key in seen):
                continue
            seen.add(key)
            self.uneasy = True
            probing = one.sender in self._probed if failure.error_class is ErrorClass.SENDER else self._probing
            self._probed.discard(one.sender)
            breaker.failed(
                transport.generation,
                provider=transport.config.provider or "",
                sender=one.sender,
                failure=failure,
                server=one.stamp.server,
                now=now,
                first_s=self._first_s,
                probing=probing,
            )

    def _close(self, report: Report, generation: int, held: Mapping[int, Work], now: datetime) -> None:
        good = [one for one in report.outcomes if one.counted and one.stamp.generation == generation and _answered(one)]
        if good:
            senders = frozenset(held[one.id].mail_from for one in good if one.id in held)
            breaker.worked(generation, senders=senders, now=now)


def _answered(outcome: Outcome) -> bool:
    """Whether the server judged this message: it is reachable and takes mail from us."""
    if outcome.error_class in (ErrorClass.HOST, ErrorClass.IN_DOUBT):
        return False
    return outcome.state not in ("suppressed", "held")
