"""Whether SPF permits the service or the relay: records as large domains really have them."""

from typing import Any

import pytest

from emailcfg.diagnosis.findings import State
from tests.emailcfg.diagnosis.domains import Run, check
from tests.emailcfg.diagnosis.keys import dkim
from tests.servers.dns import DnsServer

OFFICE = {"spf.protection.outlook.com": {"TXT": ["v=spf1 ip4:40.92.0.0/15 ip4:40.107.0.0/16 -all"]}}


def spf(record: str, **more: Any) -> dict[str, Any]:
    return {"example.com": {"TXT": ["google-site-verification=abc", record, "MS=ms1"], **more}}


def test_each_service_is_known_by_its_spf_domain(run: Run) -> None:
    for provider, host, include in (
        ("sendgrid", "", "sendgrid.net"),
        ("smtp", "smtp-relay.gmail.com", "_spf.google.com"),
        ("smtp", "email-smtp.eu-central-1.amazonaws.com", "amazonses.com"),
        ("smtp", "smtp.office365.com", "spf.protection.outlook.com"),
        ("smtp", "acme-com.mail.protection.outlook.com", "spf.protection.outlook.com"),
    ):
        found = check(run({**OFFICE, **spf(f"v=spf1 include:{include} -all")}, provider=provider, host=host), "spf")
        assert (found.state, include in found.sentence) == (State.OK, True), host


def test_an_entry_behind_all_is_not_read_and_is_moved_before_it(run: Run) -> None:
    found = check(run(spf("v=spf1 mx -all include:_spf.google.com")), "spf")
    assert found.state is State.PROBLEM
    assert "behind “all”" in found.sentence
    assert found.publish is not None
    assert found.publish.value == "v=spf1 mx include:_spf.google.com -all"


def test_a_list_of_the_services_addresses_permits_it_without_its_name(run: Run) -> None:
    flattened = spf("v=spf1 include:flat.example.net -all")
    whole = {"flat.example.net": {"TXT": ["v=spf1 ip4:40.92.0.0/15 ip4:40.107.0.0/16 ip4:192.0.2.0/24 -all"]}}
    half = {"flat.example.net": {"TXT": ["v=spf1 ip4:40.92.0.0/15 -all"]}}
    assert check(run({**OFFICE, **flattened, **whole}, host="smtp.office365.com"), "spf").state is State.OK
    partly = check(run({**OFFICE, **flattened, **half}, host="smtp.office365.com"), "spf")
    assert partly.state is State.PROBLEM
    assert "only some of the addresses" in partly.sentence


def test_a_record_of_macros_is_evaluated_as_receivers_do(run: Run) -> None:
    """As the hosted records of large domains: one include that answers for each address."""
    zone = {
        **spf("v=spf1 include:%{ir}.%{v}.%{d}.spf.example.net -all"),
        "0.2.0.192.in-addr.example.com.spf.example.net": {"TXT": ["v=spf1 ip4:192.0.2.0 -all"]},
    }
    found = check(run(zone), "spf")
    assert found.state is State.OK
    assert any("macros" in remark for remark in found.details)


def test_a_service_before_the_limit_still_passes_and_one_behind_it_does_not(run: Run) -> None:
    many = {f"s{number}.example.net": {"TXT": ["v=spf1 -all"]} for number in range(10)}
    includes = " ".join(f"include:{name}" for name in many)
    before = check(run({**spf(f"v=spf1 include:_spf.google.com {includes} -all"), **many}), "spf")
    behind = check(run({**spf(f"v=spf1 {includes} include:_spf.google.com -all"), **many}), "spf")
    assert (before.state, behind.state) == (State.WARNING, State.PROBLEM)
    assert "11 DNS look-ups" in before.sentence
    assert "11 DNS look-ups" in behind.sentence


def test_the_cost_of_each_entry_is_told(run: Run) -> None:
    nested = {
        "_spf.google.com": {"TXT": ["v=spf1 include:a.google.com include:b.google.com ~all"]},
        "a.google.com": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ~all"]},
        "b.google.com": {"TXT": ["v=spf1 ip4:198.51.100.0/24 ~all"]},
    }
    found = check(run({**spf("v=spf1 mx include:_spf.google.com ~all", MX=["10 mx.example.com."]), **nested}), "spf")
    assert "The record needs 4 of 10 DNS look-ups." in found.details
    assert "include:_spf.google.com takes 3 of them." in found.details


def test_an_entry_that_would_break_the_limit_comes_with_a_warning(run: Run) -> None:
    many = {f"s{number}.example.net": {"TXT": ["v=spf1 -all"]} for number in range(10)}
    includes = " ".join(f"include:{name}" for name in many)
    found = check(run({**spf(f"v=spf1 {includes} -all"), **many}), "spf")
    assert found.publish is not None
    assert "needs 11 DNS look-ups, where 10 are allowed" in found.next_step


def test_three_names_that_lead_to_nothing_are_named(run: Run) -> None:
    gone = "v=spf1 a:old1.example.com a:old2.example.com include:_spf.google.com"
    two = check(run(spf(f"{gone} ~all")), "spf")
    assert two.state is State.OK
    assert any("old1.example.com, old2.example.com" in remark for remark in two.details)
    three = check(run(spf(f"{gone} mx:old3.example.com ~all")), "spf")
    assert three.state is State.PROBLEM
    assert "3 hosts that lead to nothing" in three.sentence
    assert "old3.example.com" in three.sentence


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=spf1 include:gone.example.net ~all", "includes gone.example.net, which has no SPF record"),
        ("v=spf1 redirect=gone.example.net", "redirects to gone.example.net, which has no SPF record"),
        ("v=spf1 include:example.com ~all", "includes example.com in a circle"),
        ("v=spf1 include:_spf.google.cominclude:sendgrid.net ~all", "two entries have run into one"),
        ("v=spf1 ip4:2001:db8::/32 ~all", "the other kind"),
        ("v=spf1 include:_spf.google.com ~all;", "~all;"),
        ("v=spf1 redirect=_spf.google.com redirect=sendgrid.net", "twice"),
    ],
)
def test_what_breaks_a_record_is_named(run: Run, record: str, words: str) -> None:
    found = check(run(spf(record)), "spf")
    assert found.state is State.PROBLEM
    assert words in found.sentence
    assert "count that as an error" in found.sentence


@pytest.mark.parametrize(
    "record", ['"v=spf1 include:_spf.google.com ~all"', "v=spf1;include:_spf.google.com", "spf2.0/pra mx -all"]
)
def test_a_record_that_only_looks_like_spf_is_shown_as_such(run: Run, record: str) -> None:
    found = check(run(spf(record)), "spf")
    assert found.state is State.PROBLEM
    assert "receivers pass over it" in found.sentence
    assert found.publish is not None
    assert found.publish.value == "v=spf1 include:_spf.google.com ~all"


def test_a_record_that_permits_the_whole_world_is_not_green(run: Run) -> None:
    found = check(run(spf("v=spf1 include:_spf.google.com +all")), "spf")
    assert found.state is State.WARNING
    assert "every server in the world" in found.sentence


def test_where_dkim_vouches_a_service_with_its_own_return_path_needs_no_entry(run: Run) -> None:
    found = check(run({**spf("v=spf1 -all"), "s1._domainkey.example.com": dkim()}, provider="sendgrid", host=""), "spf")
    assert found.state is State.OK
    assert "It need not" in found.sentence
    assert found.publish is None


def test_the_address_a_relay_really_sends_from_can_be_told(run: Run) -> None:
    zone = {**spf("v=spf1 ip4:93.184.215.14 -all"), "relay.internal.example": {"A": ["10.0.0.9"]}}
    assert check(run(zone, host="relay.internal.example", addresses=["93.184.215.14"]), "spf").state is State.OK
    other = check(run(zone, host="relay.internal.example", addresses=["93.184.215.99"]), "spf")
    assert other.state is State.PROBLEM
    assert other.publish is not None
    assert other.publish.value == "v=spf1 ip4:93.184.215.14 ip4:93.184.215.99 -all"


def test_a_long_record_is_split_into_strings_for_the_zone_file(run: Run) -> None:
    addresses = " ".join(f"ip4:198.51.100.{number}" for number in range(20))
    found = check(run(spf(f"v=spf1 {addresses} -all")), "spf")
    assert found.publish is not None
    strings = found.publish.text.split(' TXT "')[1][:-1].split('" "')
    assert len(strings) == 2
    assert all(len(string) <= 255 for string in strings)
    assert "".join(strings) == f"v=spf1 {addresses} include:_spf.google.com -all"


def test_the_name_that_dns_did_not_answer_for_is_told(run: Run) -> None:
    found = check(run({**spf("v=spf1 include:broken.example.net -all"), "broken.example.net": "SERVFAIL"}), "spf")
    assert found.state is State.UNKNOWN
    assert "could not find out about broken.example.net (SERVFAIL)" in found.sentence
    assert "DNSSEC" in found.next_step


@pytest.mark.parametrize(
    ("sender", "host", "state", "words"),
    [
        ("acme@gmail.com", "smtp.gmail.com", State.OK, "belongs to Google"),
        ("acme@gmail.com", "smtp.sendgrid.net", State.PROBLEM, "only its own servers may send for it"),
        ("acme@yahoo.com", "smtp.gmail.com", State.PROBLEM, "belongs to Yahoo"),
        ("acme@hotmail.com", "smtp.office365.com", State.OK, "belongs to Microsoft 365"),
    ],
)
def test_a_mailbox_providers_domain_is_nobodys_to_set_up(
    run: Run, sender: str, host: str, state: State, words: str
) -> None:
    report = run({}, host=host, sender=sender)
    assert report.state is state
    assert words in report.checks[0].sentence
    assert all(one.publish is None for one in report.checks)


def test_only_the_checks_that_are_asked_for_are_made(run: Run) -> None:
    with DnsServer({}) as server:
        report = run(spf("v=spf1 include:_spf.google.com -all"), names=("spf",))
        assert [one.name for one in report.checks] == ["spf"]
        assert server.asked == []
