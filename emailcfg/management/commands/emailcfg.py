"""`manage.py emailcfg <verb>`: the configuration on the command line, for people and (with --json) for programs."""

import json
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from pydantic import SecretStr

from emailcfg import activation, confirmation, diff, documents, history, preflight, revisions, secrets, transfer
from emailcfg.activation import Activated
from emailcfg.activation_errors import ActivationError
from emailcfg.actor import Actor
from emailcfg.destinations import SecretUnavailable
from emailcfg.documents import DocumentRefused
from emailcfg.models import ActiveConfig, ConfigRevision
from emailcfg.pins import PinRefused
from emailcfg.revisions import RevisionError
from emailcfg.schema import SECRET_PATHS, EmailConfig, walk
from emailcfg.schema_migrations import NewerSchema
from emailcfg.transfer import FileRefused

ACTOR = Actor(name="command line")
REFUSALS = (
    ActivationError,
    DocumentRefused,
    FileRefused,
    NewerSchema,
    PinRefused,
    RevisionError,
    SecretUnavailable,
    secrets.SecretNeeded,
)
USAGE = 2


class Command(BaseCommand):
    help = "Shows, saves, compares, activates, exports and imports the email configuration."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        show = verb_parser(verbs, "show", "a revision, by default the active one")
        show.add_argument("number", nargs="?", type=int)
        listed = verb_parser(verbs, "history", "the revisions, newest first")
        listed.add_argument("--limit", type=int, default=20)
        compared = verb_parser(verbs, "diff", "what differs between two revisions")
        compared.add_argument("a", type=int)
        compared.add_argument("b", type=int)
        saved = verb_parser(verbs, "save", "save a configuration (JSON or YAML) as a revision")
        saved.add_argument("file", help="the file, - for standard input")
        saved.add_argument("--description", required=True, help="5 to 200 characters")
        saved.add_argument("--base", type=int, help="the revision whose secrets are kept, by default the active one")
        saved.add_argument("--request-id", help="repeats with this id have one effect")
        self._add_activation(verbs)
        self._add_transfer(verbs)
        self.add_verbs(verbs)

    def add_verbs(self, verbs: "_SubParsersAction[Any]") -> None:
        """Where a room above adds verbs that need more than the configuration."""

    def _add_activation(self, verbs: "_SubParsersAction[Any]") -> None:
        activated = verb_parser(verbs, "activate", "make a revision the active one")
        activated.add_argument("number", type=int)
        activated.add_argument("--confirm-within", type=int, metavar="SECONDS", help="return unless confirmed in time")
        activated.add_argument("--accept-stop", action="store_true", help="that all mail stops is meant")
        back = verb_parser(verbs, "rollback", "activate an older revision again, by default the one that ran before")
        back.add_argument("number", nargs="?", type=int)
        for parser in (activated, back):
            parser.add_argument("--reason", default="")
        for parser in (activated, back, verb_parser(verbs, "confirm", "keep what is active for a while")):
            parser.add_argument("--expected-generation", type=int, help="refuse when another one is active by now")
            parser.add_argument("--request-id", help="repeats with this id have one effect")

    def _add_transfer(self, verbs: "_SubParsersAction[Any]") -> None:
        exported = verb_parser(verbs, "export", "write a revision as a file, by default the active one")
        exported.add_argument("number", nargs="?", type=int)
        exported.add_argument("--format", choices=("yaml", "json"), default="yaml")
        exported.add_argument("--output", type=Path, help="the file to write, by default standard output")
        imported = verb_parser(verbs, "import", "show what a file would change; with --save, save it as a revision")
        imported.add_argument("file", help="the file, - for standard input")
        imported.add_argument("--save", action="store_true", help="save after showing the differences")
        imported.add_argument("--description", help="5 to 200 characters; needed with --save")
        imported.add_argument(
            "--secret-file",
            action="append",
            default=[],
            metavar="FIELD=PATH",
            help="a secret that the file does not bring, as in smtp.password=/run/secrets/smtp",
        )
        for parser in (exported, imported):
            parser.add_argument("--passphrase-file", type=Path, help="encrypts or decrypts the secrets of the file")

    def handle(self, *args: Any, **options: Any) -> None:
        verb: Callable[..., tuple[str, Any]] = getattr(self, f"_{options['verb']}")
        try:
            text, document = verb(options)
        except REFUSALS as error:
            if options["json"]:
                refusal = {"error": {"code": getattr(error, "code", "refused"), "detail": str(error)}}
                self.stdout.write(json.dumps(refusal))
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(document, indent=2, default=str) if options["json"] else text)

    def _show(self, options: dict[str, Any]) -> tuple[str, Any]:
        active = activation.current()
        number = options["number"] if options["number"] is not None else active.revision_id
        if number is None:
            empty = {"revision": None, "generation": active.generation, "config": None}
            return "No revision is active: no mail is accepted. Save one, then activate it.", empty
        revision = revisions.get(number)
        config = revisions.read(revision).config
        (listed,) = history.listed([revision], active)
        lines = [f"r{number} {revision.description} ({listed.state.replace('_', ' ')})"]
        for path, _, value in walk(config):
            words = ("not set" if value is None else "set") if path in SECRET_PATHS else diff.shown(path, value)
            lines.append(f"  {path:32} {words}")
        facts = {"revision": number, "generation": active.generation, "state": listed.state}
        return "\n".join(lines), facts | {"description": revision.description, "config": secrets.public(config)}

    def _history(self, options: dict[str, Any]) -> tuple[str, Any]:
        if options["limit"] < 1:
            raise CommandError("The limit must be at least 1.", returncode=USAGE)
        page = history.page(activation.current(), size=options["limit"])
        rows = [
            {
                "number": one.revision.number,
                "state": one.state,
                "tested": one.tested.test.state if one.tested else None,
                "created_at": one.revision.created_at.isoformat(),
                "author": one.revision.author_name,
                "description": one.revision.description,
            }
            for one in page.revisions
        ]
        lines = [
            f"r{row['number']:<6} {row['state']:11} {row['tested'] or 'untested':10} {str(row['created_at'])[:16]} "
            f"{row['author']}: {row['description']}"
            for row in rows
        ]
        return "\n".join(lines) or "Nothing was saved yet.", {"revisions": rows}

    def _diff(self, options: dict[str, Any]) -> tuple[str, Any]:
        before, after = (revisions.read(revisions.get(options[name])).config for name in ("a", "b"))
        return _changes(before, after, {"a": options["a"], "b": options["b"]})

    def _save(self, options: dict[str, Any]) -> tuple[str, Any]:
        base = revisions.get(options["base"]) if options["base"] is not None else activation.current().revision
        document = transfer.parsed(document_bytes(options["file"]))
        config, migrated = documents.understood(document.get("config"), base=_config(base))
        return _saved(config, base, options["description"], migrated, options["request_id"])

    def _activate(self, options: dict[str, Any]) -> tuple[str, Any]:
        active = activation.current()
        looked = preflight.preflight(revisions.get(options["number"]), active)
        done = activation.activate(
            options["number"],
            expected_generation=_expected(options, active),
            actor=ACTOR,
            request_id=options["request_id"],
            reason=options["reason"],
            accept_stop=options["accept_stop"],
            warnings=looked.warning_codes,
            confirm_within_s=options["confirm_within"],
        )
        return _activated(done, looked)

    def _rollback(self, options: dict[str, Any]) -> tuple[str, Any]:
        active = activation.current()
        target = options["number"] if options["number"] is not None else active.fallback_id
        looked = preflight.preflight(revisions.get(target), active) if target is not None else None
        done = activation.rollback(
            options["number"],
            expected_generation=_expected(options, active),
            actor=ACTOR,
            request_id=options["request_id"],
            reason=options["reason"],
            warnings=looked.warning_codes if looked is not None else (),
        )
        return _activated(done, looked)

    def _confirm(self, options: dict[str, Any]) -> tuple[str, Any]:
        expected = _expected(options, activation.current())
        done = confirmation.confirm(actor=ACTOR, expected_generation=expected, request_id=options["request_id"])
        return _activated(done, None)

    def _export(self, options: dict[str, Any]) -> tuple[str, Any]:
        number = options["number"] if options["number"] is not None else activation.current().revision_id
        if number is None:
            raise revisions.RevisionGone("No revision is active. Name the one to export.")
        config = revisions.read(revisions.get(number)).config
        passphrase = _passphrase(options)
        ring = secrets.key_ring() if passphrase else None
        text = transfer.written(
            config, style="json" if options["json"] else options["format"], passphrase=passphrase, ring=ring
        )
        if options["output"] is None:
            return text.rstrip("\n"), json.loads(text) if options["json"] else None
        options["output"].touch(mode=0o600)
        options["output"].write_text(text, encoding="utf-8")
        return f"r{number} is written to {options['output']}.", {"revision": number, "file": str(options["output"])}

    def _import(self, options: dict[str, Any]) -> tuple[str, Any]:
        if options["save"] and not options["description"]:
            raise CommandError("Describe the revision: --description, 5 to 200 characters.", returncode=USAGE)
        base = activation.current().revision
        document = transfer.parsed(document_bytes(options["file"]))
        entered = dict(_entered(item) for item in options["secret_file"])
        config, migrated = transfer.understood(
            document, base=_config(base), passphrase=_passphrase(options), entered=entered
        )
        text, facts = _changes(_config(base) or EmailConfig(), config, {"base": base.number if base else None})
        if not options["save"]:
            return f"{text}\nNothing was saved. Repeat with --save and a --description to save it.", facts
        saved, number = _saved(config, base, options["description"], migrated, None)
        return f"{text}\n{saved}", facts | number


def verb_parser(verbs: "_SubParsersAction[Any]", name: str, text: str) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    return parser


def _expected(options: dict[str, Any], active: ActiveConfig) -> int:
    given: int | None = options["expected_generation"]
    return active.generation if given is None else given


def _config(base: ConfigRevision | None) -> EmailConfig | None:
    return revisions.read(base).config if base is not None else None


def document_bytes(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(transfer.MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(transfer.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.", returncode=USAGE) from None


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{path} can't be read.", returncode=USAGE) from None


def _passphrase(options: dict[str, Any]) -> str:
    if options["passphrase_file"] is None:
        return ""
    passphrase = _line(options["passphrase_file"])
    if len(passphrase) < 12:
        raise CommandError("A passphrase needs at least 12 characters.", returncode=USAGE)
    return passphrase


def _entered(item: str) -> tuple[str, SecretStr]:
    path, _, file = item.partition("=")
    if path not in SECRET_PATHS or not file:
        raise CommandError(
            f"Write --secret-file as FIELD=PATH with one of: {', '.join(SECRET_PATHS)}.", returncode=USAGE
        )
    return path, SecretStr(_line(Path(file)))


def _changes(before: EmailConfig, after: EmailConfig, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    changes = diff.compare(before, after)
    lines = [f"  {one.title}: {one.before} -> {one.after}" for one in changes]
    rows = [{"path": one.path, "before": one.before, "after": one.after, "secret": one.secret} for one in changes]
    return "\n".join(lines) or "No differences.", facts | {"changes": rows}


def _saved(
    config: EmailConfig,
    base: ConfigRevision | None,
    description: str,
    migrated: tuple[str, ...],
    request_id: str | None,
) -> tuple[str, dict[str, Any]]:
    saved = revisions.save(config=config, base=base, description=description, actor=ACTOR, request_id=request_id)
    text = "\n".join([*migrated, f"r{saved.number} is saved. It is a draft until it is activated."])
    return text, {"number": saved.number, "content_hash": saved.content_hash, "migrated": list(migrated)}


def _activated(done: Activated, looked: preflight.Preflight | None) -> tuple[str, Any]:
    active = done.active
    warnings = [{"code": one.code, "sentence": one.sentence} for one in looked.warnings] if looked is not None else []
    lines = [f"Warning: {one['sentence']}" for one in warnings]
    lines.append(f"r{active.revision_id} is active (generation {active.generation}).")
    left = confirmation.seconds_left(active)
    if left is not None:
        lines.append(f"It returns to r{active.fallback_id} in {left} seconds unless it is confirmed.")
    facts = {"generation": active.generation, "revision": active.revision_id, "changed": done.changed}
    return "\n".join(lines), facts | {"warnings": warnings, "confirm_seconds_left": left}
