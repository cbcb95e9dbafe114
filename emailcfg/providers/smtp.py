"""A kept-open session with an SMTP server (RFC 5321): connect, encrypt, log in, deliver.

Every stage of opening is reported to the observer. Encryption is what the configuration says and never
less; a configured login is used or the session fails; nothing is tried twice behind the caller's back."""

import contextlib
import time
from collections.abc import Callable, Iterable

from emailcfg import rules
from emailcfg.network import NetworkPolicy
from emailcfg.providers import certificate, connect
from emailcfg.providers.base import (
    ErrorClass,
    Failure,
    Mail,
    Observer,
    Result,
    SessionError,
    Stage,
    Wait,
    ignore_steps,
)
from emailcfg.providers.reply import Redactor
from emailcfg.providers.smtp_chunks import ChunkedTransactions, Chunking
from emailcfg.providers.smtp_dialogue import Dialogue, ehlo_name
from emailcfg.providers.smtp_message import Offers
from emailcfg.providers.smtp_transactions import Transactions
from emailcfg.providers.smtp_wire import Wire, WireError, block
from emailcfg.providers.stages import Note, StageFailed, Stages
from emailcfg.schema import Smtp, StoredSecret

_CLOSING_S = 2.0
_PEEK_S = 5.0


class SmtpSession:
    """Implements `base.Session`. `smtp.password` must be the resolved secret or None.

    `ehlo_default` names this machine at EHLO when the configuration does not; when both are empty, the
    connection's address literal does. `deadline_s` bounds opening as a whole, and each mail. `trust_file`
    is a PEM file of further authorities (SSL_CERT_FILE)."""

    def __init__(
        self,
        smtp: Smtp,
        *,
        policy: NetworkPolicy,
        ehlo_default: str = "",
        deadline_s: float = 120.0,
        trust_file: str | None = None,
    ) -> None:
        if isinstance(smtp.password, StoredSecret):
            raise TypeError("the password must be resolved before a session is made")
        self._smtp = smtp
        self._policy = policy
        self._ehlo_default = ehlo_default
        self._deadline_s = deadline_s
        self._trust_file = trust_file
        self._password = smtp.password
        self._redact = Redactor(smtp.password.get_secret_value() if smtp.password else "", user=smtp.username)
        self._wire: Wire | None = None
        self._addresses: list[connect.Address] = []
        self._offers = Offers.of({})
        self._chunking = Chunking()
        self.server = f"[{smtp.host}]:{smtp.port}" if ":" in smtp.host else f"{smtp.host}:{smtp.port}"
        self.tls = ""
        self.wait: Wait | None = block

    def __repr__(self) -> str:
        return f"SmtpSession({self.server})"

    # Opening

    def open(self, observer: Observer = ignore_steps) -> None:
        """Makes the session ready for mail; raises SessionError. An open session is closed first."""
        self.close()
        stages = Stages(observer)
        watched = observer is not ignore_steps
        try:
            wire, dialogue = self._connect(stages)
            if self._smtp.security == "tls":
                with stages.stage(Stage.TLS) as note:
                    self._handshake(wire, dialogue, note, watched=watched)
            with stages.stage(Stage.GREETING) as note:
                note.reply = dialogue.greeting()
                note.detail = note.reply.text
            if self._smtp.security == "starttls":
                with stages.stage(Stage.TLS) as note:
                    note.reply = dialogue.starttls()
                    self._handshake(wire, dialogue, note, watched=watched)
            elif self._smtp.security == "none":
                with stages.stage(Stage.TLS) as note:
                    note.ok, note.detail = None, "Not encrypted, as configured."
            with stages.stage(Stage.EHLO) as note:
                note.reply = dialogue.ehlo()
                dialogue.note_offers(note)
            with stages.stage(Stage.LOGIN) as note:
                dialogue.login(
                    note,
                    self._smtp.username,
                    self._password,
                    encrypted=bool(self.tls),
                    mechanism=self._smtp.auth_mechanism,
                )
            self._offers, self._chunking = Offers.of(dialogue.offered), Chunking()
        except BaseException:
            self._drop()
            raise

    def _connect(self, stages: Stages) -> tuple[Wire, Dialogue]:
        smtp = self._smtp
        deadline = time.monotonic() + self._deadline_s
        with stages.stage(Stage.RESOLVE) as note:
            self._addresses = connect.resolve(
                smtp.host,
                smtp.port,
                policy=self._policy,
                deadline=deadline,
                facts=note.facts,
                ip_version=smtp.ip_version,
            )
            note.detail = ", ".join(address.ip for address in self._addresses)
        with stages.stage(Stage.CONNECT) as note:
            sock = connect.connect(self._addresses, timeout_s=smtp.timeout_s, deadline=deadline, facts=note.facts)
            self._wire = wire = Wire(sock, timeout_s=smtp.timeout_s, deadline=deadline, redact=self._redact)
            note.detail = f"{note.facts['address']}, port {smtp.port}"
            name = ehlo_name(smtp.ehlo_hostname or self._ehlo_default, local_ip=sock.getsockname()[0])
        return wire, Dialogue(wire, name, self._redact)

    def _handshake(self, wire: Wire, dialogue: Dialogue, note: Note, *, watched: bool) -> None:
        context = connect.tls_context(self._smtp.ca_certificate, self._trust_file)
        try:
            encrypted = connect.encrypt(
                wire.sock,
                self._smtp.host,
                context=context,
                timeout_s=self._smtp.timeout_s,
                deadline=wire.deadline,
            )
        except StageFailed as problem:
            if watched and problem.failure.reason.startswith("certificate_"):
                note.facts["certificate"] = self._presented_certificate(dialogue.ehlo_name, wire.deadline)
            raise
        wire.take_over(encrypted)
        note.facts.update(certificate.tls_facts(encrypted))
        self.tls = str(note.facts["version"])
        note.detail = certificate.in_words(note.facts)

    def _presented_certificate(self, name: str, deadline: float) -> dict[str, object]:
        """The facts of a certificate that was not accepted, read over a second connection that sends no mail."""
        timeout_s = min(_PEEK_S, self._smtp.timeout_s, deadline - time.monotonic())
        try:
            sock = connect.connect(self._addresses, timeout_s=timeout_s, deadline=deadline, facts={})
        except StageFailed:
            return {}
        try:
            if self._smtp.security == "starttls":
                wire = Wire(sock, timeout_s=timeout_s, deadline=deadline, redact=self._redact)
                dialogue = Dialogue(wire, name, self._redact)
                dialogue.greeting()
                dialogue.starttls()
            return certificate.presented(sock, rules.ascii_host(self._smtp.host), timeout_s)
        except StageFailed:
            return {}
        finally:
            sock.close()

    # Mail

    def deliver(
        self,
        mails: Iterable[Mail],
        *,
        before_data: Callable[[Mail], None],
        on_result: Callable[[Result], None],
        observer: Observer = ignore_steps,
    ) -> None:
        """See `base.Session.deliver`. With PIPELINING the next mail is drawn from `mails` before the one before it
        is sent, with CHUNKING up to four, so an iterable that waits delays them all. The session is closed when this
        raises."""
        transactions = self._transactions(observer)
        try:
            transactions.deliver(mails, before_data=before_data, on_result=on_result)
        except BaseException:
            self._drop()
            raise

    def probe(self, mail: Mail, observer: Observer = ignore_steps) -> None:
        """Asks for the sender and each recipient, then takes it back; raises SessionError for the first refusal,
        after all were asked."""
        transactions = self._transactions(observer)
        try:
            refused = transactions.probe(mail)
        except BaseException:
            self._drop()
            raise
        if refused is not None:
            raise SessionError(refused)

    def close(self) -> None:
        """Says QUIT, waits shortly for the answer, and closes. Whatever comes of it is of no interest."""
        wire = self._wire
        if wire is not None:
            wire.wait, wire.deadline = block, time.monotonic() + _CLOSING_S
            with contextlib.suppress(WireError):
                wire.send(b"QUIT\r\n")
                wire.read_reply()
        self._drop()

    def _transactions(self, observer: Observer) -> Transactions:
        wire = self._opened()
        wire.wait = self.wait or block
        offers, chunking = self._offers, self._chunking
        if offers.chunking and offers.pipelining and not chunking.refused:
            return ChunkedTransactions(wire, offers, chunking, deadline_s=self._deadline_s, observer=observer)
        return Transactions(wire, offers, deadline_s=self._deadline_s, observer=observer)

    def _opened(self) -> Wire:
        if self._wire is None:
            raise SessionError(
                Failure(Stage.CONNECT, ErrorClass.HOST, "connection_lost", detail="The session is closed.")
            )
        return self._wire

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None
        self.tls = ""
