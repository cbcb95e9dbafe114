"""From a host name to a connected, encrypted socket: every address tried, each checked against the policy."""

import errno
import functools
import ipaddress
import os
import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from emailcfg import rules
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import ErrorClass, Stage
from emailcfg.providers.reply import words
from emailcfg.providers.stages import StageFailed, failed
from emailcfg.schema import IpVersion

_NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@dataclass(frozen=True, slots=True)
class Address:
    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def ip(self) -> str:
        return self.sockaddr[0]

    @property
    def version(self) -> IpVersion:
        return "6" if self.family == socket.AF_INET6 else "4"


def remaining(deadline: float, stage: Stage) -> float:
    """The seconds until `deadline` (on time.monotonic's clock); a host failure when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise failed(stage, ErrorClass.HOST, "timed_out", "The time for the whole attempt is used up.")
    return left


def resolve(
    host: str,
    port: int,
    *,
    policy: NetworkPolicy,
    deadline: float,
    facts: dict[str, object],
    ip_version: IpVersion = "any",
) -> list[Address]:
    """Every address of `host`, looked up once and in the resolver's order, without those of another IP version and
    those the policy forbids.

    The look-up runs in a thread of its own, for it knows no timeout."""
    facts["host"], facts["port"] = host, port
    if not policy.allows_port(port):
        raise failed(Stage.CONNECT, ErrorClass.CONFIGURATION, "port_not_allowed", f"Port {port} is not allowed.")
    answers: queue.SimpleQueue[list[Address] | OSError | UnicodeError] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(host, port, answers), daemon=True).start()
    try:
        found = answers.get(timeout=remaining(deadline, Stage.RESOLVE))
    except queue.Empty:
        raise failed(Stage.RESOLVE, ErrorClass.HOST, "timed_out", "The name servers did not answer.") from None
    if isinstance(found, UnicodeError) or (isinstance(found, socket.gaierror) and found.errno in _NOT_FOUND):
        raise failed(Stage.RESOLVE, ErrorClass.CONFIGURATION, "name_not_found", words(str(found)))
    if isinstance(found, OSError):
        raise failed(Stage.RESOLVE, ErrorClass.HOST, "name_server_failed", words(str(found)))
    facts["addresses"] = [address.ip for address in found]
    if ip_version != "any":
        facts["ip_version"] = f"IPv{ip_version}"
        everything, found = found, [address for address in found if address.version == ip_version]
        if not found:
            detail = f"No IPv{ip_version} address, only {', '.join(address.ip for address in everything)}."
            raise failed(Stage.RESOLVE, ErrorClass.CONFIGURATION, "ip_version_missing", detail)
    allowed = [address for address in found if policy.allows_address(address.ip)]
    if not allowed:
        refused = ", ".join(address.ip for address in found)
        raise failed(Stage.CONNECT, ErrorClass.CONFIGURATION, "address_not_allowed", f"Not allowed: {refused}.")
    return allowed


def _look_up(host: str, port: int, answers: "queue.SimpleQueue[list[Address] | OSError | UnicodeError]") -> None:
    try:
        found = socket.getaddrinfo(rules.ascii_host(host), port, type=socket.SOCK_STREAM)
        answers.put([Address(family, sockaddr) for family, _, _, _, sockaddr in found if isinstance(sockaddr[0], str)])
    except (OSError, UnicodeError) as error:
        answers.put(error)
    except rules.Refused as error:
        answers.put(UnicodeError(str(error)))


# Of several failed addresses the most telling one is named: an answer says more than silence.
_TELLING = ("connection_refused", "connection_lost", "timed_out", "unreachable")


def connect(addresses: list[Address], *, timeout_s: float, deadline: float, facts: dict[str, object]) -> socket.socket:
    """The first address that answers. Each gets its share of the time left, at most `timeout_s`. When those of the
    other IP version were tried in vain before it, the facts say so and how long it took (`other_version`)."""
    tried: list[dict[str, object]] = []
    facts["tried"] = tried
    outcomes: dict[str, str] = {}
    failures: list[tuple[IpVersion, str, float]] = []
    for place, address in enumerate(addresses):
        share = remaining(deadline, Stage.CONNECT) / (len(addresses) - place)
        start = time.perf_counter()
        sock = None
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM)  # refused where the kernel has no IPv6
            sock.settimeout(min(timeout_s, share))
            sock.connect(address.sockaddr)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outcome = "connected"
        except OSError as error:
            if sock is not None:
                sock.close()
            outcome = _outcome(error)
            outcomes.setdefault(outcome, f"{address.ip}: {words(str(error))}")
        ms = round((time.perf_counter() - start) * 1000, 1)
        tried.append({"address": address.ip, "outcome": outcome, "ms": ms})
        if sock is not None and outcome == "connected":
            facts["address"], facts["ip_version_used"] = address.ip, address.version
            _note_other_version(address.version, failures, facts)
            return sock
        failures.append((address.version, outcome, ms))
    reason = next(telling for telling in _TELLING if telling in outcomes)
    raise failed(Stage.CONNECT, ErrorClass.HOST, reason, outcomes[reason])


def _note_other_version(
    works: IpVersion, failures: list[tuple[IpVersion, str, float]], facts: dict[str, object]
) -> None:
    """Whether every address before the one that answered was of the other version, and what that cost."""
    if failures and all(version != works for version, _, _ in failures):
        reason = next(telling for telling in _TELLING if telling in {outcome for _, outcome, _ in failures})
        lost_ms = round(sum(ms for _, _, ms in failures), 1)
        facts["other_version"] = {
            "fails": f"IPv{failures[0][0]}",
            "works": f"IPv{works}",
            "reason": reason,
            "ms": lost_ms,
        }


def _outcome(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, TimeoutError):
        return "timed_out"
    if error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return "connection_lost"
    return "unreachable"


def is_loopback(sock: socket.socket) -> bool:
    """Whether the connection stays on this machine."""
    ip = ipaddress.ip_address(sock.getpeername()[0].split("%", 1)[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def tls_context(ca_pem: str = "", trust_file: str | None = None) -> ssl.SSLContext:
    """A verifying context, TLS 1.2 or newer, that trusts the system's authorities, those of `trust_file`
    (SSL_CERT_FILE) and the certificates in `ca_pem`, which may also be the server's own."""
    try:
        changed = os.stat(trust_file).st_mtime_ns if trust_file else 0
        return _tls_context(ca_pem, trust_file, changed)
    except OSError as error:  # SSLError is one
        raise failed(Stage.TLS, ErrorClass.CONFIGURATION, "trust_unreadable", words(str(error))) from None


@functools.lru_cache(maxsize=16)  # reading the system's authorities takes tens of milliseconds
def _tls_context(ca_pem: str, trust_file: str | None, changed: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust_file:
        context.load_verify_locations(cafile=trust_file)
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def encrypt(
    sock: socket.socket, host: str, *, context: ssl.SSLContext, timeout_s: float, deadline: float
) -> ssl.SSLSocket:
    """The TLS handshake, verified against `host`. `sock` is closed when it fails."""
    try:
        sock.settimeout(min(timeout_s, remaining(deadline, Stage.TLS)))
        return context.wrap_socket(sock, server_hostname=rules.ascii_host(host))
    except OSError as error:
        sock.close()
        raise _tls_failure(error) from None
    except StageFailed:
        sock.close()
        raise


# OpenSSL's verification results (x509_vfy.h).
_CERTIFICATE = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    18: "certificate_self_signed",
    19: "certificate_self_signed",
    20: "certificate_unknown_issuer",
    21: "certificate_unknown_issuer",
    62: "certificate_wrong_name",
    64: "certificate_wrong_name",
}
_TOO_OLD = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER"}
_TOO_OLD |= {
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "DH_KEY_TOO_SMALL",
    "EE_KEY_TOO_SMALL",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
}
_NOT_TLS = {
    "WRONG_VERSION_NUMBER",
    "PACKET_LENGTH_TOO_LONG",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
}


def _tls_failure(error: OSError) -> StageFailed:
    detail = words(str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _CERTIFICATE.get(error.verify_code, "certificate_invalid")
        return failed(Stage.TLS, ErrorClass.CONFIGURATION, reason, detail)
    if isinstance(error, TimeoutError):
        return failed(Stage.TLS, ErrorClass.HOST, "timed_out", detail)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not isinstance(error, ssl.SSLError):
        return failed(Stage.TLS, ErrorClass.HOST, "connection_lost", detail)
    reason = "tls_too_old" if error.reason in _TOO_OLD else "not_tls" if error.reason in _NOT_TLS else "tls_failed"
    return failed(Stage.TLS, ErrorClass.CONFIGURATION, reason, detail)
