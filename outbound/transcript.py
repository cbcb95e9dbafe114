"""A test as plain text, to be copied into a ticket: what was tested, each step with its time and facts, and why."""

from typing import Any

from emailcfg.diagnosis.shown_facts import lines
from emailcfg.models import TestSend

_MARKS = {"ok": "ok     ", "failed": "FAILED ", "skipped": "-      ", "running": "…      ", "pending": "       "}


def text(test: TestSend) -> str:
    """The whole test. Holds no secret: its steps were freed of them before they were stored."""
    ladder: dict[str, Any] = test.steps if isinstance(test.steps, dict) else {}
    kind = "Dry run" if test.dry_run else "Test"
    what = f"r{test.revision_id}" if test.revision_id else "the unsaved form"
    head = [
        f"{kind} {test.pk} of {what} through {test.server}" + (f" to {test.recipient}" if test.recipient else ""),
        f"Started {test.started_at:%Y-%m-%d %H:%M:%S} UTC by {test.actor_name}; {test.get_state_display()}.",
        str(ladder.get("summary", "")),
        "",
    ]
    body = [line for rung in ladder.get("steps", ()) for line in _rung(rung)]
    foot = [f"Would work: {one['sentence']}" for one in test.alternatives]
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
