"""Secrets at rest: each is encrypted together with the one destination it was entered for.

The key ring is a list of files outside the database, newest key first (MultiFernet). Fernet has no
associated data, so a token moved to another row would still decrypt; the destination therefore stands
inside the token and is compared on every use. A stolen or careless UPDATE, an import or a
rollback can't carry a password to another server.
"""

import base64
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from emailcfg.destinations import Destination, KeyRingUnusable, SecretMisdirected, SecretUndecryptable


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Encrypts with the newest key, decrypts with any. `fingerprint_key` never rotates: it only tells
    whether two secrets are the same, and never leaves the process."""

    fernet: MultiFernet
    fingerprint_key: bytes
    newest: Fernet | None = None

    @classmethod
    def read(cls, key_files: Sequence[Path], fingerprint_file: Path) -> Self:
        """Reads the ring from files of one Fernet key a line, newest file and line first.

        Raises KeyRingUnusable when a file is missing, readable by others, or holds no valid key."""
        keys = [_fernet(path, line) for path in key_files for line in _lines(path)]
        if not keys:
            raise KeyRingUnusable("No encryption key is configured. Restore the key files of this installation.")
        try:
            fingerprint_key = base64.b64decode(_lines(fingerprint_file)[0], validate=True)
        except (IndexError, ValueError):
            raise KeyRingUnusable(f"The key file {fingerprint_file.name} is not valid. Restore it.") from None
        return cls(MultiFernet(keys), fingerprint_key, keys[0])

    def encrypt(self, plaintext: str, destination: Destination) -> str:
        """A token that opens only with this ring and is good only for this destination."""
        body = {"v": 1, "for": asdict(destination), "secret": plaintext}
        return self.fernet.encrypt(json.dumps(body).encode()).decode()

    def decrypt(self, token: str, destination: Destination) -> str:
        """The plaintext of a token.

        Raises SecretUndecryptable or SecretMisdirected."""
        try:
            body = json.loads(self.fernet.decrypt(token.encode()))
            bound_to = Destination(**body["for"])
            plaintext = body["secret"]
        except (InvalidToken, ValueError, KeyError, TypeError):
            raise SecretUndecryptable(
                "This secret can't be decrypted with the keys of this installation. Enter it again, or restore the "
                "key files it was saved with."
            ) from None
        if bound_to != destination or not isinstance(plaintext, str):
            raise SecretMisdirected(
                f"This secret was entered for {bound_to.host} (port {bound_to.port}). Enter it again for the new "
                "destination; a secret is never sent to a server it was not entered for."
            )
        return plaintext

    def rotate(self, token: str) -> str:
        """The same token under the newest key; the destination inside is untouched."""
        try:
            return self.fernet.rotate(token.encode()).decode()
        except InvalidToken:
            raise SecretUndecryptable("A secret can't be decrypted with the keys of this installation.") from None

    def is_newest(self, token: str) -> bool:
        """Whether a token is under the newest key already."""
        try:
            return self.newest is not None and bool(self.newest.decrypt(token.encode()))
        except InvalidToken:
            return False

    def fingerprint(self, plaintext: str, destination: Destination) -> str:
        """A keyed digest by which equal secrets for equal destinations are recognised without the text."""
        body = json.dumps([plaintext, asdict(destination)]).encode()
        return hmac.new(self.fingerprint_key, body, hashlib.sha256).hexdigest()


def _fernet(path: Path, line: str) -> Fernet:
    try:
        return Fernet(line)
    except ValueError:
        raise KeyRingUnusable(f"The key file {path.name} holds a line that is no key. Restore it.") from None


def _lines(path: Path) -> list[str]:
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyRingUnusable(f"The key file {path.name} can be read by other users. Run: chmod 600 {path}")
        return [line for line in path.read_text().splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise KeyRingUnusable(f"The key file {path.name} is not a text file of keys. Restore it.") from None
    except OSError as error:
        raise KeyRingUnusable(f"The key file {path.name} can't be read: {error.strerror}. Restore it.") from None
