"""The part of the HTTP API that tests a configuration."""

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from emailcfg import activation, documents, revisions, rules
from emailcfg.destinations import SecretUnavailable
from emailcfg.documents import DocumentRefused
from emailcfg.models import TestSend
from emailcfg.problems import Problem, answers, require_scope
from emailcfg.revisions import RevisionGone, RevisionUnreadable
from emailcfg.schema_migrations import NewerSchema
from outbound import testrun, testsend, transcript
from outbound.auth import actor_of
from outbound.testsend import Plan, TestRefused, TooManyTests

router = Router(tags=["configuration"])


class TestIn(Schema):
    """What to test: a saved `revision`, a `config` that need not be saved, or, without both, what is active."""

    __test__ = False
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"revision": 15, "to": "ana@acme.com", "dry_run": False}}
    )

    to: str = Field(max_length=320)
    revision: int | None = Field(None, ge=1, le=2**63 - 1)
    config: dict[str, Any] | None = None
    kind: str = Field("test", max_length=32)
    dry_run: bool = False


class StepOut(Schema):
    """One rung of the ladder. `ok` is null for a step that was not needed or not reached."""

    name: str
    label: str
    state: Literal["ok", "failed", "skipped"]
    ok: bool | None
    ms: float | None
    detail: str
    words: str
    facts: dict[str, Any]
    finding: dict[str, Any] | None


class TestRunOut(Schema):
    """`ok`: the server accepted the mail (dry run: it would have), which is not yet received. `tested` says in words
    what was tested; `source` is `form` for a configuration that was not saved. `caveats` are sentences about what is
    true of real mail and not of this test. `alternatives` are changes that were proven to get further."""

    __test__ = False

    id: int
    ok: bool
    state: str
    tested: str
    source: Literal["form", "revision", "active", "health"]
    revision: int | None
    server: str
    summary: str
    caveats: list[str]
    ms: float
    content_hash: str
    message_id: str
    steps: list[StepOut]
    alternatives: list[dict[str, Any]]


_ANSWERS = {200: TestRunOut, **answers(404, 409, 429)}


@router.post("/config/test", response=_ANSWERS, summary="Send a test email, or try without sending")
def test(request: HttpRequest, body: TestIn) -> dict[str, Any]:
    """Needs `config:write`: it uses stored secrets and sends a mail. Answers when the test has ended, at most after
    about two minutes; 200 also when it failed, with `ok` false."""
    require_scope(request.auth, "config:write")  # type: ignore[attr-defined]
    try:
        rules.address(body.to)
    except rules.Refused as error:
        raise Problem(400, "invalid_request", "Some fields are not valid.", errors={"to": str(error)}) from None
    try:
        return as_json(testrun.run(testsend.prepare(_plan(body), actor_of(request))))
    except TooManyTests as error:
        raise Problem(429, error.code, str(error), retry_after_s=60) from None
    except TestRefused as error:
        raise Problem(400, error.code, str(error)) from None
    except SecretUnavailable as error:
        raise Problem(503, "keys_unusable", str(error)) from None


def _plan(body: TestIn) -> Plan:
    if body.revision is not None and body.config is not None:
        raise Problem(400, "invalid_request", "Give a revision or a config, not both.")
    try:
        if body.config is None:
            return testsend.of_revision(body.revision, to=body.to, kind=body.kind, dry_run=body.dry_run)
        active = activation.current().revision
        base = revisions.read(active).config if active is not None else None
        config, _ = documents.understood(body.config, base=base)
    except DocumentRefused as error:
        errors = {f"config.{path}".rstrip("."): sentence for path, sentence in error.errors.items()}
        raise Problem(400, error.code, "The configuration is not valid. Nothing was tested.", errors=errors) from None
    except RevisionGone as error:
        raise Problem(404, error.code, str(error)) from None
    except (RevisionUnreadable, NewerSchema) as error:
        raise Problem(409, error.code, str(error)) from None
    except SecretUnavailable as error:
        raise Problem(503, "keys_unusable", str(error)) from None
    return Plan(config, TestSend.Source.FORM, None, body.to, body.kind, dry_run=body.dry_run)


def as_json(test: TestSend) -> dict[str, Any]:
    """A finished test for programs; the command line prints the same document."""
    ladder: dict[str, Any] = test.steps
    return {
        "id": test.pk,
        "ok": test.state in (TestSend.State.ACCEPTED, TestSend.State.RECEIVED, TestSend.State.PASSED),
        "state": test.state,
        "tested": transcript.subject(test),
        "source": test.source,
        "revision": test.revision_id,
        "server": test.server,
        "summary": ladder.get("summary", ""),
        "caveats": transcript.beside(ladder),
        "ms": ladder.get("ms", 0),
        "content_hash": test.content_hash,
        "message_id": test.message_id,
        "steps": ladder.get("steps", []),
        "alternatives": test.alternatives,
    }
