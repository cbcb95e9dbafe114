"""Mail transactions by DATA over an SMTP connection that is ready: plain, and pipelined where the server offers it.

Both ways share the code that judges replies; they differ only in how many commands stand in one write.
Pipelined (RFC 2920) a write holds the end of one mail and the envelope of the next: body and final dot,
MAIL, RCPT, DATA. A body is never sent before its own 354 was read."""

from collections.abc import Callable, Iterable

from emailcfg.providers.base import ErrorClass, Failure, Mail, RecipientResult, Reply, Result, SessionError, Stage
from emailcfg.providers.classify import refusal
from emailcfg.providers.smtp_envelope import Envelopes
from emailcfg.providers.smtp_message import mail_command, on_the_wire, rcpt_command
from emailcfg.providers.smtp_outcome import Outcomes, Transaction
from emailcfg.providers.smtp_wire import WireError

_LATE_REPLY_S = 0.5


class Transactions(Envelopes):
    """Delivers by DATA."""

    def deliver(
        self, mails: Iterable[Mail], *, before_data: Callable[[Mail], None], on_result: Callable[[Result], None]
    ) -> None:
        """See `base.Session.deliver`."""
        self._mails = iter(mails)
        self._before_data = before_data
        self._outcomes = Outcomes(on_result)
        try:
            self._deliver_all()
        except SessionError as error:
            self._outcomes.abandon(error.failure)
            raise

    def _deliver_all(self) -> None:
        if self._offers.pipelining:
            self._deliver_pipelined()
        else:
            self._deliver_plainly()

    def _deliver_pipelined(self) -> None:
        current: Transaction | None = None  # stands after its 354
        while True:
            following = self._next()
            if following is None and current is None:
                break
            self._exchange.start(self._deadline_s)
            envelope = self._envelope(following, b"DATA\r\n", reset=self._needs_reset) if following is not None else b""
            if current is not None:
                self._send_content(current, envelope)
                self._read_final(current)
            else:
                self._exchange.send(Stage.SENDER, envelope)
            taken = following is not None and (self._took_usual(following) or self._read_envelope(following))
            current = following if taken else None
        self._reset()

    def _deliver_plainly(self) -> None:
        while (transaction := self._next()) is not None:
            self._exchange.start(self._deadline_s)
            self._reset()
            if self._ask_envelope(transaction):
                self._send_content(transaction, b"")
                self._read_final(transaction)
        self._reset()

    # What to send

    def _send_content(self, transaction: Transaction, envelope: bytes) -> None:
        """The content and its final dot (a lone dot when nobody is to get it), with the next envelope behind it."""
        if not transaction.accepted:
            self._exchange.send(Stage.ACCEPTED, b".\r\n" + envelope)
            return
        self._enter(transaction.outcome)
        content = on_the_wire(transaction.mail)
        try:
            self._exchange.wire.send(b"".join((content, b".\r\n", envelope)))
        except WireError as error:
            self._broke_in_content(transaction, error, dot_may_have_left=error.sent > len(content))

    def _broke_in_content(self, transaction: Transaction, error: WireError, *, dot_may_have_left: bool) -> None:
        """The connection failed while the content was being sent. A server that refuses it in the middle has said
        why; without its word the mail is in doubt only if the final dot may have left."""
        broken = Failure(Stage.ACCEPTED, ErrorClass.HOST, error.reason, detail=error.detail)
        try:
            self._exchange.start(_LATE_REPLY_S)
            reply = self._exchange.wire.read_reply()
        except WireError:
            error_class = ErrorClass.IN_DOUBT if dot_may_have_left else ErrorClass.HOST
            reason = "no_reply" if dot_may_have_left else error.reason
            failure = Failure(Stage.ACCEPTED, error_class, reason, detail=error.detail)
            self._exchange.step(Stage.ACCEPTED, failure=failure)
            self._outcomes.finish(transaction, None, failure)
        else:
            self._took_final(transaction, reply, dot_may_have_left=dot_may_have_left)
        raise SessionError(broken)

    # What comes back

    def _took_usual(self, transaction: Transaction) -> bool:
        """Takes the replies to a pipelined envelope of one recipient as a whole when they are here and say yes; else
        nothing is taken. For each mail this saves a tenth of the time that it costs."""
        if self._needs_reset or self._exchange.watched or len(transaction.places) != 1:
            return False
        replies = self._exchange.wire.known(3)
        if replies is None:
            return False
        sender, recipient, data = replies
        if not (200 <= sender.code < 300 and 200 <= recipient.code < 300 and data.code == 354):
            return False
        self._exchange.wire.skip()
        place = transaction.places[0]
        transaction.sender_taken = True
        transaction.accepted.append(place)
        transaction.outcome.results[place] = RecipientResult(transaction.mail.recipients[place], recipient)
        return True

    def _read_envelope(self, transaction: Transaction) -> bool:
        """The replies to a pipelined envelope; True when the server waits for the content."""
        if self._needs_reset:
            self._took_reset(self._exchange.read(Stage.SENDER))
        refused = self._took_sender(self._exchange.read(Stage.SENDER))
        transaction.sender_taken = refused is None
        rest: list[int] = []
        confused = False  # a recipient was taken although the sender was not
        for place in transaction.places:
            reply = self._exchange.read(Stage.RECIPIENT)
            if refused is None:
                self._took_recipient(transaction, place, reply, rest)
            else:
                confused = confused or 200 <= reply.code < 300
        reply = self._exchange.read(Stage.DATA)
        if refused is not None and confused and reply.code == 354:
            # A lone dot could send an empty message here; without one the server has to forget the transaction.
            self._outcomes.finish(transaction, None, refused)
            raise SessionError(Failure(Stage.DATA, ErrorClass.HOST, "unexpected_reply", reply))
        return self._took_envelope(transaction, refused, rest, reply)

    def _ask_envelope(self, transaction: Transaction) -> bool:
        """The same one command at a time, without those that have become pointless."""
        refused = self._took_sender(self._exchange.ask(Stage.SENDER, mail_command(transaction.mail, self._offers)))
        transaction.sender_taken = refused is None
        rest: list[int] = []
        for at, place in enumerate(transaction.places if refused is None else ()):
            address = transaction.mail.recipients[place]
            self._took_recipient(transaction, place, self._exchange.ask(Stage.RECIPIENT, rcpt_command(address)), rest)
            if rest:
                rest = transaction.places[at:]
                break
        reply = self._exchange.ask(Stage.DATA, b"DATA\r\n") if transaction.accepted else None
        return self._took_envelope(transaction, refused, rest, reply)

    def _took_envelope(
        self, transaction: Transaction, refused: Failure | None, rest: list[int], reply: Reply | None
    ) -> bool:
        """Judges the reply to DATA (None: not asked); True when content or a lone dot is to follow."""
        if rest:
            self._again.appendleft(self._outcomes.continued(transaction, rest))
        if reply is not None and reply.code == 354:
            if self._exchange.watched and transaction.accepted:
                self._exchange.step(Stage.DATA, reply)
            if not transaction.accepted:
                self._outcomes.finish(transaction, None, refused)
            return True
        self._needs_reset = transaction.sender_taken
        if not transaction.accepted:
            if reply is not None and reply.code == 421:
                raise SessionError(refusal(Stage.DATA, reply))
            self._outcomes.finish(transaction, None, refused)
            return False
        assert reply is not None  # noqa: S101  asked whenever a recipient was accepted
        failure = self._exchange.judged(Stage.DATA, reply)
        self._exchange.step(Stage.DATA, reply, failure)
        self._outcomes.finish(transaction, None, failure)
        return False

    def _read_final(self, transaction: Transaction) -> None:
        try:
            reply = self._exchange.wire.read_reply(until_deadline=True)
        except WireError as error:
            if transaction.accepted:
                reason = "unreadable_reply" if error.reason == "unreadable_reply" else "no_reply"
                failure = Failure(Stage.ACCEPTED, ErrorClass.IN_DOUBT, reason, detail=error.detail)
                self._exchange.step(Stage.ACCEPTED, failure=failure)
                self._outcomes.finish(transaction, None, failure)
            raise SessionError(self._exchange.lost(Stage.ACCEPTED, error)) from None
        if transaction.accepted:
            self._took_final(transaction, reply)
        elif reply.code == 421:
            raise SessionError(refusal(Stage.ACCEPTED, reply))

    def _took_final(self, transaction: Transaction, reply: Reply, *, dot_may_have_left: bool = True) -> None:
        if 200 <= reply.code < 300 and dot_may_have_left:
            if self._exchange.watched:
                self._exchange.step(Stage.ACCEPTED, reply)
            self._outcomes.finish(transaction, reply, None)
            return
        failure = refusal(Stage.ACCEPTED, reply)
        self._exchange.step(Stage.ACCEPTED, reply, failure)
        self._outcomes.finish(transaction, None, failure)
        if failure.error_class is ErrorClass.IN_DOUBT:
            raise SessionError(Failure(Stage.ACCEPTED, ErrorClass.HOST, failure.reason, reply))
