"""Saving, reading and deleting revisions. Saving never activates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from pydantic import ValidationError

from emailcfg import audit, pins, secrets
from emailcfg.actor import Actor
from emailcfg.models import ActiveConfig, ConfigRevision, Secret
from emailcfg.schema import SCHEMA_VERSION, SECRET_PATHS, EmailConfig, StoredSecret, field_errors
from emailcfg.schema_migrations import UnknownSchema, upgraded

if TYPE_CHECKING:
    from emailcfg.encryption import KeyRing


class RevisionError(Exception):
    """A verb on revisions was refused. The message is a sentence; `code` is stable, for programs."""

    code = "revision_error"


class DescriptionRefused(RevisionError):
    """The description is not 5 to 200 characters."""

    code = "description_refused"


class NothingChanged(RevisionError):
    """The values equal those of the revision they started from."""

    code = "nothing_changed"


class RequestIdReused(RevisionError):
    """The same request id came with other content."""

    code = "request_id_reused"


class RevisionGone(RevisionError):
    """There is no revision of this number (any more)."""

    code = "revision_gone"


class RevisionUnreadable(RevisionError):
    """The stored payload was altered or is no configuration this program can read."""

    code = "revision_unreadable"


class RevisionInUse(RevisionError):
    """Only a revision that was never active can be deleted."""

    code = "revision_in_use"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A revision read for use: the configuration in today's schema, and what bringing it there changed."""

    revision: ConfigRevision
    config: EmailConfig
    migrated: tuple[str, ...] = ()


def save(
    *,
    config: EmailConfig,
    base: ConfigRevision | None,
    description: str,
    actor: Actor,
    request_id: str | None = None,
) -> ConfigRevision:
    """Stores a new immutable revision in one transaction and returns it.

    The same `request_id` with the same content returns the revision it made before (a double click, a
    repeated request). Raises DescriptionRefused, NothingChanged, RequestIdReused, RevisionGone (of the base)."""
    description = checked_description(description)
    ring = secrets.key_ring()
    digest = secrets.hash_of(config, ring)
    try:
        with transaction.atomic():
            ActiveConfig.objects.locked()  # against a deletion of the base, whose secrets may be kept
            repeated = _repeated(request_id, digest)
            return repeated or _insert(config, base, description, actor, request_id, ring)
    except IntegrityError:  # another request with this id won the race
        repeated = _repeated(request_id, digest)
        if repeated is None:
            raise
        return repeated


def _repeated(request_id: str | None, digest: str) -> ConfigRevision | None:
    if not request_id:
        return None
    earlier = ConfigRevision.objects.filter(request_id=request_id).first()
    if earlier is not None and earlier.content_hash != digest:
        raise RequestIdReused("This request id was used for another configuration. Use a new one.")
    return earlier


def _insert(
    config: EmailConfig,
    base: ConfigRevision | None,
    description: str,
    actor: Actor,
    request_id: str | None,
    ring: "KeyRing",
) -> ConfigRevision:
    known = read(get(base.number)).config if base is not None else None
    sealed = secrets.seal(config, base=known, ring=ring, created_by=actor.name)
    payload = sealed.model_dump(mode="json")
    digest = secrets.content_hash(payload)
    ids = _stored_ids(sealed)
    # Equal content in other rows repairs secrets that could not be decrypted any more, so it is a change.
    if base is not None and known is not None and base.content_hash == digest and _stored_ids(known) == ids:
        raise NothingChanged(f"Nothing differs from r{base.number}, so no new revision was made.")
    revision = ConfigRevision.objects.create(
        schema_version=SCHEMA_VERSION,
        payload=payload,
        content_hash=digest,
        description=description,
        author_id=actor.user.pk if actor.user is not None else None,
        author_name=actor.name,
        parent=base.number if base is not None else None,
        request_id=request_id or None,
    )
    revision.secrets.set(ids)
    audit.record("revision.saved", actor=actor, subject=f"r{revision.number}", description=description)
    return revision


def _stored_ids(config: EmailConfig) -> list[int]:
    values = (secrets.get(config, path) for path in SECRET_PATHS)
    return [value.secret for value in values if isinstance(value, StoredSecret)]


def checked_description(description: str) -> str:
    """The description without surrounding white space. Raises DescriptionRefused."""
    description = description.strip()
    if not 5 <= len(description) <= 200:
        raise DescriptionRefused(
            f"Describe the change in 5 to 200 characters; this has {len(description)}. "
            "Whoever looks for it next year will be glad."
        )
    if any(ord(character) < 32 for character in description):
        raise DescriptionRefused("Write the description on one line.")
    return description


def get(number: int) -> ConfigRevision:
    """The revision of this number. Raises RevisionGone."""
    revision = ConfigRevision.objects.filter(number=number).first() if 0 < number < 2**63 else None
    if revision is None:
        raise RevisionGone(f"There is no revision r{number}. It may have been deleted as a draft.")
    return revision


def read(revision: ConfigRevision) -> Loaded:
    """The configuration of a revision, secrets still sealed, brought to today's schema in memory.

    The stored bytes stay as they are. Raises RevisionUnreadable when they were altered or can't be read."""
    if secrets.content_hash(revision.payload) != revision.content_hash:
        raise RevisionUnreadable(
            f"The stored content of r{revision.number} was altered outside this program and is not used. "
            "Restore it from a backup, or activate another revision."
        )
    try:
        payload, steps = upgraded(revision.payload)
        config = EmailConfig.model_validate(payload)
    except UnknownSchema as error:
        raise RevisionUnreadable(f"r{revision.number} can't be read: {error}") from None
    except ValidationError as error:
        fields = ", ".join(field_errors(error)) or "unknown"
        raise RevisionUnreadable(f"r{revision.number} does not fit the configuration schema in: {fields}.") from None
    return Loaded(revision, config, steps)


def for_use(revision: ConfigRevision) -> EmailConfig:
    """The configuration of a revision as it runs on this installation: with what the operator pinned, secrets still
    sealed. Raises RevisionUnreadable, NewerSchema, pins.PinRefused."""
    return pins.applied(read(revision).config)


def derive(revision: ConfigRevision, *, request_id: str, actor: Actor) -> ConfigRevision:
    """A new revision with the content of an older one in today's schema, for its activation; made once for each
    `request_id`. The older one stays as it is. To be called inside a transaction that holds the lock.

    Raises RevisionUnreadable, NewerSchema."""
    earlier = ConfigRevision.objects.filter(request_id=request_id).first()
    if earlier is not None:
        return earlier
    config = read(revision).config
    payload = config.model_dump(mode="json")
    derived = ConfigRevision.objects.create(
        schema_version=SCHEMA_VERSION,
        payload=payload,
        content_hash=secrets.content_hash(payload),
        description=f"r{revision.number} in schema {SCHEMA_VERSION}: {revision.description}"[:200],
        author_id=actor.user.pk if actor.user is not None else None,
        author_name=actor.name,
        parent=revision.number,
        request_id=request_id,
    )
    derived.secrets.set(_stored_ids(config))
    audit.record("revision.migrated", actor=actor, subject=f"r{derived.number}", parent=f"r{revision.number}")
    return derived


@transaction.atomic
def delete(number: int, *, actor: Actor) -> None:
    """Deletes a draft and the secrets only it had. Raises RevisionGone or RevisionInUse."""
    ActiveConfig.objects.locked()  # against an activation of it right now
    revision = get(number)
    if revision.activations.exists():
        raise RevisionInUse(f"r{number} was active and stays in the history. Only drafts can be deleted.")
    orphans = [secret.pk for secret in revision.secrets.all() if secret.revisions.count() == 1]
    description = revision.description
    revision.delete()
    Secret.objects.filter(pk__in=orphans).delete()
    audit.record("revision.deleted", actor=actor, subject=f"r{number}", description=description)


def section(payload: Any, name: str) -> Mapping[str, Any]:
    """A section of a stored payload, for whoever looks at one that may not be readable: empty where there is none."""
    found = payload.get(name) if isinstance(payload, Mapping) else None
    return found if isinstance(found, Mapping) else {}
