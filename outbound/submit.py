"""Accepting requests: validated, composed to final bytes and committed, in one transaction for a whole batch.

What `submit` returned is on disk and survives kill -9 and a power cut. Delivery only copies it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from emailcfg import revisions
from emailcfg.pins import PinRefused
from emailcfg.schema import General
from emailcfg.schema_migrations import NewerSchema
from outbound import bulk, hints
from outbound.compose import Composed, UnusableSender, compose
from outbound.group_commit import GroupCommit
from outbound.ids import new_ids
from outbound.models import ApiToken, Priority
from outbound.requests import BadRequest, Request
from outbound.retry import GIVE_UP_AFTER

MAX_BATCH = 1_000


class NotConfigured(Exception):
    """There is no sender address to compose with: nothing was ever activated, or it can't be read. The message is
    a sentence. The request may be repeated as it is once a configuration is active."""


class DiskNearlyFull(Exception):
    """Less than the reserve is free in DATA_DIR; nothing more is accepted until there is room."""


class KeyReused(Exception):
    """An idempotency key came again with another body. `index` is its place in the batch."""

    def __init__(self, index: int) -> None:
        super().__init__("This idempotency key was used for another request. Use a new key for new content.")
        self.index = index


class BatchRefused(Exception):
    """Requests of a batch can't become mails; nothing of the batch was accepted. `fields` maps each wrong field, after
    the number of its request ("3.to.0.email"; without the number for a single request), to a sentence."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(" ".join(f"{path}: {sentence}" for path, sentence in fields.items()))
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Submission:
    """One request and how it is to be queued. `body_hash` identifies its content where a key is given."""

    request: Request
    not_before: datetime | None = None
    priority: Priority = Priority.NORMAL
    idempotency_key: str = ""
    body_hash: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is on disk: its id in the log and the Message-ID of its header."""

    id: int
    message_id: str


def submit(submissions: Sequence[Submission], *, token: ApiToken | None = None) -> list[Accepted]:
    """Accepts all of a batch, or none of it, and returns the messages in the same order.

    Raises NotConfigured, DiskNearlyFull, BatchRefused, KeyReused."""
    check_disk()
    if _last_seen is not None:  # nearly always it is active still, and nobody has to look
        try:
            return _accept(submissions, token, _last_seen)
        except (_ActiveChanged, IntegrityError, BatchRefused, NotConfigured):
            pass  # which may be due to what was seen last
    for _ in range(3):
        try:
            return _accept(submissions, token, _look())
        except (_ActiveChanged, IntegrityError):  # or the same key, or an id, won elsewhere in this moment
            continue
    return _accept(submissions, token, _look())


_shared = GroupCommit()


def check_disk() -> None:
    """Raises DiskNearlyFull. The reserve is kept for the outcomes of what is already accepted."""
    disk = os.statvfs(settings.DATA_DIR)
    if disk.f_bavail * disk.f_frsize < settings.DISK_RESERVE_MB * 1_000_000:
        raise DiskNearlyFull("The disk of this service is nearly full. Nothing was accepted; repeat the request later.")


class _ActiveChanged(Exception):
    """Another revision became active since the mails were composed. Nothing was accepted."""


_Active = tuple[int, str]  # number and content hash of a revision
_last_seen: _Active | None = None
_ACTIVE = (
    "SELECT r.number, r.content_hash FROM emailcfg_activeconfig a "
    "JOIN emailcfg_configrevision r ON r.number = a.revision_id WHERE a.singleton = 1"
)


def _active(cursor: Any) -> _Active | None:
    bulk.execute(cursor, _ACTIVE)  # every request asks
    row: _Active | None = cursor.fetchone()
    return row


def _look() -> _Active:
    """What is active now. Raises NotConfigured."""
    global _last_seen
    with connection.cursor() as cursor:
        _last_seen = found = _active(cursor)
    if found is None:
        raise NotConfigured("No configuration is active yet, so there is no sender address. Activate one, then repeat.")
    return found


def _general_of(active: _Active) -> General:
    """The sender's settings of a revision. Raises NotConfigured."""
    try:
        return _general(*active)
    except (revisions.RevisionError, NewerSchema, PinRefused) as error:
        raise NotConfigured(str(error)) from error


@lru_cache(maxsize=4)
def _general(number: int, content_hash: str) -> General:
    return revisions.for_use(revisions.get(number)).general


def _accept(submissions: Sequence[Submission], token: ApiToken | None, active: _Active) -> list[Accepted]:
    """Looks up, composes and prepares before the transaction, in which others can't write; only there it is certain
    that this revision is active, else _ActiveChanged is raised. Keys are unique in the database: where the same request
    is accepted twice in this moment, the second one raises IntegrityError."""
    general, known = _general_of(active), _known(submissions, token)
    fresh: list[tuple[int, Submission]] = []
    places: list[Accepted | int] = []  # what was accepted before, or a place among the fresh
    for index, submission in enumerate(submissions):
        key = submission.idempotency_key if token is not None else ""
        earlier = known.get(key) if key else None
        if earlier is None:
            places.append(len(fresh))
            if key:
                known[key] = (submission.body_hash, len(fresh))
            fresh.append((index, submission))
        elif earlier[0] != submission.body_hash:
            raise KeyReused(index)
        else:
            places.append(earlier[1])
    mails = _composed(fresh, general, single=len(submissions) == 1)
    rows = _Rows([submission for _, submission in fresh], mails, token)
    if fresh:
        _shared.run(partial(_insert, rows, active))
        _hint(rows.accepted)
    accepted = rows.accepted
    return [place if isinstance(place, Accepted) else accepted[place] for place in places]


def _insert(rows: "_Rows", active: _Active, cursor: Any) -> None:
    if _active(cursor) != active:
        raise _ActiveChanged
    rows.insert(cursor)


def _known(submissions: Sequence[Submission], token: ApiToken | None) -> dict[str, tuple[str, Accepted | int]]:
    keys = {submission.idempotency_key for submission in submissions if submission.idempotency_key}
    if not keys or token is None:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.key, k.body_hash, m.id, m.message_id FROM outbound_idempotencykey k "  # noqa: S608
            "JOIN outbound_message m ON m.id = k.message_id "
            f"WHERE k.token_id = %s AND k.key IN ({','.join(['%s'] * len(keys))})",
            [token.pk, *keys],
        )
        return {key: (body_hash, Accepted(pk, message_id)) for key, body_hash, pk, message_id in cursor.fetchall()}


def _composed(fresh: Sequence[tuple[int, Submission]], general: General, *, single: bool) -> list[Composed]:
    composed, wrong = [], {}
    for index, submission in fresh:
        try:
            composed.append(compose(submission.request, general))
        except BadRequest as refused:
            prefix = "" if single else f"{index}."
            wrong.update({prefix + path: sentence for path, sentence in refused.fields.items()})
        except UnusableSender as error:
            raise NotConfigured(str(error)) from error
    if wrong:
        raise BatchRefused(wrong)
    return composed


_MESSAGE = (
    "outbound_message (id, kind, state, cause, priority, due_at, expires_at, attempts, doubts, crashes, "
    "created_at, changed_at, size, recipient_count, first_recipient, subject, subject_key, message_id, token_id)"
)
_MESSAGE_ROW = "(%s, %s, 'queued', '', %s, %s, %s, 0, 0, 0, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_BODY = "outbound_messagebody (message_id, mail_from, content, shape, hidden)"
_RECIPIENT = "outbound_recipient (message_id, position, address, address_key, state, code, text)"
_RECIPIENT_ROW = "(%s, %s, %s, %s, 'queued', 0, '')"
_KEY = "outbound_idempotencykey (token_id, key, body_hash, message_id)"
_LARGE = 100_000  # bytes of a mail: such go one by one, for the driver copies what it is given


def enqueue(submission: Submission, mail: Composed) -> Accepted:
    """Writes a composed mail into the queue, in the caller's transaction."""
    rows = _Rows([submission], [mail], None)
    with connection.cursor() as cursor:
        rows.insert(cursor)
    _hint(rows.accepted)
    return rows.accepted[0]


class _Rows:
    """What is written into the queue for mails, each with its submission. They are `accepted` once that is committed.

    Made where nobody waits for it; only `insert` needs the transaction."""

    __slots__ = ("_bodies", "_keys", "_large", "_messages", "_recipients", "accepted")

    def __init__(self, submissions: Sequence[Submission], mails: Sequence[Composed], token: ApiToken | None) -> None:
        stamp = connection.ops.adapt_datetimefield_value
        now, token_id = timezone.now(), token.pk if token is not None else None
        made, end = stamp(now), stamp(now + GIVE_UP_AFTER)
        self._messages: list[tuple[Any, ...]] = []
        self._bodies: list[tuple[Any, ...]] = []
        self._recipients: list[tuple[Any, ...]] = []
        self._keys: list[tuple[Any, ...]] = []
        self._large = any(mail.size > _LARGE for mail in mails)
        self.accepted: list[Accepted] = []
        for pk, submission, mail in zip(new_ids(len(mails)), submissions, mails, strict=True):
            due_at, expires_at, later = made, end, submission.not_before
            if later is not None and later > now:
                due_at, expires_at = stamp(later), stamp(later + GIVE_UP_AFTER)
            subject = shown_subject(mail)
            self._messages.append(
                (
                    *(pk, submission.request.kind, submission.priority, due_at, expires_at, made, made),
                    *(mail.size, len(mail.recipients), mail.recipients[0], subject, subject.casefold()[:60]),
                    *(mail.message_id, token_id),
                )
            )
            hidden = json.dumps(mail.hidden) if mail.hidden else "[]"
            self._bodies.append((pk, mail.mail_from, mail.content, mail.shape, hidden))
            self._recipients += [(pk, n, address, address.casefold()) for n, address in enumerate(mail.recipients)]
            if submission.idempotency_key and token_id is not None:
                self._keys.append((token_id, submission.idempotency_key, submission.body_hash, pk))
            self.accepted.append(Accepted(pk, mail.message_id))

    def insert(self, cursor: Any) -> None:
        bulk.insert(cursor, _MESSAGE, _MESSAGE_ROW, self._messages)
        together = 1 if self._large else bulk.TOGETHER
        bulk.insert(cursor, _BODY, "(%s, %s, %s, %s, %s)", self._bodies, together=together)
        bulk.insert(cursor, _RECIPIENT, _RECIPIENT_ROW, self._recipients)
        bulk.insert(cursor, _KEY, "(%s, %s, %s, %s)", self._keys)


def _hint(accepted: Sequence[Accepted]) -> None:
    """Tells the workers once it is committed, which may be now."""
    if settings.BROKER_URL:  # asked here too: without one nothing is prepared
        transaction.on_commit(partial(hints.offer, [one.id for one in accepted]), robust=True)


def shown_subject(mail: Composed) -> str:
    """The subject for the log: live tokens replaced by their names, cut at 200 characters."""
    subject = mail.subject
    if not mail.hidden:
        return subject[:200]
    for span in sorted((span for span in mail.hidden if span.part == "subject"), reverse=True):
        subject = f"{subject[: span.start]}(hidden: {span.name}){subject[span.end :]}"
    return subject[:200]
