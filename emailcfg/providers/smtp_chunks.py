"""Mail transactions by BDAT (RFC 3030), where CHUNKING and PIPELINING are offered: several mails in flight at once.

DATA waits for its 354, so that a connection to a server far away delivers one mail a round trip. `BDAT <size> LAST` and
the content wait for nothing: up to WINDOW mails stand between us and the server, and their replies come in order.

The first mail of a delivery goes in two chunks, its first line and then the rest, with a wait between them that is no
longer than that for a 354. Its answer shows, before any mail could be accepted, that a connection kept open still
stands, that the sender may send, and that the server does speak BDAT. One that answers "unknown command" or the like
(500 to 504) instead, and took none before on this connection, gets this and all further mail by DATA; no mail fails by
that. Were the whole content sent at once, such a server would read its lines as commands."""

from collections import deque
from dataclasses import dataclass

from emailcfg.providers.base import ErrorClass, Failure, Observer, Reply, SessionError, Stage
from emailcfg.providers.classify import refusal
from emailcfg.providers.smtp_message import MAX_RECIPIENTS, Offers
from emailcfg.providers.smtp_outcome import Transaction
from emailcfg.providers.smtp_transactions import Transactions
from emailcfg.providers.smtp_wire import Wire, WireError

WINDOW = 4  # mails in flight, at most
WINDOW_BYTES = 256 * 1024  # of their contents; a larger mail goes alone
_NOT_SPOKEN = range(500, 505)
_REST_S = 3.0  # how long a session that is to end waits for the replies to mails that were already sent


@dataclass(slots=True)
class Chunking:
    """What a connection showed of its server: whether it ever took a chunk, or does not speak BDAT after all."""

    spoken: bool = False
    refused: bool = False


@dataclass(slots=True)
class _Sent:
    """A mail in flight. `end` is where its last byte stands in its write; `whole`: that byte may have left."""

    transaction: Transaction
    envelope: bool = True  # RSET, MAIL and RCPT are still to be answered, too
    end: int = 0
    whole: bool = True
    answered: bool = False  # as far as the recipients
    refused: Failure | None = None  # the sender
    confused: bool = False  # a recipient was taken although the sender was not
    stage: Stage = Stage.SENDER

    @property
    def replies(self) -> int:
        return 3 + len(self.transaction.places) if self.envelope else 1


class ChunkedTransactions(Transactions):
    """Delivers by BDAT. Recipients and bytes in flight are few enough that their replies find room (RFC 2920 3.1), and
    whoever waits for room to send goes on reading."""

    def __init__(
        self, wire: Wire, offers: Offers, chunking: Chunking, *, deadline_s: float, observer: Observer
    ) -> None:
        super().__init__(wire, offers, deadline_s=deadline_s, observer=observer)
        self._chunking = chunking
        self._flight: deque[_Sent] = deque()
        self._stop: Failure | None = None  # ends the session once the mails in flight are accounted for
        self._closing = False  # the last reply said that the server is going to close

    def _deliver_all(self) -> None:
        """The window is filled from the first mail on that shows that the way is open."""
        while (transaction := self._next()) is not None:
            rest = self._begun(transaction)
            if self._chunking.refused:
                super()._deliver_all()
                return
            if rest is not None:
                self._keep_in_flight(transaction, rest)
        self._reset()

    def _keep_in_flight(self, transaction: Transaction, rest: bytes) -> None:
        """Sends the rest of the first mail, and mail after mail while there are any."""
        try:
            self._fill_and_read(transaction, rest)
        except SessionError:
            raise
        except BaseException:  # the caller's own; what is in flight may be accepted all the same
            detail = "The delivery was given up while the answer was awaited."
            self._account(Failure(Stage.ACCEPTED, ErrorClass.IN_DOUBT, "no_reply", detail=detail))
            raise

    def _fill_and_read(self, transaction: Transaction, rest: bytes) -> None:
        self._write([_Sent(transaction, envelope=False)], [b"BDAT %d LAST\r\n" % len(rest), rest])
        while self._flight:
            self._read_first()
            while self._flight and self._exchange.wire.heard(self._flight[0].replies):
                self._read_first()
            if self._stop is None:
                self._write([], [])
        if self._stop is not None:
            raise SessionError(self._stop)

    # The first mail

    def _begun(self, transaction: Transaction) -> bytes | None:
        """Sends the envelope and the first line; the rest of the content if the server took them."""
        self._exchange.start(self._deadline_s)
        content = transaction.mail.content
        line = content[: content.index(b"\n") + 1]
        sent, needs_reset = _Sent(transaction, whole=False), self._needs_reset
        bdat = b"BDAT %d\r\n%b" % (len(line), line)
        self._exchange.send(Stage.SENDER, self._envelope(transaction, bdat, reset=needs_reset))
        try:
            if needs_reset:
                self._took_reset(self._read(sent, Stage.SENDER))
            self._read_envelope_of(sent)
            reply = self._read(sent, Stage.DATA)
        except WireError as error:
            failure = self._exchange.lost(sent.stage, error)
            self._exchange.step(sent.stage, failure=failure)
            raise SessionError(failure) from None
        self._needs_reset = True
        if not transaction.accepted:
            if reply.code == 421:
                raise SessionError(refusal(Stage.DATA, reply))
            self._outcomes.finish(transaction, None, sent.refused)
            return None
        if 200 <= reply.code < 300:
            self._chunking.spoken = True
            if self._exchange.watched:
                self._exchange.step(Stage.DATA, reply)
            return content[len(line) :]
        if reply.code in _NOT_SPOKEN and not self._chunking.spoken:
            self._go_on_by_data(transaction)
            return None
        failure = self._exchange.judged(Stage.DATA, reply)
        self._exchange.step(Stage.DATA, reply, failure)
        self._outcomes.finish(transaction, None, failure)
        return None

    def _go_on_by_data(self, transaction: Transaction) -> None:
        self._chunking.refused = True
        reply = self._exchange.ask(Stage.SENDER, b"RSET\r\n")
        if reply.code >= 500:  # the answer to the line, which was read as a command
            reply = self._exchange.read(Stage.SENDER)
        self._took_reset(reply)
        transaction.places, transaction.accepted = transaction.accepted, []
        transaction.sender_taken = False
        self._again.appendleft(transaction)

    # Sending

    def _write(self, new: list[_Sent], pieces: list[bytes]) -> None:
        """One write with the mails in `new`, whose bytes are `pieces`, and as many more as are there and find room."""
        flight = [*self._flight, *new]
        size = sum(len(sent.transaction.mail.content) for sent in flight)
        people = sum(len(sent.transaction.places) for sent in flight)
        at = sum(map(len, pieces))
        for sent in new:
            sent.end = at
        while len(flight) < WINDOW and (following := self._next()) is not None:
            content = following.mail.content
            size, people = size + len(content), people + len(following.places)
            if flight and (size > WINDOW_BYTES or people > MAX_RECIPIENTS):
                self._again.appendleft(following)
                break
            # A refused BDAT leaves its transaction open or not (RFC 3030 2): the RSET is behind it in any case.
            command = self._envelope(following, b"BDAT %d LAST\r\n" % len(content), reset=True)
            pieces += (command, content)
            at += len(command) + len(content)
            flight.append(sent := _Sent(following, end=at))
            new.append(sent)
        if not new:
            return
        for sent in new:
            self._enter(sent.transaction.outcome)
        self._exchange.start(self._deadline_s)
        self._flight.extend(new)
        try:
            self._exchange.wire.send(b"".join(pieces), hear=True)
        except WireError as error:
            for sent in new:
                sent.whole = sent.end <= error.sent
            self._ends(self._exchange.lost(Stage.ACCEPTED, error))

    # What comes back

    def _read_first(self) -> None:
        """The replies to the mail that was sent first. Its time runs from now: it could not be answered before."""
        if self._stop is None:
            self._exchange.start(self._deadline_s)
        sent = self._flight[0]
        try:
            if sent.envelope:
                reply = self._read(sent, Stage.SENDER)
                if not 200 <= reply.code < 300:
                    self._ends(Failure(Stage.SENDER, ErrorClass.HOST, "reset_refused", reply))
                self._read_envelope_of(sent)
                if self._exchange.watched and sent.transaction.accepted:
                    self._exchange.step(Stage.DATA)  # nothing is said between the envelope and the end
            reply = self._read(sent, Stage.ACCEPTED)
        except WireError as error:
            self._lose(error)
        self._flight.popleft()
        self._took_last(sent, reply)

    def _read(self, sent: _Sent, stage: Stage) -> Reply:
        """The next reply. Of a mail in flight each may take its time: a server may hold them back to the last."""
        sent.stage = stage
        reply = self._exchange.wire.read_reply(until_deadline=sent.whole)
        self._closing = reply.code == 421
        return reply

    def _read_envelope_of(self, sent: _Sent) -> None:
        """The replies to MAIL and RCPT. A refused MAIL speaks for the rest of its transaction."""
        transaction, rest = sent.transaction, list[int]()
        sent.refused = self._took_sender(self._read(sent, Stage.SENDER))
        transaction.sender_taken = sent.refused is None
        for place in transaction.places:
            reply = self._read(sent, Stage.RECIPIENT)
            if sent.refused is None:
                self._took_recipient(transaction, place, reply, rest)
            else:
                sent.confused = sent.confused or 200 <= reply.code < 300
        sent.answered = True
        if rest:
            self._again.appendleft(self._outcomes.continued(transaction, rest))

    def _judged(self, stage: Stage, reply: Reply) -> Failure:
        """While mails are in flight the session can't end before they are accounted for."""
        if not self._flight:
            return super()._judged(stage, reply)
        failure = refusal(stage, reply)
        if failure.error_class is ErrorClass.HOST:
            self._ends(failure)
        return failure

    def _took_last(self, sent: _Sent, reply: Reply) -> None:
        """The reply to the mail's last chunk."""
        transaction = sent.transaction
        taken = 200 <= reply.code < 300
        self._needs_reset = transaction.sender_taken and not taken
        try:
            if transaction.accepted:
                self._took_final(transaction, reply, dot_may_have_left=sent.whole)
            elif taken and sent.confused:
                failure = Failure(Stage.ACCEPTED, ErrorClass.IN_DOUBT, "unexpected_reply", reply)
                self._exchange.step(Stage.ACCEPTED, reply, failure)
                self._outcomes.finish(transaction, None, failure)
                self._ends(Failure(Stage.ACCEPTED, ErrorClass.HOST, "unexpected_reply", reply))
            else:
                self._outcomes.finish(transaction, None, sent.refused)
                if reply.code == 421:
                    self._ends(refusal(Stage.ACCEPTED, reply))
        except SessionError as error:
            self._ends(error.failure)

    # The end of a session

    def _ends(self, failure: Failure) -> None:
        """Nothing more is sent; what was sent is answered within a short time or not at all."""
        if self._stop is None:
            self._stop = failure
            self._exchange.start(_REST_S)

    def _lose(self, error: WireError) -> None:
        """No further reply can be had. What was sent as a whole is in doubt, but for a server that said 421 and closed:
        it did nothing more."""
        lost = self._exchange.lost(Stage.ACCEPTED, error)
        reason = "unreadable_reply" if error.reason == "unreadable_reply" else "no_reply"
        doubt = Failure(Stage.ACCEPTED, ErrorClass.IN_DOUBT, reason, detail=error.detail)
        self._account(lost if self._closing and error.reason == "connection_lost" else doubt, lost)
        raise SessionError(self._stop or lost) from None

    def _account(self, failure: Failure, not_whole: Failure | None = None) -> None:
        """Reports every mail in flight: by its own refusal, else by `failure` if all its bytes may have left."""
        while self._flight:
            sent = self._flight.popleft()
            transaction, own = sent.transaction, failure if sent.whole else not_whole
            refused = sent.refused is not None or (sent.answered and not transaction.accepted)
            if refused and not sent.confused:
                own = sent.refused
            else:
                self._exchange.step(Stage.ACCEPTED, failure=own)
            try:
                self._outcomes.finish(transaction, None, own)
            except SessionError as error:
                self._stop = self._stop or error.failure
