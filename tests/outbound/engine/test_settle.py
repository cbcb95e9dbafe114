"""Outcomes as lines of the journal, and states derived from recipients: pure functions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.providers.base import ErrorClass, Failure, RecipientResult, Reply, Result, Stage
from outbound.engine.settle import Policy, settle
from outbound.engine.work import Outcome, RecipientOutcome, Stamp, Work

STAMP = Stamp(14, 77, "smtp.example.com:587", "TLSv1.3")
OK = Reply(250, "2.0.0 Ok: queued as 4ABC12345", "2.0.0")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def _work(*addresses: str, closed: tuple[str, ...] = ()) -> Work:
    return Work(
        *(5, "queued", 1, 0, datetime.now(UTC) + timedelta(days=5)),
        mail_from="a@example.com",
        content=b"x",
        open=list(enumerate(addresses)),
        closed=list(closed),
    )


@given(reply=TEXT, note=TEXT, at=st.floats(1e9, 4e9), ms=st.floats(0, 1e6), doubts=st.integers(0, 3))
def test_a_sent_outcome_survives_its_line_with_its_time_to_the_millisecond(
    reply: str, note: str, at: float, ms: float, doubts: int
) -> None:
    one = Outcome(5, "sent", at, STAMP, doubts=doubts, code=250, reply=reply, note=note, provider_id="x", ms=ms)
    assert "\n" not in one.line()
    read = Outcome.from_line(one.line())
    assert abs(read.at - at) <= 0.00101
    assert abs(read.ms - ms) <= 0.00101
    assert replace(read, at=at, ms=ms) == one


@given(text=TEXT, due=st.none() | st.datetimes(timezones=st.just(UTC)))
def test_any_other_outcome_survives_its_line(text: str, due: datetime | None) -> None:
    entries = (RecipientOutcome(0, "sent", 250, ""), RecipientOutcome(1, "deferred", 451, text))
    one = Outcome(5, "deferred", 1.5e9, STAMP, cause="x", due_at=due, recipients=entries, reply=text, reason="x")
    assert "\n" not in one.line()
    assert Outcome.from_line(one.line()) == one


@pytest.mark.parametrize("line", ["", "[]", "{}", "[1,2", "null", '["sent"]'])
def test_a_damaged_line_is_refused(line: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Outcome.from_line(line)


def _settled(work: Work, *failures: ErrorClass | None, whole: ErrorClass | None = None) -> Outcome:
    def failure(error_class: ErrorClass | None) -> Failure | None:
        return Failure(Stage.RECIPIENT, error_class, "why", Reply(450, "no")) if error_class else None

    mail = work.mail()
    entries = tuple(
        RecipientResult(address, OK, failure(found)) for address, found in zip(mail.recipients, failures, strict=True)
    )
    return settle(work, Result(mail, entries, None if whole else OK, failure(whole)), STAMP, Policy())


HARD, SOFT, DOUBT = ErrorClass.RECIPIENT_HARD, ErrorClass.RECIPIENT_SOFT, ErrorClass.IN_DOUBT


@pytest.mark.parametrize(
    ("closed", "failures", "state"),
    [
        ((), (None, None), "sent"),
        ((), (None, HARD), "partial"),
        ((), (HARD, HARD), "failed"),
        ((), (None, SOFT), "deferred"),
        ((), (HARD, SOFT), "deferred"),
        ((), (SOFT, DOUBT), "in_doubt"),
        (("sent",), (None,), "sent"),
        (("failed",), (None,), "partial"),
        (("sent",), (HARD,), "partial"),
        (("failed",), (HARD,), "failed"),
    ],
)
def test_a_message_derives_its_state_from_all_its_recipients(
    closed: tuple[str, ...], failures: tuple[ErrorClass | None, ...], state: str
) -> None:
    work = _work(*(f"user{n}@example.com" for n in range(len(failures))), closed=closed)
    assert _settled(work, *failures).state == state


def test_what_holds_the_queue_changes_nothing_of_the_message() -> None:
    outcome = _settled(_work("a@example.com", "b@example.com"), None, None, whole=ErrorClass.CONFIGURATION)
    assert (outcome.state, outcome.counted, outcome.recipients) == ("queued", False, ())


def test_a_limit_met_after_some_recipients_were_taken_defers_only_the_others() -> None:
    outcome = _settled(_work("a@example.com", "b@example.com"), None, ErrorClass.RATE)
    assert [entry.state for entry in outcome.recipients] == ["sent", "deferred"]
    assert outcome.counted
