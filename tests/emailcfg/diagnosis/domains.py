"""What the tests of a sender's domain share: the zones of the known services, and finding one check in a report."""

from collections.abc import Callable

from emailcfg.diagnosis.dns import SenderDomain
from emailcfg.diagnosis.findings import Check

Run = Callable[..., SenderDomain]

SERVICES = {
    "_spf.google.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
    "sendgrid.net": {"TXT": ["v=spf1 ip4:198.51.100.0/24 ~all"]},
    "amazonses.com": {"TXT": ["v=spf1 ip4:198.51.100.0/24 -all"]},
}


def check(report: SenderDomain, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)
