"""A kept-open session with an SMTP server (RFC 5321): connect, encrypt, log in, deliver.

Every stage of opening is reported to the observer. Encryption is what the configuration says and never
less; a configured login is used or the session fails; nothing is tried twice behind the caller's back."""

import base64
import contextlib
import ipaddress
import ssl
import time
from collections.abc import Callable, Iterable

from pydantic import SecretStr

from emailcfg import rules
from emailcfg.network import NetworkPolicy
from emailcfg.providers import certificate, connect
from emailcfg.providers.base import (
    ErrorClass,
    Failure,
    Mail,
    Observer,
    Reply,
    Result,
    SessionError,
    Stage,
    ignore_steps,
)
from emailcfg.providers.classify import refusal
from emailcfg.providers.reply import Redactor, words
from emailcfg.providers.smtp_transactions import Transactions
from emailcfg.providers.smtp_wire import Wire, WireError
from emailcfg.providers.stages import Note, StageFailed, Stages, failed
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
        password = smtp.password.get_secret_value() if isinstance(smtp.password, SecretStr) else ""
        self._redact = Redactor(password, user=smtp.username)
        self._wire: Wire | None = None
        self._addresses: list[connect.Address] = []
        self._capabilities: dict[str, str] = {}
        self._ehlo_name = ""
        self.server = f"[{smtp.host}]:{smtp.port}" if ":" in smtp.host else f"{smtp.host}:{smtp.port}"
        self.tls = ""

    def __repr__(self) -> str:
        return f"SmtpSession({self.server})"

    @property
    def capabilities(self) -> dict[str, str]:
        """What the server offered at the last EHLO: keyword in upper case to its parameters."""
        return dict(self._capabilities)

    # Opening

    def open(self, observer: Observer = ignore_steps) -> None:
        """Makes the session ready for mail; raises SessionError. An open session is closed first."""
        self.close()
        stages = Stages(observer)
        deadline = time.monotonic() + self._deadline_s
        try:
            self._connect(stages, deadline)
            if self._smtp.security == "tls":
                self._encrypt_from_start(stages, watched=observer is not ignore_steps)
            with stages.stage(Stage.GREETING) as note:
                note.reply = self._expect(Stage.GREETING, self._read(Stage.GREETING), 220)
                note.detail = note.reply.text
            if self._smtp.security == "starttls":
                self._encrypt_by_starttls(stages, watched=observer is not ignore_steps)
            elif self._smtp.security == "none":
                with stages.stage(Stage.TLS) as note:
                    note.ok, note.detail = None, "Not encrypted, as configured."
            with stages.stage(Stage.EHLO) as note:
                note.reply = self._ehlo()
                self._note_capabilities(note)
            with stages.stage(Stage.LOGIN) as note:
                self._login(note)
        except BaseException:
            self._drop()
            raise

    def _connect(self, stages: Stages, deadline: float) -> None:
        smtp = self._smtp
        with stages.stage(Stage.RESOLVE) as note:
            self._addresses = connect.resolve(
                smtp.host, smtp.port, policy=self._policy, deadline=deadline, facts=note.facts
            )
            note.detail = ", ".join(address.ip for address in self._addresses)
        with stages.stage(Stage.CONNECT) as note:
            sock = connect.connect(self._addresses, timeout_s=smtp.timeout_s, deadline=deadline, facts=note.facts)
            self._wire = Wire(sock, timeout_s=smtp.timeout_s, deadline=deadline, redact=self._redact)
            note.detail = f"{note.facts['address']}, port {smtp.port}"
            self._ehlo_name = self._own_name(sock.getsockname()[0])

    def _own_name(self, local_ip: str) -> str:
        name = self._smtp.ehlo_hostname or self._ehlo_default
        if name:
            with contextlib.suppress(rules.Refused):
                name = rules.ascii_host(name)
            literal = name
        else:
            literal = local_ip
        try:
            ip = ipaddress.ip_address(literal.split("%", 1)[0])
        except ValueError:
            return name
        return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"

    def _encrypt_from_start(self, stages: Stages, *, watched: bool) -> None:
        with stages.stage(Stage.TLS) as note:
            self._handshake(note, watched=watched)

    def _encrypt_by_starttls(self, stages: Stages, *, watched: bool) -> None:
        with stages.stage(Stage.TLS) as note:
            self._ehlo()
            if "STARTTLS" not in self._capabilities:
                offered = ", ".join(self._capabilities) or "nothing"
                raise failed(
                    Stage.TLS, ErrorClass.CONFIGURATION, "starttls_not_offered", f"The server offers: {offered}."
                )
            note.reply = self._expect(Stage.TLS, self._command(Stage.TLS, b"STARTTLS\r\n"), 220)
            self._handshake(note, watched=watched)

    def _handshake(self, note: Note, *, watched: bool) -> None:
        wire = self._opened()
        try:
            context = connect.tls_context(self._smtp.ca_certificate, self._trust_file)
        except (OSError, ssl.SSLError) as error:
            raise failed(Stage.TLS, ErrorClass.CONFIGURATION, "trust_unreadable", words(str(error))) from None
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
                note.facts["certificate"] = self._presented_certificate(wire.deadline)
            raise
        wire.take_over(encrypted)
        note.facts.update(certificate.tls_facts(encrypted))
        self.tls = str(note.facts["version"])
        note.detail = f"{self.tls}, {note.facts['cipher']}"

    def _presented_certificate(self, deadline: float) -> dict[str, object]:
        """The facts of a certificate that was not accepted, read over a second connection that sends no mail."""
        timeout_s = min(_PEEK_S, self._smtp.timeout_s, deadline - time.monotonic())
        try:
            sock = connect.connect(self._addresses, timeout_s=timeout_s, deadline=deadline, facts={})
        except StageFailed:
            return {}
        try:
            if self._smtp.security == "starttls":
                wire = Wire(sock, timeout_s=timeout_s, deadline=deadline, redact=self._redact)
                for command in (b"", f"EHLO {self._ehlo_name}\r\n".encode(), b"STARTTLS\r\n"):
                    wire.send(command)
                    wire.read_reply()
            return certificate.presented(sock, rules.ascii_host(self._smtp.host), timeout_s)
        except WireError:
            return {}
        finally:
            sock.close()

    def _ehlo(self) -> Reply:
        wire = self._opened()
        try:
            wire.send(f"EHLO {self._ehlo_name}\r\n".encode())
            reply, lines = wire.read_lines()
        except WireError as error:
            raise failed(Stage.EHLO, ErrorClass.HOST, error.reason, error.detail) from None
        self._expect(Stage.EHLO, reply, 250)
        self._capabilities = {}
        for line in filter(None, lines[1:]):
            keyword, _, parameters = words(line, self._redact).replace("=", " ", 1).partition(" ")
            before = self._capabilities.get(keyword.upper(), "")
            self._capabilities[keyword.upper()] = f"{before} {parameters}".strip()
        return reply

    def _note_capabilities(self, note: Note) -> None:
        offered = self._capabilities
        size = offered.get("SIZE", "")
        note.facts.update(
            ehlo_name=self._ehlo_name,
            size=int(size) if size.isdecimal() else None,
            auth=offered.get("AUTH", "").upper().split(),
            pipelining="PIPELINING" in offered,
            smtputf8="SMTPUTF8" in offered,
            eightbitmime="8BITMIME" in offered,
            starttls="STARTTLS" in offered,
        )
        note.detail = ", ".join(f"{keyword} {value}".strip() for keyword, value in offered.items())

    def _login(self, note: Note) -> None:
        smtp = self._smtp
        if not smtp.username or not isinstance(smtp.password, SecretStr):
            note.ok, note.detail = None, "No login is configured."
            return
        mechanisms = self._capabilities.get("AUTH", "").upper().split()
        note.facts.update(mechanisms=mechanisms, username=smtp.username)
        wire = self._opened()
        if not self.tls and not connect.is_loopback(wire.sock):
            raise failed(Stage.LOGIN, ErrorClass.CONFIGURATION, "password_in_clear", "The connection is not encrypted.")
        mechanism = next((name for name in ("PLAIN", "LOGIN") if name in mechanisms), None)
        if mechanism is None:
            detail = f"The server offers: {', '.join(mechanisms)}." if mechanisms else "The server offers no login."
            raise failed(Stage.LOGIN, ErrorClass.CONFIGURATION, "auth_not_offered", detail)
        note.facts["mechanism"] = mechanism
        user, password = smtp.username.encode(), smtp.password.get_secret_value().encode()
        if mechanism == "PLAIN":
            answers = [b"AUTH PLAIN " + base64.b64encode(b"\0" + user + b"\0" + password)]
        else:
            answers = [b"AUTH LOGIN", base64.b64encode(user), base64.b64encode(password)]
        for answer in answers[:-1]:
            self._expect(Stage.LOGIN, self._command(Stage.LOGIN, answer + b"\r\n"), 334)
        note.reply = self._expect(Stage.LOGIN, self._command(Stage.LOGIN, answers[-1] + b"\r\n"), 235)
        note.detail = f"{mechanism} as {smtp.username}"

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
        is sent, so an iterable that waits delays both. The session is closed when this raises."""
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
            wire.deadline = time.monotonic() + _CLOSING_S
            with contextlib.suppress(WireError):
                wire.send(b"QUIT\r\n")
                wire.read_reply()
        self._drop()

    def _transactions(self, observer: Observer) -> Transactions:
        return Transactions(self._opened(), self._capabilities, deadline_s=self._deadline_s, observer=observer)

    # The dialogue

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

    def _read(self, stage: Stage) -> Reply:
        try:
            return self._opened().read_reply()
        except WireError as error:
            raise failed(stage, ErrorClass.HOST, error.reason, error.detail) from None

    def _command(self, stage: Stage, line: bytes) -> Reply:
        try:
            self._opened().send(line)
        except WireError as error:
            raise failed(stage, ErrorClass.HOST, error.reason, error.detail) from None
        return self._read(stage)

    @staticmethod
    def _expect(stage: Stage, reply: Reply, code: int) -> Reply:
        if reply.code != code:
            raise StageFailed(refusal(stage, reply))
        return reply
