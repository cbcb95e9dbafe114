"""A test as plain text, to be copied into a ticket: what was tested, each step with its time and facts, and why."""

from typing import Any

from emailcfg.diagnosis.shown_facts import lines
from emailcfg.models import TestSend

_MARKS = {"ok": "ok     ", "failed": "FAILED ", "skipped": "-      ", "running": "…      ", "pending": "       "}


def kind(test: TestSend) -> str:
    """What sort of test it was."""
    if test.source == TestSend.Source.HEALTH:
        return "Health check"
    return "Dry run" if test.dry_run else "Test"


def tested(test: TestSend) -> str:
    """Which configuration was tested. Stays true when another is saved or activated later."""
    if test.revision_id is None:
        return "an unsaved configuration" if test.source == TestSend.Source.FORM else "a deleted revision"
    if test.source in (TestSend.Source.ACTIVE, TestSend.Source.HEALTH):
        return f"r{test.revision_id} (active at that time)"
    return f"r{test.revision_id} (not active at that time)"


def subject(test: TestSend) -> str:
    """What was tested, through which server, to whom: the same words on the page, in the API and on the command
    line."""
    through = f" through {test.server}" if test.server else ""
    return f"{kind(test)} of {tested(test)}{through}" + (f" to {test.recipient}" if test.recipient else "")


def beside(ladder: dict[str, Any]) -> list[str]:
    """What is true of other mail and not of this test: for programs and texts, which have one list of it."""
    return [*ladder.get("caveats", ()), *filter(None, [ladder.get("note", "")])]


def text(test: TestSend) -> str:
    """The whole test. Holds no secret: its steps were freed of them before they were stored."""
    ladder: dict[str, Any] = test.steps if isinstance(test.steps, dict) else {}
    head = [
        f"Test {test.pk}: {subject(test)}.",
        f"Started {test.started_at:%Y-%m-%d %H:%M:%S} UTC by {test.actor_name}; {test.get_state_display()}.",
        str(ladder.get("summary", "")),
        "",
    ]
    body = [line for rung in ladder.get("steps", ()) for line in _rung(rung)]
    foot = [f"Would work: {one['sentence']}" for one in test.alternatives]
    foot += [f"Note: {sentence}" for sentence in beside(ladder)]
    return "\n".join([*head, *body, *foot]).rstrip() + "\n"


def _rung(rung: dict[str, Any]) -> list[str]:
    took = "" if rung.get("ms") is None else f" ({rung['ms']:.0f} ms)"
    detail = f": {rung['detail']}" if rung.get("detail") else ""
    told = [f"{_MARKS.get(rung['state'], '')}{rung['label']}{took}{detail}"]
    if rung.get("words"):
        told.append(f"         server: {rung['words']}")
    told += [f"         {label}: {value}" for label, value in lines(rung.get("facts") or {})]
    finding = rung.get("finding")
    if finding:
        told.append(f"         {finding['title']} {finding['cause']} {finding['next_step']} [{finding['code']}]")
    return told
