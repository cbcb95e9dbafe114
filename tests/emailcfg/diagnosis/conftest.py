"""Checks a sender's domain against a real DNS server on loopback."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from emailcfg.diagnosis.dns import SenderDomain, check_sender_domain
from emailcfg.diagnosis.lookup import Lookup, ResolverSettings
from tests.emailcfg.diagnosis.domains import SERVICES, Run
from tests.servers.dns import DnsServer


@pytest.fixture
def run() -> Iterator[Run]:
    """`run(zone, provider=..., host=..., sender=...)` checks a domain whose DNS is `zone`."""
    with ExitStack() as running:

        def start(
            zone: dict[str, Any], *, provider: str = "smtp", host: str = "smtp.gmail.com", sender: str = "", **more: Any
        ) -> SenderDomain:
            server = running.enter_context(DnsServer({**SERVICES, **zone}))
            lookup = Lookup(ResolverSettings(("127.0.0.1",), server.port))
            sender = sender or "news@example.com"
            return check_sender_domain(sender, provider=provider, host=host, lookup=lookup, **more)

        yield start
