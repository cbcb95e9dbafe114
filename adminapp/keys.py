"""The key files outside the database: made once, never over existing ones, readable by the owner alone.

A key ring that came into being while secrets exist would make them unreadable for ever, so the encryption and the
fingerprint key are made only while the database holds no ciphertext. SECRET_KEY guards sessions alone and may be
made at any time.
"""

import base64
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class KeyProblem(Exception):
    """A key file that is missing, unreadable or unfit. The message is a sentence that says what to do."""


def secret_keys(path: Path) -> tuple[str, ...]:
    """Django's SECRET_KEY from the first line of its file, which is made on first use, and from further lines the ones
    before it, under which sessions still hold. At least 50 characters each."""
    if not path.exists():
        with locked(path.parent):
            if not path.exists():
                write_private(path, secrets.token_urlsafe(64))
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise KeyProblem(f"SECRET_KEY_FILE {path} can't be read: {problem}.") from None
    found = tuple(line.strip() for line in lines if line.strip())
    shortest = min(map(len, found), default=0)
    if shortest < 50:
        raise KeyProblem(f"SECRET_KEY_FILE {path} holds a key of {shortest} characters; each needs at least 50.")
    return found


def make_encryption_keys(*, ring: tuple[Path, ...], fingerprint: Path, ciphertext_exists: bool) -> bool:
    """Makes the newest key of the ring and the fingerprint key where they are missing; True when any was made.

    Raises KeyProblem when one is missing although the database holds secrets."""
    newest = ring[0]
    if newest.exists() and fingerprint.exists():
        return False
    if ciphertext_exists:
        missing = newest if not newest.exists() else fingerprint
        raise KeyProblem(
            f"{missing} is missing, but the database holds secrets encrypted with it. Put the file back from your "
            "backup; a new key can't read them."
        )
    with locked(newest.parent):
        if not newest.exists():
            from cryptography.fernet import Fernet  # here: once in the life of an installation

            write_private(newest, Fernet.generate_key().decode("ascii"))
    with locked(fingerprint.parent):
        if not fingerprint.exists():
            write_private(fingerprint, base64.b64encode(secrets.token_bytes(32)).decode("ascii"))
    return True


def write_private(path: Path, text: str) -> None:
    """Writes a new file of mode 0600, of which nobody ever sees a part; the caller holds the folder's lock. Raises
    FileExistsError rather than touch an existing one."""
    if path.exists():
        raise FileExistsError(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # made with mode 0600
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock file, so that of several starting processes one makes a file and the others find it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
