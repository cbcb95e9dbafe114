"""The outcome journal: what happened on the wire since the last commit, in a file that outlives the process.

One line is appended when a message enters DATA and one when its reply was read. After SIGKILL the next process
replays the lines before it claims: what was answered is recorded, what stood between its final dot and the reply is in
doubt, and all other claimed messages are free to be sent.

The file is mapped into memory, its blocks allocated beforehand: an append is a copy into the page cache, which
survives the death of the process, needs no system call (threads that wait for a call to return are what limits the
throughput) and can't fail for want of space. A power cut may lose it; the file therefore names the boot it was written
under, and under another boot every claimed message without an outcome is in doubt. Lines need no sync for that:
outcomes are committed to the database a batch at a time, so at most the open batches are concerned. `sync` is for
when the database can't take them.
"""

import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SIZE = 512 * 1024
_HEAD = b"boot "
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Which run of the machine this is; "" where it can't be known."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Journal:
    """The journal of this process; locked while it lives, so that another process can tell a dead one's."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{name}.journal"
        self._lock = threading.Lock()
        self._live: dict[int, bytes] = {}  # the last line of each message not yet committed; leases as negative keys
        self._handle, self._map, self._at, self._size = self._begun()

    def _renew(self) -> None:
        """Goes on in a fresh file that holds only what is still open."""
        old_map, old_handle = self._map, self._handle
        self._handle, self._map, self._at, self._size = self._begun()
        old_map.close()
        os.close(old_handle)

    def _begun(self) -> tuple[int, mmap.mmap, int, int]:
        """A file with what is still open, put in the place of the old one in one step."""
        fresh = self.path.with_suffix(".next")
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lines = _HEAD + boot_id().encode() + b"\n" + b"".join(self._live.values())
            size = _SIZE + 2 * len(lines)
            os.posix_fallocate(handle, 0, size)
            mapped = mmap.mmap(handle, size)
            mapped[: len(lines)] = lines
            os.replace(fresh, self.path)
        except BaseException:  # a full disk: the old file stays, and the next append tries again
            os.close(handle)
            raise
        return handle, mapped, len(lines), size

    def leased(self, lease: int) -> None:
        """This process claims under this lease from now on."""
        self._append(-lease, b"L %d 0\n" % lease)

    def released(self, lease: int) -> None:
        """Nothing is claimed under this lease any more."""
        self.committed((-lease,))

    def entered(self, lease: int, message_id: int) -> None:
        """The next byte may make the server accept this message."""
        self._append(message_id, b"D %d %d\n" % (lease, message_id))

    def settled(self, lease: int, message_id: int, outcome: str) -> None:
        """The outcome of a message is known; `outcome` is one line of JSON."""
        self._append(message_id, f"R {lease} {message_id} {outcome}\n".encode())

    def _append(self, message_id: int, line: bytes) -> None:
        with self._lock:
            self._live[message_id] = line
            end = self._at + len(line)
            if end > self._size:
                self._renew()
                return
            self._map[self._at : end] = line
            self._at = end

    def committed(self, ids: Iterable[int]) -> None:
        """The outcomes of these messages are in the database."""
        with self._lock:
            for message_id in ids:
                self._live.pop(message_id, None)

    def sync(self) -> None:
        """Writes everything to the disk: the database can't take the outcomes right now."""
        with self._lock:
            self._map.flush()

    def close(self) -> None:
        """Removes the file when nothing is open; otherwise the next process replays it."""
        with self._lock:
            if not self._live:
                self.path.unlink(missing_ok=True)
            self._map.close()
            os.close(self._handle)


@dataclass(slots=True)
class Found:
    """What a dead process left: by lease the messages in DATA and the outcomes (as JSON) of messages."""

    same_boot: bool = False
    leases: set[int] = field(default_factory=set)
    entered: set[tuple[int, int]] = field(default_factory=set)
    outcomes: dict[tuple[int, int], str] = field(default_factory=dict)


@contextlib.contextmanager
def abandoned(folder: Path) -> Iterator[list[tuple[Path, Found]]]:
    """The journals of processes that died, held against others while they are replayed. The caller removes each
    file when its content is in the database."""
    held: list[int] = []
    found: list[tuple[Path, Found]] = []
    try:
        for path in sorted(folder.glob("*.journal")):
            handle = _locked(path)
            if handle is not None:
                held.append(handle)
                found.append((path, _read(path.read_bytes())))
        yield found
    finally:
        for handle in held:
            os.close(handle)


def _locked(path: Path) -> int | None:
    """A handle that holds the file, or None while its process lives."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:  # not replaced or removed in between
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _read(content: bytes) -> Found:
    """The lines up to the first that is torn: a line counts when its end was written."""
    lines = content.rstrip(b"\0").split(b"\n")[:-1]
    found = Found()
    if lines and lines[0].startswith(_HEAD):
        boot = lines[0][len(_HEAD) :].decode("ascii", "replace")
        found.same_boot = bool(boot) and boot == boot_id()
    for line in lines[1:]:
        parts = line.split(b" ", 3)
        if len(parts) < 3 or not (parts[1].isdigit() and parts[2].isdigit()):
            continue
        key = (int(parts[1]), int(parts[2]))
        if parts[0] == b"L":
            found.leases.add(key[0])
        elif parts[0] == b"D":
            found.entered.add(key)
            found.outcomes.pop(key, None)
        elif parts[0] == b"R" and len(parts) == 4:
            found.outcomes[key] = parts[3].decode("utf-8", "replace")
    return found
