"""The environment variables of the product: read once, strictly, into one frozen object.

Each NAME may instead be given as NAME_FILE, the path of a file that holds the value (for mounted secrets). An unknown
name that is close to one of ours, and any value that can't be read, is refused with one sentence: a setting that is
silently not in force is worse than a start that fails.
"""

import difflib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from adminapp import environment_values as parse
from emailcfg.network import DEFAULT_PORTS, Network, NetworkPolicy

T = TypeVar("T")

BASE_DIR = Path(__file__).resolve().parent.parent

NAMES = (
    "DATA_DIR",
    "BIND",
    "HTTP_PORT",
    "HTTPS_PORT",
    "PUBLIC_BASE_URL",
    "ALLOWED_HOSTS",
    "TRUSTED_PROXIES",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "DATABASE_URL",
    "BROKER_URL",
    "BROKER_QUEUE",
    "SECRET_KEY_FILE",
    "ENCRYPTION_KEY_FILES",
    "FINGERPRINT_KEY_FILE",
    "SENDGRID_API_URL",
    "OUTBOUND_ALLOWED_NETS",
    "OUTBOUND_ALLOWED_PORTS",
    "SSL_CERT_FILE",
    "DNS_RESOLVER",
    "RETRY_FIRST_S",
    "LEASE_S",
    "ATTEMPT_DEADLINE_S",
    "IN_DOUBT",
    "DISK_RESERVE_MB",
    "RETAIN_BODIES_DAYS",
    "RETAIN_RECORDS_DAYS",
)

# Names that other programs use and that only look like a misspelling of ours.
_OTHERS = {"HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_DIR", "DATABASE_URL_TEST"}
_OWN_PREFIXES = ("OUTBOUND_", "EMAILCFG_", "SENDGRID_API_")
# Single fields of the configuration pinned by the operator; their names and values are checked by the schema.
PIN_PREFIX = "EMAILCFG__"


class Refused(Exception):
    """A variable that can't be used. The message is one sentence that names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the operator decides for this installation. Times in seconds; paths absolute."""

    data_dir: Path
    bind: str
    http_port: int
    https_port: int
    public_base_url: str
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    tls_cert_file: Path | None
    tls_key_file: Path | None
    database_url: str
    broker_url: str | None
    broker_queue: str
    secret_key_file: Path
    encryption_key_files: tuple[Path, ...]
    fingerprint_key_file: Path
    sendgrid_api_url: str | None
    network_policy: NetworkPolicy
    ssl_cert_file: Path | None
    dns_resolver: tuple[str, int] | None
    retry_first_s: float
    lease_s: float
    attempt_deadline_s: float
    in_doubt: str
    disk_reserve_mb: int
    retain_bodies_days: int
    retain_records_days: int
    pins: Mapping[str, str]


def read(environ: Mapping[str, str]) -> Environment:
    """Raises Refused with a sentence for the operator."""
    _refuse_unknown(environ)
    values = _Values(environ)
    data_dir = values.get("DATA_DIR", parse.path, BASE_DIR / "var")
    https_port = values.get("HTTPS_PORT", parse.port, 8443)
    http_port = values.get("HTTP_PORT", parse.port, 8080)
    if http_port == https_port:
        raise Refused(f"HTTP_PORT and HTTPS_PORT are both {http_port}; give them two different ports.")
    public_base_url = values.get("PUBLIC_BASE_URL", parse.base_url, f"https://{own_name()}:{https_port}")
    tls_cert_file = values.get("TLS_CERT_FILE", parse.readable_file, None)
    tls_key_file = values.get("TLS_KEY_FILE", parse.readable_file, None)
    _check_certificate(tls_cert_file, tls_key_file)
    default_ports: frozenset[int] | None = DEFAULT_PORTS
    ports = values.get("OUTBOUND_ALLOWED_PORTS", parse.ports, default_ports)
    return Environment(
        data_dir=data_dir,
        bind=values.get("BIND", parse.ip_address, "0.0.0.0"),  # noqa: S104 - plain HTTP from elsewhere is only redirected
        http_port=http_port,
        https_port=https_port,
        public_base_url=public_base_url,
        allowed_hosts=values.get("ALLOWED_HOSTS", parse.host_names, _own_hosts(public_base_url)),
        trusted_proxies=values.get("TRUSTED_PROXIES", parse.nets, ()),
        tls_cert_file=tls_cert_file,
        tls_key_file=tls_key_file,
        database_url=values.get("DATABASE_URL", parse.database_url, f"sqlite:///{data_dir}/db.sqlite3"),
        broker_url=values.get("BROKER_URL", parse.broker_url, None),
        broker_queue=values.get("BROKER_QUEUE", parse.queue_name, "adminapp-outbound"),
        secret_key_file=values.get("SECRET_KEY_FILE", parse.path, data_dir / "keys" / "secret.key"),
        encryption_key_files=values.get("ENCRYPTION_KEY_FILES", parse.paths, (data_dir / "keys" / "encryption.keys",)),
        fingerprint_key_file=values.get("FINGERPRINT_KEY_FILE", parse.path, data_dir / "keys" / "fingerprint.key"),
        sendgrid_api_url=values.get("SENDGRID_API_URL", parse.base_url, None),
        network_policy=NetworkPolicy(
            nets=values.get("OUTBOUND_ALLOWED_NETS", parse.nets, None),
            ports=ports,
        ),
        ssl_cert_file=values.get("SSL_CERT_FILE", parse.trust_file, None),
        dns_resolver=values.get("DNS_RESOLVER", parse.resolver, None),
        retry_first_s=values.get("RETRY_FIRST_S", parse.seconds, 60.0),
        lease_s=values.get("LEASE_S", parse.seconds, 600.0),
        attempt_deadline_s=values.get("ATTEMPT_DEADLINE_S", parse.seconds, 120.0),
        in_doubt=values.get("IN_DOUBT", parse.in_doubt, "retry"),
        disk_reserve_mb=values.get("DISK_RESERVE_MB", parse.megabytes, 200),
        retain_bodies_days=values.get("RETAIN_BODIES_DAYS", parse.days, 14),
        retain_records_days=values.get("RETAIN_RECORDS_DAYS", parse.days, 90),
        pins={name: value for name, value in environ.items() if name.startswith(PIN_PREFIX)},
    )


def own_name() -> str:
    """The name of this machine, for links and the certificate; `localhost` when it has none worth the name."""
    return socket.gethostname().lower().rstrip(".") or "localhost"


def own_addresses() -> tuple[str, ...]:
    """The loopback addresses and those on this machine's default routes. Sends nothing and asks no name server,
    which could hold up every start for seconds."""
    found = {"127.0.0.1", "::1"}
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))  # a datagram socket only looks the route up
                found.add(str(probe.getsockname()[0]))
        except OSError:
            continue
    return tuple(sorted(address for address in found if "%" not in address))


class _Values:
    """Looks a name up as NAME or NAME_FILE and parses it, with the name in every refusal."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._text(name)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as problem:
            raise Refused(f"{name} {problem}") from None

    def _text(self, name: str) -> str | None:
        """An empty value counts as not given, as compose files write it for "no value"."""
        direct = self.environ.get(name, "").strip()
        file = self.environ.get(f"{name}_FILE", "").strip()
        if direct and file:
            raise Refused(f"{name} and {name}_FILE are both set; keep one of them.")
        if not file:
            return direct or None
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not text in UTF-8"
            raise Refused(f"{name}_FILE names {file}, which can't be read: {reason}.") from None
        if not text:
            raise Refused(f"{name}_FILE names {file}, which is empty.")
        return text


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {*NAMES, *(f"{name}_FILE" for name in NAMES)}
    for name in sorted(environ):
        if name in known or name in _OTHERS or name.startswith(PIN_PREFIX):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.88)
        if close:
            raise Refused(f"{name} is not a setting; {close[0]} is meant, or the variable has to go.")
        if name.startswith(_OWN_PREFIXES):
            raise Refused(f"{name} is not a setting; docs/configuration.md lists them all.")


def _own_hosts(public_base_url: str) -> tuple[str, ...]:
    """The names this installation answers to when the operator lists none."""
    addresses = (f"[{address}]" if ":" in address else address for address in own_addresses())
    public = urlsplit(public_base_url).hostname or ""
    return tuple(dict.fromkeys(("localhost", own_name(), public, *addresses)))


def _check_certificate(cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        raise Refused("TLS_CERT_FILE and TLS_KEY_FILE belong together; set both or neither.")
    if cert is not None and key is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
        except (ssl.SSLError, OSError) as problem:
            reason = getattr(problem, "reason", None) or "not a PEM certificate with its key"
            raise Refused(f"TLS_CERT_FILE and TLS_KEY_FILE can't be used together: {reason}.") from None
