"""What was written stays as it was: the database itself refuses to change or delete it, whichever program asks.

Audit events and activations are insert-only; a revision is never changed, and deleted only while it was never active;
of a secret only the ciphertext may change (key rotation). The one other change that is let through is the loss of the
link to an account that is deleted.

A migration that rebuilds one of these tables on SQLite drops its triggers with it and has to install them again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

Model = Any  # of today, or of the state that a migration sees


@dataclass(frozen=True, slots=True)
class Rule:
    """What is guarded in one table. `free` columns may change, `link` may only become empty; `deletable` is a
    condition on the old row under which it may be deleted, "" for never."""

    model: str
    free: tuple[str, ...] = ()
    link: str = ""
    deletable: str = ""


_NEVER_ACTIVE = "NOT EXISTS (SELECT 1 FROM emailcfg_activation WHERE revision_id = OLD.number)"
_UNUSED = "NOT EXISTS (SELECT 1 FROM emailcfg_configrevision_secrets WHERE secret_id = OLD.id)"
RULES = (
    Rule("AuditEvent", link="actor_id"),
    Rule("Activation", link="actor_id"),
    Rule("ConfigRevision", link="author_id", deletable=_NEVER_ACTIVE),
    Rule("Secret", free=("ciphertext",), deletable=_UNUSED),
)
_FUNCTION = "emailcfg_refuse_change"


def install(connection: BaseDatabaseWrapper, apps: Apps) -> None:
    """Puts the triggers in place, in place of earlier ones."""
    remove(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION 'rows of % are kept as they were written', TG_TABLE_NAME "
                "USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
        for name, event, table, condition in _triggers(apps):
            cursor.execute(_statement(connection.vendor, name, event, table, condition))


def remove(connection: BaseDatabaseWrapper) -> None:
    """Takes the triggers away."""
    with connection.cursor() as cursor:
        for rule in RULES:
            table = _table(rule)
            for kind in ("values", "link", "row"):
                name = f"{table}_keeps_{kind}"
                on = f" ON {table}" if connection.vendor == "postgresql" else ""
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def _table(rule: Rule) -> str:
    return f"emailcfg_{rule.model.lower()}"


def _triggers(apps: Apps) -> Iterator[tuple[str, str, str, str]]:
    """Name, event, table and condition of each trigger."""
    for rule in RULES:
        table = _table(rule)
        columns = [field.column for field in apps.get_model("emailcfg", rule.model)._meta.local_concrete_fields]
        kept = ", ".join(f'"{column}"' for column in columns if column not in (*rule.free, rule.link))
        yield f"{table}_keeps_values", f"UPDATE OF {kept}", table, ""
        if rule.link:
            yield f"{table}_keeps_link", f"UPDATE OF {rule.link}", table, f"NEW.{rule.link} IS NOT NULL"
        yield f"{table}_keeps_row", "DELETE", table, f"NOT ({rule.deletable})" if rule.deletable else ""


def _statement(vendor: str, name: str, event: str, table: str, condition: str) -> str:
    if vendor == "sqlite":
        when = f"WHEN {condition} " if condition else ""
        raised = f"SELECT RAISE(ABORT, 'rows of {table} are kept as they were written');"
        return f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {when}BEGIN {raised} END"
    # PostgreSQL allows no subquery in WHEN; there the foreign keys alone guard what is in use.
    if "SELECT" in condition:
        return f"DROP TRIGGER IF EXISTS {name} ON {table}"
    when = f"WHEN ({condition}) " if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {_FUNCTION}()"
