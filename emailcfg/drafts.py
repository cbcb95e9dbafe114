"""The form as one administrator left it: typed values kept on the server until they are saved or discarded.

A draft survives reloads, a second tab and a lapsed session. Secrets in it are encrypted, belong to the
session that typed them, and are bound to the destination as far as it had been typed by then.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from pydantic import SecretStr

from emailcfg import activation, revisions, secrets
from emailcfg.destinations import Destination, SecretUnavailable
from emailcfg.editing import Editing, Pending, destination, fits, understand
from emailcfg.models import ConfigRevision, FormDraft
from emailcfg.schema import SECRET_PATHS, EmailConfig
from emailcfg.schema_migrations import NewerSchema
from emailcfg.typed import PATHS, Values, one_service, tidy, values_of

MASK = "••••••••"


class DraftConflict(Exception):
    """The draft changed in another tab, or another revision became its base, after this page was loaded."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What one request says about the form. `values` holds only the fields that were sent; `secrets` the
    secrets typed, `removed` those to remove, `stamp` the state the page was made from (None: whatever)."""

    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    stamp: str | None = None


def load(user: AbstractBaseUser, session_key: str) -> Editing:
    """The user's draft, or, when there is none, the active revision (else the newest) as it is."""
    draft = FormDraft.objects.select_related("base").filter(user=user.pk).first()
    if draft is None:
        return _untouched(_default_base())
    return _editing(draft, session_key)


def _default_base() -> ConfigRevision | None:
    return activation.current().revision or ConfigRevision.objects.first()


def _untouched(base: ConfigRevision | None) -> Editing:
    if base is None:
        return Editing(None, EmailConfig(), values_of(EmailConfig()))
    try:
        loaded = revisions.read(base)
    except (revisions.RevisionUnreadable, NewerSchema) as error:
        return Editing(base, EmailConfig(), values_of(EmailConfig()), problem=str(error))
    return Editing(base, loaded.config, values_of(loaded.config), migrated=loaded.migrated)


def _editing(draft: FormDraft, session_key: str) -> Editing:
    clean = _untouched(draft.base)
    removed = frozenset(path for path, item in draft.secrets.items() if item.get("removed"))
    tokens = {path: item for path, item in draft.secrets.items() if "token" in item}
    pending: dict[str, Pending] = {}
    if tokens and draft.session_key == session_key:
        for path, item in tokens.items():
            bound_to = Destination(**item["for"])
            with contextlib.suppress(SecretUnavailable):  # then it counts as lost, and is asked for again
                pending[path] = Pending(SecretStr(secrets.key_ring().decrypt(item["token"], bound_to)), bound_to)
    return replace(
        clean,
        values={**clean.values, **{path: text for path, text in draft.values.items() if path in PATHS}},
        pending=pending,
        removed=removed,
        repairs=draft.repairs,
        lost=frozenset(path for path, item in draft.secrets.items() if not item.get("removed")) - frozenset(pending),
        version=draft.version,
        started_at=draft.started_at,
    )


@transaction.atomic
def store(user: AbstractBaseUser, session_key: str, typed: Typed) -> Editing:
    """Takes what was typed into the draft and returns the new state.

    A draft in which nothing differs any more is deleted. Raises DraftConflict when the draft moved on
    since the page was made."""
    row = FormDraft.objects.select_for_update().filter(user=user.pk).first()
    before = _editing(row, session_key) if row is not None else _untouched(_default_base())
    if typed.stamp is not None and typed.stamp != before.stamp:
        raise DraftConflict
    tidied = tidy({**before.values, **{path: text for path, text in typed.values.items() if path in PATHS}})
    values = one_service(tidied.values, before.values)
    after = replace(
        before,
        values=values,
        pending=_pending(before, values, typed),
        removed=(before.removed - frozenset(typed.secrets)) | typed.removed,
        repairs={
            **{path: repair for path, repair in before.repairs.items() if values[path] == repair[0]},
            **{path: [values[path], sentence] for path, sentence in tidied.notes.items()},
        },
        lost=before.lost - frozenset(typed.secrets) - typed.removed,
    )
    return _write(user, session_key, after, unchanged_version=before.version)


def _pending(before: Editing, values: Values, typed: Typed) -> dict[str, Pending]:
    """Typed secrets replace earlier ones; an earlier one stays while it still fits its destination."""
    pending = {path: held for path, held in before.pending.items() if path not in typed.removed}
    for path, held in list(pending.items()):
        now = destination(values, path)
        if fits(held.bound_to, now):
            pending[path] = Pending(held.text, now)
    for path, text in typed.secrets.items():
        if text and text != MASK and path in SECRET_PATHS:
            pending[path] = Pending(SecretStr(text), destination(values, path))
    return pending


def _write(user: AbstractBaseUser, session_key: str, editing: Editing, *, unchanged_version: int) -> Editing:
    changed = understand(editing).changed
    if not changed and editing.base == _default_base():
        FormDraft.objects.filter(user=user.pk).delete()
        return replace(editing, version=0, started_at=None)
    stored: dict[str, Any] = {path: {"lost": True} for path in editing.lost}
    stored.update({path: {"removed": True} for path in editing.removed})
    for path, held in editing.pending.items():
        token = secrets.key_ring().encrypt(held.text.get_secret_value(), held.bound_to)
        stored[path] = {"token": token, "for": asdict(held.bound_to)}
    draft, _ = FormDraft.objects.update_or_create(
        user_id=user.pk,
        defaults={
            "base": editing.base,
            "values": editing.values,
            "secrets": stored,
            "session_key": session_key,
            "changed": list(changed),
            "repairs": dict(editing.repairs),
            "version": unchanged_version + 1,
        },
    )
    return replace(editing, version=draft.version, started_at=draft.started_at)


@transaction.atomic
def undo(user: AbstractBaseUser, session_key: str, path: str) -> Editing:
    """Puts one field (or secret) back to what the base revision has; an unknown path changes nothing."""
    editing = load(user, session_key)
    values = dict(editing.values)
    original = values_of(editing.base_config)
    undone = ("smtp.enabled", "sendgrid.enabled") if path.endswith(".enabled") else (path,)
    for each in undone:
        if each in original:
            values[each] = original[each]
    after = replace(
        editing,
        values=values,
        pending={each: held for each, held in editing.pending.items() if each != path},
        removed=editing.removed - {path},
        lost=editing.lost - {path},
        repairs={each: repair for each, repair in editing.repairs.items() if each not in undone},
    )
    return _write(user, session_key, after, unchanged_version=editing.version)


def discard(user: AbstractBaseUser) -> None:
    """Forgets everything the user typed and did not save."""
    FormDraft.objects.filter(user=user.pk).delete()


def unsaved_changes(user: AbstractBaseUser) -> int:
    """How many fields of the user's form differ from what they started from."""
    changed = FormDraft.objects.filter(user=user.pk).values_list("changed", flat=True).first()
    return len(changed or [])


@transaction.atomic
def load_revision(user: AbstractBaseUser, session_key: str, number: int) -> tuple[Editing, tuple[str, ...]]:
    """Puts the values of a revision into the form; an earlier draft is replaced, so ask first. Returns the state
    and what bringing an older schema up changed.

    The revision becomes the base: secrets of it are kept as they are. Raises RevisionGone,
    RevisionUnreadable, NewerSchema."""
    loaded = revisions.read(revisions.get(number))
    version = (_version(user) or 0) + 1
    discard(user)
    draft = FormDraft.objects.create(
        user_id=user.pk,
        base=loaded.revision,
        values=values_of(loaded.config),
        session_key=session_key,
        version=version,
    )
    return _editing(draft, session_key), loaded.migrated


def _version(user: AbstractBaseUser) -> int | None:
    return FormDraft.objects.filter(user=user.pk).values_list("version", flat=True).first()
