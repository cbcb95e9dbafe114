"""Ids of messages: 63-bit numbers that grow with time, made before the row is written.

Made here and not by the database, a batch of a thousand messages with their bodies and recipients is written by three
bulk statements, and the time a message was accepted can be read from its id, so that retention and paging need no
index on a date. The low bits are random: two processes don't meet, and where they do the primary key says so.
"""

import secrets
import threading
import time
from datetime import UTC, datetime

_EPOCH_MS = 1_700_000_000_000  # November 2023; leaves room for 278 years
_RANDOM_BITS = 20

_lock = threading.Lock()
_last = 0


def new_ids(count: int) -> range:
    """`count` ids in a row, greater than all this process made before."""
    global _last
    with _lock:
        first = max(_last + 1, _at_ms(time.time_ns() // 1_000_000) | secrets.randbits(_RANDOM_BITS))
        _last = first + count - 1
    return range(first, first + count)


def first_id_at(moment: datetime) -> int:
    """The smallest id that a message accepted at this moment (or later) can have."""
    return _at_ms(int(moment.timestamp() * 1000))


def moment_of(message_id: int) -> datetime:
    """When the message of this id was accepted, to the millisecond (in UTC)."""
    return datetime.fromtimestamp(((message_id >> _RANDOM_BITS) + _EPOCH_MS) / 1000, UTC)


def _at_ms(ms: int) -> int:
    return max(ms - _EPOCH_MS, 0) << _RANDOM_BITS
