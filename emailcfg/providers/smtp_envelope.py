"""What comes before the content of a mail over SMTP: which mail is next, its envelope, and the replies to that."""

from collections import deque
from collections.abc import Callable, Iterator

from emailcfg.providers.base import ErrorClass, Failure, Mail, Observer, RecipientResult, Reply, SessionError, Stage
from emailcfg.providers.classify import refusal
from emailcfg.providers.smtp_exchange import Exchange
from emailcfg.providers.smtp_message import Offers, mail_command, rcpt_command, unfit, unfit_recipient
from emailcfg.providers.smtp_outcome import Outcome, Outcomes, Transaction
from emailcfg.providers.smtp_wire import Wire


class Envelopes:
    """The part of a delivery over `wire` that does not depend on how content is sent. `deadline_s` bounds each mail.

    After an exception the connection is in an unknown state and must be closed."""

    _mails: Iterator[Mail]
    _before_data: Callable[[Mail], None]
    _outcomes: Outcomes

    def __init__(self, wire: Wire, offers: Offers, *, deadline_s: float, observer: Observer) -> None:
        self._exchange = Exchange(wire, observer)
        self._offers = offers
        self._deadline_s = deadline_s
        self._again: deque[Transaction] = deque()
        self._needs_reset = False

    def probe(self, mail: Mail) -> Failure | None:
        """Sender and recipients without DATA; the first refusal, or None."""
        self._exchange.start(self._deadline_s)
        failure = unfit(mail, self._offers)
        if failure is not None:
            self._exchange.step(failure.stage, failure=failure)
            return failure
        refused = self._took_sender(self._exchange.ask(Stage.SENDER, mail_command(mail, self._offers)))
        for address in mail.recipients if refused is None else ():
            failure = unfit_recipient(address, self._offers)
            if failure is None:
                reply = self._exchange.ask(Stage.RECIPIENT, rcpt_command(address))
                failure = None if 200 <= reply.code < 300 else refusal(Stage.RECIPIENT, reply)
                self._exchange.step(Stage.RECIPIENT, reply, failure, address=address)
            else:
                self._exchange.step(Stage.RECIPIENT, failure=failure, address=address)
            refused = refused or failure
            if failure is not None and failure.error_class is ErrorClass.HOST:
                raise SessionError(failure)
        self._needs_reset = True
        self._reset()
        return refused

    # What to send

    def _next(self) -> Transaction | None:
        if self._again:
            return self._again.popleft()
        for mail in self._mails:
            transaction = self._prepared(mail)
            if transaction is not None:
                return transaction
        return None

    def _prepared(self, mail: Mail) -> Transaction | None:
        """The first transaction of a mail; None when it was refused here and now."""
        failure = unfit(mail, self._offers)
        if failure is not None:
            self._exchange.step(failure.stage, failure=failure)
            self._outcomes.refused(mail, failure)
            return None
        outcome = Outcome(mail)
        if len(mail.recipients) == 1 and unfit_recipient(mail.recipients[0], self._offers) is None:
            return Transaction(outcome, [0])
        places = []
        for place, address in enumerate(mail.recipients):
            failure = unfit_recipient(address, self._offers)
            if failure is None:
                places.append(place)
            else:
                self._exchange.step(Stage.RECIPIENT, failure=failure, address=address)
                outcome.results[place] = RecipientResult(address, None, failure)
        transactions = self._outcomes.begin(outcome, places)
        self._again.extend(transactions[1:])
        return transactions[0] if transactions else None

    def _envelope(self, transaction: Transaction, end: bytes, *, reset: bool) -> bytes:
        """MAIL and RCPT, and behind them the command `end`; a RSET in front where a transaction may stand open."""
        mail = transaction.mail
        start = b"RSET\r\n" if reset else b""
        start += mail_command(mail, self._offers)
        addresses = mail.recipients
        if len(transaction.places) == 1:
            return b"%bRCPT TO:<%b>\r\n%b" % (start, addresses[transaction.places[0]].encode(), end)
        return start + b"".join([rcpt_command(addresses[place]) for place in transaction.places]) + end

    def _enter(self, outcome: Outcome) -> None:
        """Tells, once for each mail, that the server may accept it from now on."""
        if not outcome.entered:
            outcome.entered = True
            self._before_data(outcome.mail)

    # What comes back

    def _judged(self, stage: Stage, reply: Reply) -> Failure:
        return self._exchange.judged(stage, reply)

    def _took_sender(self, reply: Reply) -> Failure | None:
        failure = None if 200 <= reply.code < 300 else self._judged(Stage.SENDER, reply)
        if self._exchange.watched:
            self._exchange.step(Stage.SENDER, reply, failure)
        return failure

    def _took_recipient(self, transaction: Transaction, place: int, reply: Reply, rest: list[int]) -> None:
        address = transaction.mail.recipients[place]
        failure = None
        if 200 <= reply.code < 300:
            transaction.accepted.append(place)
        else:
            failure = self._judged(Stage.RECIPIENT, reply)
            if failure.reason == "too_many_recipients" and transaction.accepted:
                rest.append(place)
                return
        if self._exchange.watched:
            self._exchange.step(Stage.RECIPIENT, reply, failure, address=address)
        transaction.outcome.results[place] = RecipientResult(address, reply, failure)

    def _reset(self) -> None:
        if self._needs_reset:
            self._took_reset(self._exchange.ask(Stage.SENDER, b"RSET\r\n"))

    def _took_reset(self, reply: Reply) -> None:
        self._needs_reset = False
        if not 200 <= reply.code < 300:
            raise SessionError(Failure(Stage.SENDER, ErrorClass.HOST, "reset_refused", reply))
