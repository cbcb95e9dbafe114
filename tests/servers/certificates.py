"""A certificate authority made for one test run, and what its servers and clients need of it."""

import ssl
from datetime import datetime
from functools import cached_property

import trustme


class TestAuthority:
    """`pem` is what an administrator would paste as the CA certificate; `server_context` is the server's side."""

    __test__ = False

    def __init__(self) -> None:
        self._ca = trustme.CA()

    @cached_property
    def pem(self) -> str:
        return self._ca.cert_pem.bytes().decode()

    def server_context(
        self, *names: str, not_before: datetime | None = None, not_after: datetime | None = None
    ) -> ssl.SSLContext:
        """A context with a certificate for `names` (default: localhost and 127.0.0.1)."""
        issued = self._ca.issue_cert(*(names or ("localhost", "127.0.0.1")), not_before=not_before, not_after=not_after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        return context
