"""The ladder: the order of each mode, the state of each rung, and never green without a proof."""

import json

import pytest

from emailcfg.diagnosis.explain import Context, explain
from emailcfg.diagnosis.ladder import Ladder, Mode, State, climb
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage, Step

SMTP_STAGES = [stage for stage in Stage if stage is not Stage.KEY]


def ok(*stages: Stage) -> list[Step]:
    return [Step(stage, True, 2.0, f"{stage} went well") for stage in stages]


def states(ladder: Ladder) -> dict[str, str]:
    return {str(rung.stage): str(rung.state) for rung in ladder.rungs}


def test_tls_from_the_start_comes_before_the_greeting_and_starttls_after_it() -> None:
    def order(mode: Mode) -> list[Stage]:
        return [rung.stage for rung in climb([], mode=mode, finished=False).rungs]

    tls, starttls = order("tls"), order("starttls")
    assert tls.index(Stage.TLS) < tls.index(Stage.GREETING)
    assert starttls.index(Stage.GREETING) < starttls.index(Stage.TLS) < starttls.index(Stage.LOGIN)
    assert order("none") == starttls  # where its TLS rung says that it was not needed
    reach = [Stage.RESOLVE, Stage.CONNECT, Stage.TLS]
    assert order("sendgrid") == [*reach, Stage.KEY, Stage.SENDER, Stage.DATA, Stage.ACCEPTED]


def test_before_the_first_step_the_first_rung_runs_and_the_others_wait() -> None:
    ladder = climb([], mode="starttls", finished=False)
    assert [rung.state for rung in ladder.rungs] == [State.RUNNING] + [State.PENDING] * (len(ladder.rungs) - 1)
    assert ladder.ok is None


def test_the_rung_after_the_last_one_reported_runs() -> None:
    ladder = climb(ok(Stage.RESOLVE, Stage.CONNECT), mode="tls", finished=False)
    assert states(ladder)["tls"] == "running"
    assert states(ladder)["greeting"] == "pending"
    assert ladder.summary == "Running: Encrypt (TLS)."


def test_a_failure_ends_the_ladder_with_its_explanation_and_the_servers_words() -> None:
    failure = Failure(Stage.LOGIN, ErrorClass.CONFIGURATION, "login_refused", Reply(535, "5.7.8 no", "5.7.8"))
    steps = ok(Stage.RESOLVE, Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.EHLO)
    steps.append(Step(Stage.LOGIN, False, 30.0, failure.words, {}, failure.reply, failure))
    told = explain(failure, context=Context(provider="smtp", host="mail.example.com"))
    ladder = climb(steps, mode="starttls", finished=False, explanation=told)
    assert ladder.ok is False
    assert ladder.summary == told.title
    assert states(ladder) == {
        **dict.fromkeys(["resolve", "connect", "greeting", "tls", "ehlo"], "ok"),
        "login": "failed",
        **dict.fromkeys(["sender", "recipient", "data", "accepted"], "skipped"),
    }
    rung = next(rung for rung in ladder.rungs if rung.state is State.FAILED)
    assert rung.words == "535 5.7.8 no"
    assert rung.detail == ""
    assert rung.explanation is told


def test_a_login_that_was_not_needed_is_skipped_and_the_test_still_green() -> None:
    steps = [Step(stage, None if stage is Stage.LOGIN else True, 1.0) for stage in SMTP_STAGES]
    ladder = climb(steps, mode="starttls", finished=True)
    assert ladder.ok is True
    assert states(ladder)["login"] == "skipped"
    assert "not yet delivered" in ladder.summary
    assert ladder.ms == pytest.approx(len(steps))


def test_a_dry_run_is_green_at_the_recipient_and_says_that_nothing_was_sent() -> None:
    steps = ok(*[stage for stage in SMTP_STAGES if stage not in (Stage.DATA, Stage.ACCEPTED)])
    ladder = climb(steps, mode="starttls", finished=True, dry_run=True)
    assert ladder.ok is True
    assert "No mail was sent." in ladder.summary
    assert states(ladder)["data"] == "skipped"


def test_a_test_that_ended_without_its_last_rung_is_not_green() -> None:
    ladder = climb(ok(Stage.RESOLVE, Stage.CONNECT), mode="none", finished=True)
    assert ladder.ok is False
    assert ladder.summary == "The test ended before its last step."


def test_one_refused_recipient_among_several_shows() -> None:
    failure = Failure(Stage.RECIPIENT, ErrorClass.RECIPIENT_HARD, "recipient_unknown", Reply(550, "no"))
    steps = [
        *ok(Stage.SENDER),
        Step(Stage.RECIPIENT, False, 1.0, failure=failure, reply=failure.reply),
        *ok(Stage.RECIPIENT),
    ]
    assert states(climb(steps, mode="none", finished=True))["recipient"] == "failed"


def test_a_stage_the_mode_does_not_know_is_shown_where_it_happened() -> None:
    ladder = climb(
        ok(Stage.RESOLVE, Stage.CONNECT, Stage.TLS, Stage.KEY, Stage.SENDER), mode="sendgrid", finished=False
    )
    assert [rung.stage for rung in ladder.rungs][3:6] == [Stage.KEY, Stage.SENDER, Stage.DATA]


def test_the_json_has_one_step_for_each_rung_with_a_verdict_or_null() -> None:
    document = json.loads(json.dumps(climb(ok(Stage.RESOLVE), mode="sendgrid", finished=False).as_json()))
    assert document["ok"] is None
    assert [step["ok"] for step in document["steps"]] == [True] + [None] * 6
    assert document["steps"][0] == {
        "name": "resolve",
        "label": "Find the host",
        "state": "ok",
        "ok": True,
        "ms": 2.0,
        "detail": "resolve went well",
        "words": "",
        "facts": {},
        "finding": None,
    }
