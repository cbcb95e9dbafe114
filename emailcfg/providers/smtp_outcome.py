"""What is known of each mail while its transactions run, and the one report of it to the caller."""

import re
import time
from collections.abc import Callable

from emailcfg.providers.base import ErrorClass, Failure, Mail, RecipientResult, Reply, Result, SessionError
from emailcfg.providers.classify import STOPS
from emailcfg.providers.smtp_message import MAX_RECIPIENTS

_NO_ID = 12  # so short a text holds none
_QUEUE_ID = re.compile(r"queued as ([\w.<>@-]+)|\bid=([\w-]+)|^(?:\d\.\d\.\d )?Ok ([\w-]{16,})", re.IGNORECASE)


class Outcome:
    """What is known of one mail so far, over all the transactions it takes."""

    __slots__ = ("entered", "failure", "mail", "reply", "results", "start", "unfinished")

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.results: list[RecipientResult | None] = [None] * len(mail.recipients)
        self.unfinished: list[Transaction] = []
        self.entered = False  # before_data was called
        self.reply: Reply | None = None  # the final 2xx
        self.failure: Failure | None = None
        self.start = time.perf_counter()


class Transaction:
    """One MAIL ... DATA for some of a mail's recipients (their places in `places`)."""

    __slots__ = ("accepted", "mail", "outcome", "places", "sender_taken")

    def __init__(self, outcome: Outcome, places: list[int]) -> None:
        self.outcome = outcome
        self.mail = outcome.mail
        self.places = places
        self.accepted: list[int] = []
        self.sender_taken = False
        outcome.unfinished.append(self)


class Outcomes:
    """The mails of one delivery. Each is reported to `on_result` once, when all its transactions are finished."""

    def __init__(self, on_result: Callable[[Result], None]) -> None:
        self._on_result = on_result
        self._split: list[Outcome] = []  # mails of several transactions, not yet reported

    def refused(self, mail: Mail, failure: Failure) -> None:
        """Reports a mail that no transaction was begun for."""
        entries = tuple(RecipientResult(address, None) for address in mail.recipients)
        self._on_result(Result(mail, entries, failure=failure))

    def begin(self, outcome: Outcome, places: list[int]) -> list[Transaction]:
        """The transactions for the recipients at `places`; none, and a report, when there are no places."""
        if not places:
            self._report(outcome)
            return []
        parts = [Transaction(outcome, places[at : at + MAX_RECIPIENTS]) for at in range(0, len(places), MAX_RECIPIENTS)]
        if len(parts) > 1:
            self._split.append(outcome)
        return parts

    def continued(self, transaction: Transaction, places: list[int]) -> Transaction:
        """A further transaction for recipients that the server wants in one of their own."""
        outcome = transaction.outcome
        if outcome not in self._split:
            self._split.append(outcome)
        return Transaction(outcome, places)

    def finish(self, transaction: Transaction, reply: Reply | None, failure: Failure | None) -> None:
        outcome = transaction.outcome
        outcome.unfinished.remove(transaction)
        if reply is not None:
            outcome.reply = reply
        elif failure is not None:
            if outcome in self._split:  # then it is not the failure of the mail as a whole
                for place in transaction.accepted or transaction.places:
                    had = outcome.results[place]
                    address = transaction.mail.recipients[place]
                    outcome.results[place] = RecipientResult(address, had.reply if had else None, failure)
            if outcome.failure is None or failure.error_class is ErrorClass.IN_DOUBT:
                outcome.failure = failure
        if not outcome.unfinished:
            self._report(outcome)
        if failure is not None and failure.error_class in STOPS:
            raise SessionError(failure)

    def _report(self, outcome: Outcome) -> None:
        mail, reply, results = outcome.mail, outcome.reply, outcome.results
        entries = [found for found in results if found is not None]
        if len(entries) < len(results):
            entries = [found or RecipientResult(mail.recipients[at], None) for at, found in enumerate(results)]
        if self._split and outcome in self._split:
            self._split.remove(outcome)
        failure, queue_id = outcome.failure, ""
        if reply is not None:
            failure, queue_id = None, _queue_id(reply) if len(reply.text) > _NO_ID else ""
        ms = (time.perf_counter() - outcome.start) * 1000
        self._on_result(Result(mail, tuple(entries), reply, failure, queue_id, ms))

    def abandon(self, failure: Failure) -> None:
        """The session broke: mails of several transactions of which one was sent are reported as they stand."""
        lost = Failure(failure.stage, ErrorClass.HOST, failure.reason, failure.reply, failure.detail)
        for outcome in [outcome for outcome in self._split if outcome.entered]:
            for place in [place for transaction in outcome.unfinished for place in transaction.places]:
                had = outcome.results[place]
                if had is None or had.failure is None:
                    outcome.results[place] = RecipientResult(outcome.mail.recipients[place], None, lost)
            outcome.failure = outcome.failure or lost
            self._report(outcome)


def _queue_id(reply: Reply) -> str:
    found = _QUEUE_ID.search(reply.text)
    return next(filter(None, found.groups()), "") if found else ""
