"""SPF against a real DNS server on loopback: each mechanism, the limits, and macros by the examples of RFC 7208."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from emailcfg.diagnosis.lookup import Lookup, ResolverSettings, Unanswered
from emailcfg.diagnosis.spf import Evaluation, evaluate
from emailcfg.diagnosis.spf_survey import survey
from tests.servers.dns import SILENT, DnsServer

Resolve = Callable[..., Lookup]


@pytest.fixture
def resolve() -> Iterator[Resolve]:
    with ExitStack() as running:

        def start(zone: dict[str, Any], **settings: Any) -> Lookup:
            server = running.enter_context(DnsServer(zone))
            return Lookup(ResolverSettings(("127.0.0.1",), server.port, **settings))

        yield start


def check(lookup: Lookup, address: str = "192.0.2.3", domain: str = "example.com") -> Evaluation:
    sender = f"strong-bad@{domain}"
    return evaluate(domain, address, sender=sender, helo="mx.example.com", lookup=lookup)


def spf(*records: str, **more: Any) -> dict[str, Any]:
    return {"example.com": {"TXT": ["other text", *records], **more}}


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ("v=spf1 +all", "pass"),
        ("v=spf1 -all", "fail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "neutral"),
        ("v=spf1", "neutral"),
        ("V=SPF1 IP4:192.0.2.3 -ALL", "pass"),
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
        ("v=spf1 ip4:192.0.2.4 -all", "fail"),
        ("v=spf1 -ip4:192.0.2.3 +all", "fail"),
        ("v=spf1 ip6:2001:db8::/32 -all", "fail"),
        ("v=spf1 a -all", "fail"),
        ("v=spf1 a/24 -all", "pass"),
        ("v=spf1 a:relay.example.net -all", "pass"),
        ("v=spf1 mx -all", "pass"),
        ("v=spf1 mx:example.com -all", "pass"),
        ("v=spf1 exists:%{ir}.list.example.net -all", "pass"),
        ("v=spf1 exists:%{l1r-}.list.example.net -all", "fail"),
        ("v=spf1 include:good.example.net -all", "pass"),
        ("v=spf1 include:bad.example.net ~all", "softfail"),
        ("v=spf1 redirect=good.example.net", "pass"),
        ("v=spf1 -all redirect=good.example.net", "fail"),
        ("v=spf1 ptr -all", "fail"),
        ("v=spf1 unknown=modifier -all", "fail"),
        ("v=spf1 include:none.example.net -all", "permerror"),
        ("v=spf1 redirect=none.example.net", "permerror"),
        ("v=spf1 ipv4:192.0.2.3 -all", "permerror"),
        ("v=spf1 ip4:192.0.2.300 -all", "permerror"),
        ("v=spf1 a/99 -all", "permerror"),
        ("v=spf1 include: -all", "permerror"),
        ("v=spf10 -all", "none"),
    ],
)
def test_a_record_decides_as_the_rfc_says(resolve: Resolve, record: str, outcome: str) -> None:
    zone = {
        **spf(record, A=["192.0.2.77"], MX=["10 relay.example.net."]),
        "relay.example.net": {"A": ["192.0.2.3"]},
        "3.2.0.192.list.example.net": {"A": ["127.0.0.2"]},
        "good.example.net": {"TXT": ["v=spf1 ip4:192.0.2.3 -all"]},
        "bad.example.net": {"TXT": ["v=spf1 -all"]},
        "none.example.net": {"TXT": ["hello"]},
    }
    assert check(resolve(zone)).outcome == outcome


def test_an_ipv6_address_is_compared_with_its_own_kind(resolve: Resolve) -> None:
    lookup = resolve(spf("v=spf1 a//64 -all", AAAA=["2001:db8::1"], A=["192.0.2.3"]))
    assert check(lookup, "2001:db8::99").outcome == "pass"
    assert check(lookup, "2001:db8:1::99").outcome == "fail"


def test_two_records_are_an_error(resolve: Resolve) -> None:
    found = check(resolve(spf("v=spf1 +all", "v=spf1 -all")))
    assert found.outcome == "permerror"
    assert "2 SPF records" in found.decided_by


def test_the_eleventh_lookup_is_an_error_and_the_tenth_is_not(resolve: Resolve) -> None:
    def zone(count: int) -> dict[str, Any]:
        hosts = {f"h{number}.example.com": {"A": ["198.51.100.1"]} for number in range(count)}
        terms = " ".join(f"a:h{number}.example.com" for number in range(count))
        return {**spf(f"v=spf1 {terms} +all"), **hosts}

    assert check(resolve(zone(10))).outcome == "pass"
    eleventh = check(resolve(zone(11)))
    assert eleventh.outcome == "permerror"
    assert "10 DNS look-ups" in eleventh.decided_by
    assert survey("example.com", resolve(zone(11))).lookups == 11


def test_the_third_name_that_leads_to_nothing_is_an_error(resolve: Resolve) -> None:
    assert check(resolve(spf("v=spf1 a:x1.example.com a:x2.example.com +all"))).outcome == "pass"
    found = check(resolve(spf("v=spf1 a:x1.example.com a:x2.example.com exists:x3.example.com +all")))
    assert found.outcome == "permerror"


def test_a_macro_with_a_number_of_thousands_of_digits_is_none(resolve: Resolve) -> None:
    record = f"v=spf1 exists:%{{d{'9' * 5000}}}.example.com ?all"
    assert check(resolve(spf(record))).outcome == "neutral"


def test_a_circle_of_includes_ends(resolve: Resolve) -> None:
    zone = {**spf("v=spf1 include:b.example.com -all"), "b.example.com": {"TXT": ["v=spf1 include:example.com -all"]}}
    assert check(resolve(zone)).outcome == "permerror"
    assert "circle" in survey("example.com", resolve(zone)).error


def test_a_survey_names_every_domain_that_passes_on(resolve: Resolve) -> None:
    zone = {
        **spf("v=spf1 ip4:192.0.2.9 include:_spf.example.net -include:never.example.net redirect=last.example.net"),
        "_spf.example.net": {"TXT": ["v=spf1 include:deep.example.net ~all"]},
        "deep.example.net": {"TXT": ["v=spf1 ip4:192.0.2.3 ~all"]},
        "never.example.net": {"TXT": ["v=spf1 include:deep2.example.net ~all"]},
        "deep2.example.net": {"TXT": ["v=spf1 ~all"]},
        "last.example.net": {"TXT": ["v=spf1 a ~all"]},
    }
    found = survey("example.com", resolve(zone))
    assert set(found.domains) == {"_spf.example.net", "deep.example.net", "last.example.net"}
    assert found.lookups == 6
    assert found.error == ""


@pytest.mark.parametrize("answer", [SILENT, "SERVFAIL", "REFUSED"])
def test_dns_that_does_not_answer_is_not_an_outcome(resolve: Resolve, answer: str) -> None:
    lookup = resolve({"example.com": answer}, timeout_s=0.1, lifetime_s=0.2)
    with pytest.raises(Unanswered):
        check(lookup)


def test_a_long_record_in_several_strings_is_read_as_one(resolve: Resolve) -> None:
    record = "v=spf1 " + " ".join(f"ip4:198.51.100.{number}" for number in range(30)) + " ip4:192.0.2.3 -all"
    assert len(record) > 255
    assert check(resolve(spf(record))).outcome == "pass"
