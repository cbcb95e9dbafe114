"""From what the log recorded to plain words."""

import pytest

from outbound import explained
from outbound.models import Attempt, Breaker
from tests.outbound.log_making import ACCEPTED, GREYLISTED, NO_ANSWER, REFUSED, UNKNOWN_MAILBOX


def attempt(values: dict[str, object], server: str = "smtp.acme.example:587") -> Attempt:
    return Attempt(**{"server": server, **values})


def test_an_accepted_attempt_needs_no_explanation() -> None:
    assert explained.of_attempt(attempt(ACCEPTED)) is None


@pytest.mark.parametrize("values", [REFUSED, GREYLISTED, UNKNOWN_MAILBOX, NO_ANSWER])
def test_every_failure_has_a_title_a_cause_a_next_step_and_the_words(values: dict[str, object]) -> None:
    told = explained.of_attempt(attempt(values))
    assert told is not None
    assert told.title
    assert not told.title.endswith(".")
    assert told.cause
    assert told.next_step
    assert told.words == values["reply"]  # the code once, not twice


def test_the_server_of_the_attempt_is_named() -> None:
    told = explained.of_attempt(attempt({**REFUSED}, server="smtp.gmail.com:587"))
    assert told is not None
    assert "smtp.gmail.com" in told.cause


@pytest.mark.parametrize("server", ["", "[2001:db8::1]:25", "odd"])
def test_odd_servers_are_explained_too(server: str) -> None:
    assert explained.of_attempt(attempt(REFUSED, server=server)) is not None


def test_unknown_stages_and_reasons_are_explained_by_their_class() -> None:
    told = explained.of_attempt(attempt({"stage": "later", "error_class": "host", "reason": "new_word", "reply": "x"}))
    assert told is not None
    assert told.words == "x"


@pytest.mark.parametrize(
    ("sentence", "words"), [("535 5.7.8 no", "535 5.7.8 no"), ("timed out", "timed out"), ("", "")]
)
def test_a_breaker_is_explained_by_what_opened_it(sentence: str, words: str) -> None:
    breaker = Breaker(error_class="configuration", stage="login", reason="login_refused", sentence=sentence)
    assert explained.of_breaker(breaker).words == words


def test_an_unknown_cause_is_shown_as_words() -> None:
    assert explained.of_cause("some_new_cause").title == "Some new cause"
    assert explained.of_cause("expired").next_step
