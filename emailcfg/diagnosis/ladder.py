"""The ladder of a test: every rung in the order this configuration really has, filled as the steps come in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from emailcfg.diagnosis.explain import Explanation
from emailcfg.diagnosis.remarks import remark
from emailcfg.diagnosis.shown_facts import safe
from emailcfg.providers.base import Stage, Step

Mode = Literal["starttls", "tls", "none", "sendgrid"]

# What people call each step.
LABELS = {
    Stage.RESOLVE: "Find the host",
    Stage.CONNECT: "Connect",
    Stage.GREETING: "Greeting",
    Stage.TLS: "Encrypt (TLS)",
    Stage.EHLO: "Introduce ourselves",
    Stage.LOGIN: "Log in",
    Stage.KEY: "Check the key",
    Stage.SENDER: "Sender",
    Stage.RECIPIENT: "Recipient",
    Stage.DATA: "Hand over the message",
    Stage.ACCEPTED: "Accepted",
}
# What a running rung waits for.
_WAITS = {
    Stage.RESOLVE: "asking DNS for the address",
    Stage.CONNECT: "waiting for the connection",
    Stage.GREETING: "waiting for the server to speak first",
    Stage.TLS: "agreeing on encryption",
    Stage.EHLO: "waiting for what the server offers",
    Stage.LOGIN: "waiting for the answer to the login",
    Stage.KEY: "waiting for the answer about the key",
    Stage.SENDER: "waiting for the answer to the sender",
    Stage.RECIPIENT: "waiting for the answer to the recipient",
    Stage.DATA: "handing the message over",
    Stage.ACCEPTED: "waiting for the server to confirm",
}
_REACH = (Stage.RESOLVE, Stage.CONNECT)
_MAIL = (Stage.LOGIN, Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ACCEPTED)
# TLS from the start comes before the greeting; STARTTLS after it and before the EHLO whose words count.
_ORDER: dict[Mode, tuple[Stage, ...]] = {
    "starttls": (*_REACH, Stage.GREETING, Stage.TLS, Stage.EHLO, *_MAIL),
    "tls": (*_REACH, Stage.TLS, Stage.GREETING, Stage.EHLO, *_MAIL),
    "none": (*_REACH, Stage.GREETING, Stage.TLS, Stage.EHLO, *_MAIL),  # TLS says that it was not needed
    "sendgrid": (*_REACH, Stage.TLS, Stage.KEY, Stage.SENDER, Stage.DATA, Stage.ACCEPTED),
}
_AFTER_A_DRY_RUN = (Stage.DATA, Stage.ACCEPTED)
_AFTER_THE_LOGIN = (Stage.SENDER, Stage.RECIPIENT, *_AFTER_A_DRY_RUN)


class State(StrEnum):
    PENDING = "pending"  # not reached yet
    RUNNING = "running"  # the one that works now
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"  # not needed, or not reached because an earlier rung failed


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the ladder. `ms` is None until it ended; `words` are the server's own, or the local cause's;
    `explanation` says why it failed, or what wants looking after although it went well; `facts` are those of its
    step, as JSON."""

    stage: Stage
    label: str
    state: State
    ms: float | None = None
    detail: str = ""
    words: str = ""
    explanation: Explanation | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """A step of the API's answer: `ok` is null for a rung that has no verdict."""
        return {
            "name": str(self.stage),
            "label": self.label,
            "state": str(self.state),
            "ok": {State.OK: True, State.FAILED: False}.get(self.state),
            "ms": None if self.ms is None else round(self.ms, 1),
            "detail": self.detail,
            "words": self.words,
            "facts": dict(self.facts),
            "finding": self.explanation.as_json() if self.explanation else None,
        }


@dataclass(frozen=True, slots=True)
class Ladder:
    """`ok` is None while the test runs; `summary` is one sentence for the end of it, or for now."""

    rungs: tuple[Rung, ...]
    ok: bool | None
    ms: float
    summary: str

    def as_json(self) -> dict[str, object]:
        return {
            "ok": self.ok,
            "ms": round(self.ms, 1),
            "summary": self.summary,
            "steps": [rung.as_json() for rung in self.rungs],
        }


def climb(
    steps: Iterable[Step],
    *,
    mode: Mode,
    finished: bool,
    explanation: Explanation | None = None,
    dry_run: bool = False,
    login_only: bool = False,
) -> Ladder:
    """The whole ladder from the steps reported so far. A `login_only` run ends with the login, or with the check of
    the key.

    `explanation` belongs to the rung that failed; a rung that went well may carry a remark. While not `finished`, the
    rung after the last one reported is running. A stage reported twice (a second recipient)
    shows its failure if it has one, else the last. A stage that this mode does not have by itself (a login asked for
    late) is put in where it happened."""
    told: dict[Stage, Step] = {}
    for step in steps:
        if step.stage not in told or told[step.stage].ok is not False:
            told[step.stage] = step
    order = _placed(_ORDER[mode], list(told))
    left_out = _AFTER_THE_LOGIN if login_only else _AFTER_A_DRY_RUN if dry_run else ()
    failed = next((stage for stage in order if stage in told and told[stage].ok is False), None)
    over = finished or failed is not None
    last = max((order.index(stage) for stage in told), default=-1)
    provider = "sendgrid" if mode == "sendgrid" else "smtp"
    host = str(told[Stage.RESOLVE].facts.get("host", "")) if Stage.RESOLVE in told else ""
    rungs = []
    for place, stage in enumerate(order):
        if stage in told:
            found = explanation if stage is failed else remark(told[stage], provider=provider, host=host)
            rungs.append(_told(told[stage], found))
        elif over or place < last or stage in left_out:
            why = "Not part of this check; no mail is sent." if failed is None and stage in left_out else ""
            rungs.append(Rung(stage, LABELS[stage], State.SKIPPED, detail=why))
        else:
            state = State.RUNNING if place == last + 1 else State.PENDING
            rungs.append(Rung(stage, LABELS[stage], state, detail=_WAITS[stage] if state is State.RUNNING else ""))
    end = _end(mode, dry_run=dry_run, login_only=login_only)
    # A test is only green when its last rung was: silence is not success. A login may be rightly left out.
    reached = end in told and (told[end].ok is True or (login_only and told[end].ok is None))
    ok = None if not over else failed is None and reached
    summary = _summary(rungs, ok, dry_run=dry_run, login_only=login_only, explanation=explanation)
    return Ladder(tuple(rungs), ok, sum(step.ms for step in told.values()), summary)


def _told(step: Step, explanation: Explanation | None) -> Rung:
    state = {True: State.OK, False: State.FAILED, None: State.SKIPPED}[step.ok]
    words = f"{step.reply.code} {step.reply.text}".strip() if step.reply else ""
    if step.failure is not None:
        words = step.failure.words
    detail = "" if step.detail == words else step.detail  # not the same words twice
    return Rung(step.stage, LABELS[step.stage], state, step.ms, detail, words, explanation, safe(step.facts))


def _placed(order: tuple[Stage, ...], told: list[Stage]) -> list[Stage]:
    placed = list(order)
    for place, stage in enumerate(told):
        if stage not in placed:
            after = told[place - 1] if place else None
            placed.insert(placed.index(after) + 1 if after else 0, stage)
    return placed


def _end(mode: Mode, *, dry_run: bool, login_only: bool) -> Stage:
    """The rung that has to be reached."""
    if login_only:
        return Stage.KEY if mode == "sendgrid" else Stage.LOGIN
    if dry_run:
        return Stage.DATA if mode == "sendgrid" else Stage.RECIPIENT
    return Stage.ACCEPTED


def _summary(
    rungs: list[Rung], ok: bool | None, *, dry_run: bool, login_only: bool, explanation: Explanation | None
) -> str:
    if ok is None:
        running = next((rung.label for rung in rungs if rung.state is State.RUNNING), "")
        return f"Running: {running}." if running else "Running."
    if ok:
        if login_only:
            return "The service is reached and takes the login. No mail was sent."
        if dry_run:
            return "Everything works up to the message itself. No mail was sent."
        return "The server accepted the mail. Look into the mailbox: accepted is not yet delivered."
    if explanation:
        return explanation.title
    failed = next((rung.label for rung in rungs if rung.state is State.FAILED), "")
    return f"The test failed at: {failed}." if failed else "The test ended before its last step."
