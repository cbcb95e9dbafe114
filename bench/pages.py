"""Measures what pages cost on a full installation: `python -m bench.pages` prints JSON.

ROWS (1,000,000) messages with a recipient and an attempt each, a tenth of them in trouble, and 10,000 revisions. Each
page is asked for through all middleware, as an administrator; the figures are medians in milliseconds."""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import ours

ROWS = int(os.environ.get("ROWS") or 1_000_000)
REVISIONS = 10_000
TIMES = 15
PAGES = {
    "Email settings": "/configuration/email/",
    "History": "/configuration/history/",
    "Status": "/status/",
    "Messages": "/messages/",
    "Messages, failed": "/messages/?state=failed",
    "Messages, by address": "/messages/?q=user77@example.com",
    "Messages, by subject": "/messages/?q=Message%2077",
    "Messages, page in the middle": "/messages/?before={middle}",
    "One message": "/messages/{middle}/",
}
_EACH = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
_MESSAGES = (
    "INSERT INTO outbound_message (id, kind, state, cause, priority, due_at, expires_at, attempts, doubts, crashes, "
    "created_at, changed_at, size, recipient_count, first_recipient, subject, subject_key, message_id) "
    "SELECT {first} + i * 1048576, CASE i % 5 WHEN 0 THEN 'invite' ELSE 'raw' END, "
    "CASE WHEN i % 20 = 1 THEN 'failed' WHEN i % 20 = 2 THEN 'deferred' ELSE 'sent' END, "
    "CASE WHEN i % 20 = 1 THEN 'recipient_refused' WHEN i % 20 = 2 THEN 'greylisted' ELSE '' END, "
    "1, CASE WHEN i % 20 = 2 THEN '2099-01-01 00:00:00' END, '2099-01-05 00:00:00', 1, 0, 0, "
    "'{now}', '{now}', 5400, 1, 'user' || i || '@example.com', 'Message ' || i, 'message ' || i, "
    "'<' || i || '.bench@acme.example>' FROM n"
)
_RECIPIENTS = (
    "INSERT INTO outbound_recipient (message_id, position, address, address_key, state, code, text) "
    "SELECT {first} + i * 1048576, 0, 'user' || i || '@example.com', 'user' || i || '@example.com', "
    "CASE WHEN i % 20 = 1 THEN 'failed' WHEN i % 20 = 2 THEN 'deferred' ELSE 'sent' END, 250, '' FROM n"
)
_ATTEMPTS = (
    "INSERT INTO outbound_attempt (message_id, at, revision, generation, server, tls, code, enhanced, reply, "
    "provider_id, stage, error_class, reason, note, ms) "
    "SELECT {first} + i * 1048576, '{now}', 1, 1, 'smtp.example.com:587', "
    "'TLSv1.3', 250, '2.0.0', '2.0.0 Ok: queued as 4ABC', '4ABC', '', '', '', '', 12.5 FROM n"
)
_REVISIONS = (
    "INSERT INTO emailcfg_configrevision (number, schema_version, payload, content_hash, description, author_name, "
    "created_at, parent) SELECT r.number + i, r.schema_version, r.payload, r.content_hash || i, "
    "'Change number ' || i, 'bench', r.created_at, r.number + i - 1 FROM n, "
    "(SELECT * FROM emailcfg_configrevision ORDER BY number DESC LIMIT 1) r"
)


def _fill() -> int:
    """Writes the rows straight into the tables; returns the id of a message in the middle."""
    from django.db import connection
    from django.utils import timezone

    from outbound.ids import first_id_at

    now = timezone.now()
    first = first_id_at(now) - (ROWS + 1) * 1_048_576
    with connection.cursor() as cursor:
        for sql in (_MESSAGES, _RECIPIENTS, _ATTEMPTS):
            cursor.execute((_EACH.format(count=ROWS) + sql).format(first=first, now=f"{now:%Y-%m-%d %H:%M:%S}"))
        cursor.execute((_EACH + _REVISIONS).format(count=REVISIONS))
    return first + ROWS // 2 * 1_048_576


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    try:
        ours.install(folder)
        ours.activate(2525)
        middle = _fill()
        print(json.dumps(_times(middle)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _times(middle: int) -> dict[str, float]:
    from django.core.management import call_command
    from django.test import Client

    from adminapp.accounts import create_administrator

    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(HTTP_HOST="localhost")
    client.force_login(create_administrator(email="bench@acme.example", password="correct horse battery staple"))
    found = {}
    for name, address in PAGES.items():
        url, times = address.format(middle=middle), []
        for _ in range(TIMES + 1):
            begun = time.perf_counter()
            answer = client.get(url)
            times.append((time.perf_counter() - begun) * 1000)
            if answer.status_code != 200:
                raise SystemExit(f"{url} answered {answer.status_code}.")
        found[name] = statistics.median(times[1:])
    return found


if __name__ == "__main__":
    main()
