"""`manage.py emailcfg test`: adds to the configuration's commands the one that needs the outbound service."""

import json
from argparse import ArgumentParser, _SubParsersAction
from typing import Any

from django.core.management.base import CommandError

from emailcfg import activation, documents, revisions, rules, transfer
from emailcfg.diagnosis.ladder import Ladder, Rung, State
from emailcfg.diagnosis.shown_facts import lines
from emailcfg.management.commands import emailcfg
from emailcfg.management.commands.emailcfg import REFUSALS, USAGE, document_bytes, verb_parser
from emailcfg.models import TestSend
from outbound import testrun, testsend, transcript
from outbound.api_test import as_json
from outbound.testsend import Plan, TestRefused

_MARKS = {State.OK: "ok", State.FAILED: "FAILED", State.SKIPPED: "-"}


class Command(emailcfg.Command):
    help = "Shows, saves, tests, compares, activates, exports and imports the email configuration."

    def add_verbs(self, verbs: "_SubParsersAction[Any]") -> None:
        parser: ArgumentParser = verb_parser(verbs, "test", "send a test email, by default with what is active")
        parser.add_argument("--to", required=True, help="the address the mail goes to")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--revision", type=int, help="a saved revision")
        what.add_argument("--file", help="a configuration (JSON or YAML) that need not be saved, - for standard input")
        parser.add_argument("--kind", default="test", help="the kind of mail, filled with sample data; by default test")
        parser.add_argument("--dry-run", action="store_true", help="log in and ask for the recipient; send no mail")
        parser.add_argument("--facts", action="store_true", help="tell all that each step learnt")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] != "test":
            super().handle(*args, **options)
            return
        try:
            rules.address(options["to"])
        except rules.Refused as error:
            raise CommandError(str(error), returncode=USAGE) from None
        try:
            prepared = testsend.prepare(self._plan(options), emailcfg.ACTOR)
        except (*REFUSALS, TestRefused) as error:
            if options["json"]:
                refusal = {"error": {"code": getattr(error, "code", "refused"), "detail": str(error)}}
                self.stdout.write(json.dumps(refusal))
            raise CommandError(str(error)) from None
        if not options["json"]:
            self.stdout.write(f"{transcript.subject(prepared.test)}:")
        self._told, self._facts = 0, options["facts"]
        test = testrun.run(prepared, observer=(lambda ladder: None) if options["json"] else self._tell)
        self._conclude(test, as_document=options["json"])

    def _plan(self, options: dict[str, Any]) -> Plan:
        if options["file"] is None:
            return testsend.of_revision(options["revision"], options["to"], options["kind"], options["dry_run"])
        active = activation.current().revision
        base = revisions.read(active).config if active is not None else None
        document = transfer.parsed(document_bytes(options["file"]))
        config, _ = documents.understood(document.get("config", document), base=base)
        return Plan(config, TestSend.Source.FORM, None, options["to"], options["kind"], options["dry_run"])

    def _tell(self, ladder: Ladder) -> None:
        """Prints each rung once, as soon as it has ended."""
        ended = [rung for rung in ladder.rungs if rung.state in (State.OK, State.FAILED) or rung.ms is not None]
        for rung in ended[self._told :]:
            self.stdout.write("\n".join(_lines(rung, facts=self._facts)))
            self.stdout.flush()
        self._told = max(self._told, len(ended))

    def _conclude(self, test: TestSend, *, as_document: bool) -> None:
        document = as_json(test)
        if as_document:
            self.stdout.write(json.dumps(document, indent=2))
        else:
            told = [*_finding(test), *(f"Would work: {one['sentence']}" for one in test.alternatives)]
            for line in (*told, *(f"Note: {sentence}" for sentence in document["caveats"])):
                self.stdout.write(line)
        if not document["ok"]:
            raise CommandError(document["summary"])
        if not as_document:
            self.stdout.write(document["summary"])


def _lines(rung: Rung, *, facts: bool) -> list[str]:
    """A rung as it is printed, with what wants looking after although it went well, and, if asked, all it learnt."""
    told = [_line(rung)]
    if rung.state is State.OK and rung.explanation is not None:
        told.append(f"       {rung.explanation.title} {rung.explanation.cause} {rung.explanation.next_step}")
    return told + [f"       {label}: {value}" for label, value in (lines(rung.facts) if facts else ())]


def _line(rung: Rung) -> str:
    ms = "" if rung.ms is None else f"{rung.ms:.0f} ms"
    return f"{_MARKS[rung.state]:7}{rung.label:22}{ms:>9}  {rung.detail or rung.words}".rstrip()


def _finding(test: TestSend) -> list[str]:
    found = test.explanation
    return [found["cause"], found["next_step"], f"Server: {found['words']}"] if found else []
