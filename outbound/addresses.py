"""An address of a request in the form the envelope and the headers carry."""

import re

from emailcfg import rules
from outbound.headers import encodable

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# What nearly every address looks like. Each address it takes, `rules.address` takes unchanged (a test compares
# them); the rest goes through `rules.address`, which takes fifty times as long.
_PLAIN = re.compile(rf"(?=[^@]{{1,64}}@){_ATEXT}(?:\.{_ATEXT})*@(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")


def envelope_address(value: str) -> str:
    """The address with its domain in lower case and ASCII; a non-ASCII local part stays (it needs SMTPUTF8).

    Raises rules.Refused, also for "" and for a local part that a mail program could take for encoded text."""
    local, _, domain = value.strip().rpartition("@")
    address = f"{local}@{domain.lower()}"
    if not (_PLAIN.fullmatch(address) and len(address) <= 254):
        if not value.strip():
            raise rules.Refused("Enter an email address such as name@example.com.")
        if not encodable(value):
            raise rules.Refused("This address contains half a character (a lone surrogate).")
        address = rules.ascii_address(rules.address(rules.single_line(value.strip())))
        if len(address.encode()) > 254:
            raise rules.Refused("An email address has at most 254 characters.")
        if address.endswith("]"):
            raise rules.Refused("Enter an address with a domain name such as name@example.com.")
    if "=?" in address:
        raise rules.Refused("The part before the @ contains “=?”, which mail programs take for encoded text.")
    return address
