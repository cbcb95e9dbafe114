"""DNS look-ups for the checks: one resolver, each answer remembered, one deadline over all of them."""

import time
from dataclasses import dataclass, field

import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from emailcfg import rules


class Unanswered(Exception):
    """DNS gave no answer (timeout, refused, no resolver, air-gapped): nothing is known, nothing is wrong. `name` is
    what was asked for; `servfail` says that the DNS server did answer, namely that it could not find out."""

    def __init__(self, name: str, *, servfail: bool = False) -> None:
        super().__init__(name)
        self.name, self.servfail = name, servfail


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """`nameservers` are addresses; empty means those of this machine. `timeout_s` is for one server,
    `lifetime_s` for one look-up, `total_s` for all look-ups of one check together."""

    nameservers: tuple[str, ...] = ()
    port: int = 53
    timeout_s: float = 2.0
    lifetime_s: float = 4.0
    total_s: float = 12.0


@dataclass
class Lookup:
    """Answers by name and type; a name or type that does not exist is an empty list. Raises Unanswered."""

    settings: ResolverSettings = ResolverSettings()
    _known: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.settings.total_s
        self._missing: set[str] = set()
        try:
            self._resolver: dns.resolver.Resolver | None = dns.resolver.Resolver(
                configure=not self.settings.nameservers
            )
        except (dns.exception.DNSException, OSError):
            self._resolver = None
            return
        if self.settings.nameservers:
            self._resolver.nameservers = list(self.settings.nameservers)
        self._resolver.port = self.settings.port
        self._resolver.timeout = self.settings.timeout_s

    def txt(self, name: str) -> list[str]:
        return self._answers(name, "TXT")

    def mx(self, name: str) -> list[str]:
        """The hosts of the MX records, the preferred first, without the final dot; "" is a null MX (RFC 7505)."""
        records = [record.split(" ", 1) for record in self._answers(name, "MX")]
        return [host.rstrip(".") for _, host in sorted(records, key=lambda record: int(record[0]))]

    def addresses(self, name: str, *, version: int | None = None) -> list[str]:
        kinds = {4: ("A",), 6: ("AAAA",), None: ("A", "AAAA")}[version]
        return [address for kind in kinds for address in self._answers(name, kind)]

    def alias(self, name: str) -> str:
        """The name that a CNAME record points to, without the final dot; "" without one."""
        return next(iter(self._answers(name, "CNAME")), "").rstrip(".")

    def exists(self, name: str) -> bool:
        """Whether the name is in DNS at all, whatever its records."""
        self._answers(name, "A")
        return _normal(name) not in self._missing

    def _answers(self, name: str, kind: str) -> list[str]:
        key = (_normal(name), kind)
        if key not in self._known:
            self._known[key] = self._ask(*key)
        return self._known[key]

    def _ask(self, name: str, kind: str) -> list[str]:
        left = self._deadline - time.monotonic()
        if self._resolver is None or left <= 0:
            raise Unanswered(name)
        try:
            answer = self._resolver.resolve(name + ".", kind, lifetime=min(self.settings.lifetime_s, left))
        except dns.resolver.NXDOMAIN:
            self._missing.add(name)
            return []
        except (dns.resolver.NoAnswer, dns.resolver.YXDOMAIN, dns.name.LabelTooLong, dns.name.EmptyLabel):
            return []
        except (dns.name.NameTooLong, dns.name.BadEscape, UnicodeError):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise Unanswered(name, servfail=_says_servfail(error)) from error
        if kind == "TXT":
            # servers turn the order of records round; ours is the same each time
            return sorted(b"".join(record.strings).decode("utf-8", "replace") for record in answer)
        return [record.to_text() for record in answer]


def _says_servfail(error: Exception) -> bool:
    """Whether a server did answer, and said that it could not find out (dead name servers, DNSSEC that is broken)."""
    if not isinstance(error, dns.resolver.NoNameservers):
        return False
    answers = [told[4] for told in error.kwargs.get("errors", ()) if len(told) > 4 and told[4] is not None]
    return any(answer.rcode() == dns.rcode.SERVFAIL for answer in answers)


def _normal(name: str) -> str:
    try:
        return rules.ascii_host(name.rstrip(".").lower())
    except rules.Refused:
        return name.rstrip(".").lower()
