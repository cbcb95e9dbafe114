"""What a secret is bound to, and why one can't be used. Free of cryptography: a process without secrets needs none."""

from dataclasses import dataclass
from typing import Self

from emailcfg import rules
from emailcfg.schema import EmailConfig


class SecretUnavailable(Exception):
    """A stored secret can't be used. The message is a sentence for the administrator."""


class KeyRingUnusable(SecretUnavailable):
    """The key files are missing, unreadable or malformed."""


class SecretUndecryptable(SecretUnavailable):
    """No key of the ring opens the token: another key encrypted it, or it was altered."""


class SecretMisdirected(SecretUnavailable):
    """The secret was entered for another destination than the one it would be used for."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a secret may be sent, in normal form: host in ASCII and lower case."""

    provider: str
    host: str
    port: int
    security: str
    username: str

    @classmethod
    def of(cls, config: EmailConfig, path: str) -> Self:
        """The destination of the secret at a schema path ("smtp.password", "sendgrid.api_key").

        A SendGrid key belongs to SendGrid whatever its region: both hosts are SendGrid's own."""
        if path == "sendgrid.api_key":
            return cls("sendgrid", "sendgrid.com", 443, "tls", "")
        smtp = config.smtp
        return cls("smtp", rules.ascii_host(smtp.host), smtp.port, smtp.security, smtp.username)
