"""The organisational domain of a name (RFC 7489 section 3.2), by the public suffix list where the machine has one.

Debian and others keep the list current in the package `publicsuffix`. It is large and changes weekly, so none is
carried along: without it a short list of the second levels of country domains decides. A name under a suffix that is
missing there is compared one level too high, which can only make two names look more related.
"""

from functools import lru_cache
from pathlib import Path

SYSTEM_LIST = Path("/usr/share/publicsuffix/public_suffix_list.dat")

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "ltd", "me", "mil", "ne", "net"})
_SECOND_LEVELS |= {"nhs", "nom", "or", "org", "plc", "sch", "asso", "go", "gv", "id", "firm", "in"}
_GENERIC = frozenset({"com", "net", "org", "edu", "gov", "mil", "int", "info", "biz"})
# Private registries that sell names one level deeper, as the long list has them.
_REGISTRIES = frozenset({"uk.com", "us.com", "eu.com", "de.com", "co.com", "br.com", "za.com", "eu.org", "in.net"})


def organisation(name: str) -> str:
    """`mail.eu.example.co.uk` belongs to `example.co.uk`, `mx.example.com` to `example.com`."""
    labels = name.lower().strip(".").split(".")
    rules = suffixes(SYSTEM_LIST)
    own = _by_rules(labels, rules) if rules else _by_heart(labels)
    return ".".join(labels[-own:])


@lru_cache(maxsize=2)
def suffixes(path: Path) -> frozenset[str]:
    """The rules of a public suffix list in its usual format (publicsuffix.org/list); empty when it can't be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return frozenset()
    found = (line.split()[0].lower() for line in lines if line.strip() and not line.startswith("//"))
    return frozenset(_ascii(rule) for rule in found)


def _ascii(rule: str) -> str:
    try:
        return rule if rule.isascii() else rule.encode("idna").decode()
    except UnicodeError:
        return rule


def _by_rules(labels: list[str], rules: frozenset[str]) -> int:
    """How many labels the organisation has: one more than the longest suffix that fits."""
    for start in range(len(labels)):
        name, above = ".".join(labels[start:]), ".".join(labels[start + 1 :])
        if f"!{name}" in rules:
            return len(labels) - start
        if name in rules or (above and f"*.{above}" in rules):
            return len(labels) - start + 1
    return 2


def _by_heart(labels: list[str]) -> int:
    if len(labels) <= 2:
        return len(labels)
    under_country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS and labels[-1] not in _GENERIC
    return 3 if under_country or ".".join(labels[-2:]) in _REGISTRIES else 2
