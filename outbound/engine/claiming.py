"""How many messages may be claimed now: what holds the queue, and the limit of messages per minute, decide."""

from datetime import datetime

from outbound.engine import rate, store
from outbound.engine.holds import Holds
from outbound.engine.store import Pulse
from outbound.engine.transport import Transport
from outbound.engine.work import Work


def claim(
    lease: int, transport: Transport, holds: Holds, limit: int, pulse: Pulse, now: datetime, *, alone: bool
) -> list[Work]:
    """Claims up to `limit` due messages, within the transaction in which the pulse was read again. `alone`: nothing
    else is in flight, as a probe and a suspect need it."""
    limit = holds.allowed(limit, transport.generation, pulse, now, alone=alone)
    if limit == 0:
        return []
    per_minute = None if transport.suppresses else transport.per_minute
    if per_minute is None:
        return store.claim(lease, limit=limit, now=now, suspects=alone)
    provider = transport.config.provider or ""
    limit = rate.take(provider, per_minute=per_minute, wanted=limit, now=now)
    found = store.claim(lease, limit=limit, now=now, suspects=alone) if limit else []
    rate.give_back(provider, limit - len(found))
    return found
