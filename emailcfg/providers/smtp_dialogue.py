"""The SMTP commands before any mail: greeting, EHLO, STARTTLS and the login."""

import base64
import contextlib
import ipaddress

from pydantic import SecretStr

from emailcfg import rules
from emailcfg.providers import connect
from emailcfg.providers.base import ErrorClass, Reply, Stage
from emailcfg.providers.classify import refusal
from emailcfg.providers.reply import Redactor, words
from emailcfg.providers.smtp_wire import Wire, WireError
from emailcfg.providers.stages import Note, StageFailed, failed
from emailcfg.schema import AuthMechanism

# The mechanisms that this product speaks, the better one first.
MECHANISMS = ("PLAIN", "LOGIN")


def ehlo_name(name: str, *, local_ip: str) -> str:
    """What to call ourselves: `name` in its ASCII form, or the address literal of the connection's own address
    (RFC 5321 4.1.3) when there is none."""
    if name:
        with contextlib.suppress(rules.Refused):
            name = rules.ascii_host(name)
    try:
        ip = ipaddress.ip_address((name or local_ip).split("%", 1)[0])
    except ValueError:
        return name
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"


class Dialogue:
    """Speaks over `wire` under the name `ehlo_name`; every method raises StageFailed.

    `offered` is what the server offered at the last EHLO: keyword in upper case to its parameters."""

    def __init__(self, wire: Wire, ehlo_name: str, redact: Redactor) -> None:
        self._wire = wire
        self.ehlo_name = ehlo_name
        self._redact = redact
        self.offered: dict[str, str] = {}

    def greeting(self) -> Reply:
        return self._expect(Stage.GREETING, self._read(Stage.GREETING), 220)

    def starttls(self) -> Reply:
        """EHLO and STARTTLS; the handshake is to follow."""
        self.ehlo()
        if "STARTTLS" not in self.offered:
            offered = ", ".join(self.offered) or "nothing"
            raise failed(Stage.TLS, ErrorClass.CONFIGURATION, "starttls_not_offered", f"The server offers: {offered}.")
        return self._expect(Stage.TLS, self._command(Stage.TLS, b"STARTTLS\r\n"), 220)

    def ehlo(self) -> Reply:
        """EHLO; what the server offers is then in `offered`."""
        try:
            self._wire.send(f"EHLO {self.ehlo_name}\r\n".encode())
            reply, lines = self._wire.read_lines()
        except WireError as error:
            raise failed(Stage.EHLO, ErrorClass.HOST, error.reason, error.detail) from None
        self._expect(Stage.EHLO, reply, 250)
        self.offered = {}
        for line in filter(None, lines[1:]):
            keyword, _, parameters = words(line, self._redact).replace("=", " ", 1).partition(" ")
            before = self.offered.get(keyword.upper(), "")
            self.offered[keyword.upper()] = f"{before} {parameters}".strip()
        return reply

    def note_offers(self, note: Note) -> None:
        """Writes down what the server offers, in words and as facts."""
        offered = self.offered
        size = offered.get("SIZE", "")
        note.facts.update(
            ehlo_name=self.ehlo_name,
            size=int(size) if size.isdecimal() else None,
            auth=offered.get("AUTH", "").upper().split(),
            pipelining="PIPELINING" in offered,
            smtputf8="SMTPUTF8" in offered,
            eightbitmime="8BITMIME" in offered,
            starttls="STARTTLS" in offered,
        )
        note.detail = ", ".join(f"{keyword} {value}".strip() for keyword, value in offered.items())

    def login(
        self,
        note: Note,
        user_name: str,
        password: SecretStr | None,
        *,
        encrypted: bool,
        mechanism: AuthMechanism = "auto",
    ) -> None:
        """One attempt by `mechanism` ("auto": PLAIN, else LOGIN), and never in clear but within this machine (RFC
        4954, RFC 4616).

        With "auto", a server that lists PLAIN and answers 504 has looked at no password (RFC 4954 section 4: the
        mechanism is not known to it), so LOGIN, if it is offered, is the first attempt. After any other refusal
        nothing is tried again: servers lock accounts for that."""
        if not user_name or password is None:
            note.ok, note.detail = None, "No login is configured."
            return
        mechanisms = self.offered.get("AUTH", "").upper().split()
        note.facts.update(mechanisms=mechanisms, username=user_name)
        if not encrypted and not connect.is_loopback(self._wire.sock):
            raise failed(Stage.LOGIN, ErrorClass.CONFIGURATION, "password_in_clear", "The connection is not encrypted.")
        usable = [name for name in MECHANISMS if name in mechanisms]
        if not usable:
            detail = f"The server offers: {', '.join(mechanisms)}." if mechanisms else "The server offers no login."
            raise failed(Stage.LOGIN, ErrorClass.CONFIGURATION, "auth_not_offered", detail)
        if mechanism != "auto":
            note.facts["mechanism_set"] = mechanism.upper()
            usable = [name for name in usable if name == mechanism.upper()]
        if not usable:
            detail = f"The server offers: {', '.join(mechanisms)}."
            raise failed(Stage.LOGIN, ErrorClass.CONFIGURATION, "mechanism_not_offered", detail)
        user, secret = user_name.encode(), password.get_secret_value().encode()
        note.facts["mechanism"] = usable[0]
        reply = self._plain(user, secret) if usable[0] == "PLAIN" else self._login(user, secret)
        refused = ""
        if reply.code == 504 and usable == ["PLAIN", "LOGIN"]:
            note.facts.update(mechanism="LOGIN", mechanism_refused="PLAIN")
            refused = f"; PLAIN was refused: {reply.code} {reply.text}"
            reply = self._login(user, secret)
        note.reply = self._expect(Stage.LOGIN, reply, 235)
        note.detail = f"{note.facts['mechanism']} as {user_name}{refused}"

    def _plain(self, user: bytes, secret: bytes) -> Reply:
        initial = base64.b64encode(b"\0" + user + b"\0" + secret)
        return self._command(Stage.LOGIN, b"AUTH PLAIN " + initial + b"\r\n")

    def _login(self, user: bytes, secret: bytes) -> Reply:
        for answer in (b"AUTH LOGIN", base64.b64encode(user)):
            self._expect(Stage.LOGIN, self._command(Stage.LOGIN, answer + b"\r\n"), 334)
        return self._command(Stage.LOGIN, base64.b64encode(secret) + b"\r\n")

    def _read(self, stage: Stage) -> Reply:
        try:
            return self._wire.read_reply()
        except WireError as error:
            raise failed(stage, ErrorClass.HOST, error.reason, error.detail) from None

    def _command(self, stage: Stage, line: bytes) -> Reply:
        try:
            self._wire.send(line)
        except WireError as error:
            raise failed(stage, ErrorClass.HOST, error.reason, error.detail) from None
        return self._read(stage)

    @staticmethod
    def _expect(stage: Stage, reply: Reply, code: int) -> Reply:
        if reply.code != code:
            raise StageFailed(refusal(stage, reply))
        return reply
