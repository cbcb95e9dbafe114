"""When a test failed: which other port, encryption or host name of the same server would have worked.

A probe goes as far as EHLO inside verified TLS and then says QUIT. It never logs in and sends no mail. The
password was entered for one host, port and encryption; another port may lead to another program or, through a
misdirected network, to another machine, so it must not be tried there before a person has agreed. Both
families of addresses are tried within each probe, as the session itself does.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from emailcfg import rules
from emailcfg.diagnosis.organisation import organisation
from emailcfg.network import NetworkPolicy
from emailcfg.providers import connect
from emailcfg.providers.base import Failure, SessionError, Stage
from emailcfg.providers.reply import NOTHING_SECRET
from emailcfg.providers.sendgrid import BASE_URLS, SendGridSession
from emailcfg.providers.smtp_wire import Wire, WireError
from emailcfg.providers.stages import StageFailed
from emailcfg.schema import Region, Security, SendGrid, Smtp

MAX_PROBES = 8
_USABLE_LOGINS = {"PLAIN", "LOGIN"}
# The usual ports in the order in which they are offered; RFC 8314 prefers TLS from the start.
USUAL: tuple[tuple[int, Security], ...] = (
    (465, "tls"),
    (587, "starttls"),
    (2465, "tls"),
    (2587, "starttls"),
    (2525, "starttls"),
    (25, "starttls"),
)
_ONLY_SES = (2465, 2587)
_SAYS: dict[Security, str] = {
    "tls": "with TLS from the start",
    "starttls": "with STARTTLS",
    "none": "without encryption",
}
# A refusal of these kinds would be the same behind every port.
_HOPELESS = {"name_not_found", "name_server_failed", "address_not_allowed", "login_refused", "trust_unreadable"}
_OPENING = (Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.EHLO)
_WANTS_ENCRYPTION = {"encryption_required", "auth_not_offered", "auth_not_accepted", "password_in_clear"}


@dataclass(frozen=True, slots=True)
class Alternative:
    """`changes` are values by field path, ready to be put into the form. `works_until` is the last stage that
    was proven: EHLO for SMTP (with a usable login on offer, if one is configured), KEY for SendGrid."""

    changes: Mapping[str, object]
    works_until: Stage
    sentence: str

    def as_json(self) -> dict[str, object]:
        return {"changes": dict(self.changes), "works_until": str(self.works_until), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class _Candidate:
    host: str
    port: int
    security: Security


def find_alternatives(
    smtp: Smtp,
    failure: Failure,
    *,
    policy: NetworkPolicy,
    ehlo_name: str = "",
    certificate_names: Sequence[str] = (),
    trust_file: str | None = None,
    usual: Sequence[tuple[int, Security]] = USUAL,
    each_s: float = 4.0,
    total_s: float = 8.0,
) -> list[Alternative]:
    """What would work in place of `smtp`, the smallest change first; [] when nothing would, or when no change of
    port could help. Ends within about `total_s` seconds; at most 8 probes, at the same time.

    `certificate_names` are the names of the certificate that was refused for its name. `usual` are the ports
    and encryptions to try; ports that the policy forbids are left out."""
    candidates = _candidates(smtp, failure, policy, certificate_names, usual)
    if not candidates:
        return []
    deadline = time.monotonic() + total_s
    probe = _Probe(smtp, policy, ehlo_name or "localhost", trust_file, each_s, deadline)
    pool = ThreadPoolExecutor(max_workers=len(candidates), thread_name_prefix="counterprobe")
    running = [pool.submit(probe, candidate) for candidate in candidates]
    wait(running, timeout=total_s + 1)
    pool.shutdown(wait=False, cancel_futures=True)
    worked = [done.result() if done.done() else False for done in running]
    return [_told(smtp, candidate) for candidate, good in zip(candidates, worked, strict=True) if good]


def other_region(
    config: SendGrid,
    failure: Failure,
    *,
    base_urls: Mapping[str, str] = BASE_URLS,
    deadline_s: float = 8.0,
    trust_file: str | None = None,
) -> Alternative | None:
    """Whether SendGrid's host of the other region knows a key that was refused as unknown: `GET /v3/scopes`.

    Unlike SMTP's probes this does send the key, for nothing else could tell: to SendGrid's own other host and to
    no other, over verified TLS. Not for an installation whose API address the operator has replaced."""
    if failure.reply is None or failure.reply.code != 401 or "credits" in failure.reply.text.lower():
        return None
    other: Region = "global" if config.region == "eu" else "eu"
    session = SendGridSession(
        config.model_copy(update={"region": other}),
        api_url=base_urls[other],
        deadline_s=deadline_s,
        trust_file=trust_file,
    )
    try:
        session.open()
    except SessionError as error:
        if error.failure.reason != "scope_missing":  # a key that may not send is known all the same
            return None
    finally:
        session.close()
    name = {"eu": "EU", "global": "global"}[other]
    sentence = f"The key is known in SendGrid's {name} region. Switch Region to “{name}”."
    return Alternative({"sendgrid.region": other}, Stage.KEY, sentence)


def _candidates(
    smtp: Smtp,
    failure: Failure,
    policy: NetworkPolicy,
    certificate_names: Sequence[str],
    usual: Sequence[tuple[int, Security]],
) -> list[_Candidate]:
    if failure.reason in _HOPELESS:
        return []
    if failure.stage not in _OPENING and failure.reason not in _WANTS_ENCRYPTION:
        return []
    if failure.reason == "certificate_wrong_name":
        return [_Candidate(name, smtp.port, smtp.security) for name in _related(smtp.host, certificate_names)]
    encrypted: list[Security] = ["tls", "starttls"]
    if failure.reason in _WANTS_ENCRYPTION:
        encrypted.reverse()  # the server itself asks for STARTTLS
    found = [_Candidate(smtp.host, smtp.port, security) for security in encrypted]
    is_ses = smtp.host.endswith(".amazonaws.com")
    found += [_Candidate(smtp.host, port, security) for port, security in usual if is_ses or port not in _ONLY_SES]
    if smtp.password is None:  # only where no password could leak
        found.append(_Candidate(smtp.host, smtp.port, "none"))
    configured = _Candidate(smtp.host, smtp.port, smtp.security)
    unique = dict.fromkeys(found)
    return [one for one in unique if one != configured and policy.allows_port(one.port)][:MAX_PROBES]


def _related(host: str, names: Sequence[str]) -> list[str]:
    """Names of the same organisation only: whoever answers chooses the names in its certificate."""
    fitting = [name.lower() for name in names if "*" not in name and organisation(name) == organisation(host)]
    return [name for name in dict.fromkeys(fitting) if name != host][:3]


class _Probe:
    """One try. It is given the settings without the password."""

    def __init__(
        self, smtp: Smtp, policy: NetworkPolicy, ehlo_name: str, trust_file: str | None, each_s: float, deadline: float
    ) -> None:
        self._needs_login = smtp.password is not None
        self._ca, self._trust_file = smtp.ca_certificate, trust_file
        self._policy, self._ehlo_name = policy, smtp.ehlo_hostname or ehlo_name
        self._each_s, self._deadline = each_s, deadline

    def __call__(self, candidate: _Candidate) -> bool:
        deadline = min(self._deadline, time.monotonic() + self._each_s)
        try:
            addresses = connect.resolve(
                candidate.host, candidate.port, policy=self._policy, deadline=deadline, facts={}
            )
            sock = connect.connect(addresses, timeout_s=self._each_s, deadline=deadline, facts={})
        except StageFailed:
            return False
        wire = Wire(sock, timeout_s=self._each_s, deadline=deadline, redact=NOTHING_SECRET)
        try:
            return self._converse(wire, candidate, deadline)
        except (StageFailed, WireError, OSError, rules.Refused):
            return False
        finally:
            wire.close()

    def _converse(self, wire: Wire, candidate: _Candidate, deadline: float) -> bool:
        if candidate.security == "tls":
            self._encrypt(wire, candidate, deadline)
        if wire.read_reply().code != 220:
            return False
        offered = self._ehlo(wire)
        if candidate.security == "none" and "STARTTLS" in offered:
            return False  # nobody is talked out of encryption that the server offers
        if candidate.security == "starttls":
            if "STARTTLS" not in offered:
                return False
            wire.send(b"STARTTLS\r\n")
            if wire.read_reply().code != 220:
                return False
            self._encrypt(wire, candidate, deadline)
            offered = self._ehlo(wire)
        good = "" in offered and (not self._needs_login or bool(_USABLE_LOGINS & offered.get("AUTH", set())))
        wire.send(b"QUIT\r\n")
        return good

    def _encrypt(self, wire: Wire, candidate: _Candidate, deadline: float) -> None:
        context = connect.tls_context(self._ca, self._trust_file)
        timeout_s = self._each_s
        wire.take_over(
            connect.encrypt(wire.sock, candidate.host, context=context, timeout_s=timeout_s, deadline=deadline)
        )

    def _ehlo(self, wire: Wire) -> dict[str, set[str]]:
        """What is offered, by keyword; with a key "" when EHLO was accepted."""
        wire.send(f"EHLO {rules.ascii_host(self._ehlo_name)}\r\n".encode())
        reply, lines = wire.read_lines()
        if reply.code != 250:
            return {}
        offered: dict[str, set[str]] = {"": set()}
        for line in lines[1:]:
            words = line.decode("utf-8", "replace").upper().replace("=", " ").split()
            if words:
                offered[words[0]] = offered.get(words[0], set()) | set(words[1:])
        return offered


def _told(smtp: Smtp, candidate: _Candidate) -> Alternative:
    changes: dict[str, object] = {}
    for name, value in (("host", candidate.host), ("port", candidate.port), ("security", candidate.security)):
        if getattr(smtp, name) != value:
            changes[f"smtp.{name}"] = value
    login = " and offers a login" if smtp.password is not None else ""
    sentence = f"{candidate.host} answers on port {candidate.port} {_SAYS[candidate.security]}{login}."
    return Alternative(changes, Stage.EHLO, sentence)
