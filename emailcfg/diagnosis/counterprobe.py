"""When a test failed: which other port, encryption, IP version or host name of the same server would have worked.

A probe goes as far as EHLO inside verified TLS and then says QUIT. It never logs in and sends no mail. The
password was entered for one host, port and encryption; another port may lead to another program or, through a
misdirected network, to another machine, so it must not be tried there before a person has agreed. What does use
the secret, at a destination it was entered for, is in `secret_probes`.

IPv4 and IPv6 are tried apart when the failed session had come through by one of them: connecting tries every address
by itself, but a server that answers and then refuses ends it. The other version is only to blame, and only offered,
when the version in use fails a second time: a passing trouble would be gone by then.
"""

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace

from emailcfg import rules
from emailcfg.diagnosis.organisation import organisation
from emailcfg.network import DEFAULT_PORTS, NetworkPolicy
from emailcfg.providers import connect
from emailcfg.providers.base import Failure, Stage
from emailcfg.providers.reply import NOTHING_SECRET
from emailcfg.providers.smtp_dialogue import MECHANISMS
from emailcfg.providers.smtp_wire import Wire, WireError
from emailcfg.providers.stages import StageFailed
from emailcfg.schema import IpVersion, Security, Smtp

MAX_PROBES = 12
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
_MAX_ADDED = 3
_SAYS: dict[Security, str] = {
    "tls": "with TLS from the start",
    "starttls": "with STARTTLS",
    "none": "without encryption",
}
# A refusal of these kinds would be the same behind every port.
_HOPELESS = {"name_not_found", "name_server_failed", "address_not_allowed", "login_refused", "trust_unreadable"}
_OPENING = (Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.EHLO)
_WANTS_ENCRYPTION = {"encryption_required", "auth_not_offered", "auth_not_accepted", "password_in_clear"}
# A refusal that is about the address this machine has: it may be another one over the other IP version.
_BLAMES_ADDRESS = re.compile(r"\bipv6\b|\bptr\b|reverse (?:dns|host|lookup)", re.IGNORECASE)
_ADDRESS_CODES = ("4.7.25", "5.7.25")  # RFC 7372: the client's address has no name


@dataclass(frozen=True, slots=True)
class Alternative:
    """`changes` are values by field path, ready to be put into the form. `works_until` is the last stage that
    was proven: EHLO for SMTP (with a usable login on offer, if one is configured), LOGIN for another login method,
    KEY for SendGrid."""

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
    ip_version: IpVersion


def find_alternatives(
    smtp: Smtp,
    failure: Failure,
    *,
    policy: NetworkPolicy,
    ehlo_name: str = "",
    certificate_names: Sequence[str] = (),
    used: IpVersion = "any",
    trust_file: str | None = None,
    usual: Sequence[tuple[int, Security]] = USUAL,
    each_s: float = 4.0,
    total_s: float = 8.0,
) -> list[Alternative]:
    """What would work in place of `smtp`, the smallest change first; [] when nothing would, or when no change of
    port could help. Ends within about `total_s` seconds; at most 12 probes, at the same time.

    Beside the `usual` ports those are tried that the operator has allowed in addition, and none that the policy
    forbids. `certificate_names` are the names of the certificate that was refused for its name, `used` is the IP
    version by which the failed session had come through ("any": it was not connected)."""
    configured = _Candidate(smtp.host, smtp.port, smtp.security, smtp.ip_version)
    used = smtp.ip_version if used == "any" else used  # not connected by "any": both were tried
    version = _other_version(failure, used)
    found = [replace(configured, ip_version=version)] if version else []
    found += _candidates(smtp, failure, certificate_names, [*usual, *_added_by_the_operator(policy)])
    candidates = [one for one in dict.fromkeys(found) if one != configured and policy.allows_port(one.port)]
    candidates = candidates[: MAX_PROBES - 1]
    if not candidates:
        return []
    control = replace(configured, ip_version=used) if version and version != "any" else None
    deadline = time.monotonic() + total_s
    probe = _Probe(smtp, policy, ehlo_name or "localhost", trust_file, each_s, deadline)
    again = [control] if control and not _blames_address(failure) else []
    worked = _tried(probe, [*candidates, *again], total_s + 1)
    if control in worked:
        worked = [one for one in worked if one.ip_version == smtp.ip_version]
    return [_told(smtp, one, failure) for one in candidates if one in worked]


def _added_by_the_operator(policy: NetworkPolicy) -> list[tuple[int, Security]]:
    added = sorted((policy.ports or DEFAULT_PORTS) - DEFAULT_PORTS)[:_MAX_ADDED]
    return [(port, security) for port in added for security in ("tls", "starttls")]


def _tried(probe: "_Probe", candidates: Sequence[_Candidate], total_s: float) -> list[_Candidate]:
    """Those that worked; all are tried at the same time."""
    pool = ThreadPoolExecutor(max_workers=len(candidates), thread_name_prefix="counterprobe")
    running = [pool.submit(probe, candidate) for candidate in candidates]
    wait(running, timeout=total_s)
    pool.shutdown(wait=False, cancel_futures=True)
    return [one for one, done in zip(candidates, running, strict=True) if done.done() and done.result()]


def _candidates(
    smtp: Smtp,
    failure: Failure,
    certificate_names: Sequence[str],
    usual: Sequence[tuple[int, Security]],
) -> list[_Candidate]:
    """Other ports, encryptions and host names, the smallest change first."""
    if failure.reason in _HOPELESS:
        return []
    if failure.stage not in _OPENING and failure.reason not in _WANTS_ENCRYPTION:
        return []
    configured = _Candidate(smtp.host, smtp.port, smtp.security, smtp.ip_version)
    if failure.reason == "certificate_wrong_name":
        return [replace(configured, host=name) for name in _related(smtp.host, certificate_names)]
    encrypted: list[Security] = ["tls", "starttls"]
    if failure.reason in _WANTS_ENCRYPTION:
        encrypted.reverse()  # the server itself asks for STARTTLS
    found = [replace(configured, security=security) for security in encrypted]
    is_ses = smtp.host.endswith(".amazonaws.com")
    ports = [(port, security) for port, security in usual if is_ses or port not in _ONLY_SES]
    found += [replace(configured, port=port, security=security) for port, security in ports]
    if smtp.password is None:  # only where no password could leak
        found.append(replace(configured, security="none"))
    return found


def _other_version(failure: Failure, used: IpVersion) -> IpVersion | None:
    """The IP version that the failed session did not use, where it may make a difference."""
    if failure.reason == "ip_version_missing":
        return "any"
    if failure.reason in _HOPELESS or not (failure.stage in _OPENING or _blames_address(failure)):
        return None
    return None if used == "any" else "4" if used == "6" else "6"


def _blames_address(failure: Failure) -> bool:
    reply = failure.reply
    return reply is not None and (
        reply.enhanced in _ADDRESS_CODES or (reply.code >= 400 and _BLAMES_ADDRESS.search(reply.text) is not None)
    )


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
        mechanism = smtp.auth_mechanism
        self._logins = set(MECHANISMS) if mechanism == "auto" else {mechanism.upper()}
        self._ca, self._trust_file = smtp.ca_certificate, trust_file
        self._policy, self._ehlo_name = policy, smtp.ehlo_hostname or ehlo_name
        self._each_s, self._deadline = each_s, deadline

    def __call__(self, candidate: _Candidate) -> bool:
        deadline = min(self._deadline, time.monotonic() + self._each_s)
        try:
            addresses = connect.resolve(
                candidate.host,
                candidate.port,
                policy=self._policy,
                deadline=deadline,
                facts={},
                ip_version=candidate.ip_version,
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
        good = "" in offered and (not self._needs_login or bool(self._logins & offered.get("AUTH", set())))
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


def _told(smtp: Smtp, candidate: _Candidate, failure: Failure) -> Alternative:
    changes = {f"smtp.{name}": value for name, value in asdict(candidate).items() if getattr(smtp, name) != value}
    login = " and offers a login" if smtp.password is not None else ""
    answers = f"answers on port {candidate.port} {_SAYS[candidate.security]}{login}"
    sentence = f"{candidate.host} {answers}."
    if candidate.ip_version != smtp.ip_version:
        used, other = ("IPv6", "IPv4") if candidate.ip_version == "4" else ("IPv4", "IPv6")
        if candidate.ip_version == "any":
            sentence = f"Where both IP versions are allowed, {candidate.host} {answers}."
        elif _blames_address(failure):
            sentence = f"Over {other}, {candidate.host} {answers}; its refusal is about this machine's {used} address."
        else:
            sentence = f"Over {other}, {candidate.host} {answers}. Over {used} it failed twice."
    return Alternative(changes, Stage.EHLO, sentence)
