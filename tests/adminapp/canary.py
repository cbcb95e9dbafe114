"""A planted secret in every form in which it could turn up, and every place where it could."""

import base64
import html
import json
import logging
import quopri
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from django.db import connection
from django.test import Client

from adminapp.log import OneLineFormatter, RedactingFilter
from tests.adminapp import addresses


@dataclass(frozen=True)
class Canary:
    """The secret, and the user name that is sent with it."""

    secret: str
    user: str = ""

    def spoken(self) -> dict[str, str]:
        """The forms in which a server could repeat it."""
        raw = self.secret.encode()
        sasl = f"\0{self.user}\0{self.secret}".encode()
        return {
            "plain": self.secret,
            "base64": base64.b64encode(raw).decode().rstrip("="),
            "url-safe base64": base64.urlsafe_b64encode(raw).decode().rstrip("="),
            "SASL PLAIN": base64.b64encode(sasl).decode().rstrip("="),
            "HTTP basic": base64.b64encode(f"{self.user}:{self.secret}".encode()).decode().rstrip("="),
            "base64 within a text": _inner(raw, 1),
            "base64 within another text": _inner(raw, 2),
            "URL-encoded": quote(self.secret, safe=""),
            "form-encoded": quote_plus(self.secret),
            "quoted-printable": quopri.encodestring(raw, quotetabs=True).decode(),
            "hexadecimal": raw.hex(),
        }

    def forms(self) -> dict[str, str]:
        """Those, and what pages and documents make of it."""
        return {**self.spoken(), "HTML": html.escape(self.secret), "JSON": json.dumps(self.secret)[1:-1]}

    def found_in(self, text: str) -> list[str]:
        """The names of the forms that stand in a text, in whichever case."""
        lowered = text.lower()
        return [name for name, form in self.forms().items() if form.lower() in lowered]

    def said(self) -> str:
        """All spoken forms in one line, and base64 of longer texts around the secret."""
        around = [base64.b64encode(before + self.secret.encode() + b" and more").decode() for before in (b"x", b"xy")]
        return " and ".join([*self.spoken().values(), *around])

    def reply(self, code: str) -> str:
        """An SMTP reply that says each form, one a line."""
        forms = list(self.spoken().values())
        return "\r\n".join(
            f"{code}{'-' if form is not forms[-1] else ' '}5.7.8 you said {form} to me" for form in forms
        )


def _inner(raw: bytes, before: int) -> str:
    """What base64 of any text with `before` bytes (modulo 3) before the secret has in common."""
    coded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
    return coded[before + 1 : len(coded) - 1]


def tables() -> Iterator[tuple[str, str]]:
    """Every table of the database, as the database has it, with all that stands in it as text."""
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(name)}")
            cells = [_text(cell) for row in cursor.fetchall() for cell in row]
            yield name, "\n".join(cells)


def _text(cell: object) -> str:
    return bytes(cell).decode("latin-1") if isinstance(cell, bytes | memoryview) else str(cell)


def database_files() -> Iterator[tuple[str, str]]:
    """The files of an SQLite database, what was deleted and not overwritten yet included."""
    if connection.vendor != "sqlite":
        return
    name = str(connection.settings_dict["NAME"])
    for path in (Path(name), Path(f"{name}-wal")):
        if path.exists():
            yield str(path), path.read_bytes().decode("latin-1")


def answers(client: Client, examples: list[dict[str, str]]) -> Iterator[tuple[str, str, int]]:
    """What every address of the URL conf answers to GET, its headers included, with each set of values in it."""
    before, paths = dict(addresses.EXAMPLES), set()
    try:
        for values in examples:
            addresses.EXAMPLES.update(values)
            paths |= {address.path for address in addresses.addresses()}
    finally:
        addresses.EXAMPLES.clear()
        addresses.EXAMPLES.update(before)
    for path in sorted(paths):
        if not path.startswith("/accounts/logout"):
            answer = client.get(path)
            content = answer.getvalue().decode("utf-8", "replace")
            yield path, f"{answer.headers}\n{content}", answer.status_code


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """All that is logged while a test runs, debugging included, as the program's own handler writes it."""
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "adminapp.log"
    handler = logging.FileHandler(path)
    handler.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RedactingFilter())
    before = {logger: logger.level for logger in (logging.getLogger(name) for name in ("", "django", "django.request"))}
    for logger in before:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield path
    for logger, level in before.items():
        logger.removeHandler(handler)
        logger.setLevel(level)
    handler.close()
