"""The sender's domain against a real DNS server on loopback."""

import socket
import time
from typing import Any

import pytest

from emailcfg.diagnosis.dns import check_sender_domain
from emailcfg.diagnosis.findings import State
from emailcfg.diagnosis.lookup import Lookup, ResolverSettings
from tests.emailcfg.diagnosis.domains import Run, check
from tests.emailcfg.diagnosis.keys import dkim
from tests.servers.dns import SILENT, DnsServer


def test_a_domain_that_is_set_up_is_ok_in_every_check(run: Run) -> None:
    report = run(
        {
            "example.com": {
                "MX": ["20 b.example.com.", "10 a.example.com."],
                "TXT": ["v=spf1 include:_spf.google.com ~all"],
            },
            "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject"]},
            "google._domainkey.example.com": dkim(),
            "a.example.com": {"A": ["192.0.2.25"]},
            "b.example.com": {"A": ["192.0.2.26"]},
        }
    )
    assert report.state is State.OK
    assert {found.name: found.state for found in report.checks} == dict.fromkeys(
        ["mx", "spf", "dkim", "dmarc"], State.OK
    )
    assert check(report, "mx").found == ("a.example.com", "b.example.com")
    assert all(found.sentence.endswith(".") for found in report.checks)


def test_a_missing_permission_is_added_to_the_record_that_is_there(run: Run) -> None:
    found = check(run({"example.com": {"TXT": ["v=spf1 mx include:sendgrid.net -all"]}}), "spf")
    assert found.state is State.PROBLEM
    assert found.publish is not None
    assert found.publish.text == 'example.com. TXT "v=spf1 mx include:sendgrid.net include:_spf.google.com -all"'


def test_without_a_record_a_whole_one_is_offered(run: Run) -> None:
    found = check(run({"example.com": {"MX": ["10 mx.example.com."]}}), "spf")
    assert found.publish is not None
    assert found.publish.value == "v=spf1 include:_spf.google.com ~all"


def test_two_records_are_merged_into_the_one_to_publish(run: Run) -> None:
    zone = {"example.com": {"TXT": ["v=spf1 ip4:192.0.2.1 -all", "v=spf1 include:sendgrid.net ~all"]}}
    found = check(run(zone, provider="sendgrid", host=""), "spf")
    assert found.state is State.PROBLEM
    assert "2 SPF records" in found.sentence
    assert found.publish is not None
    assert found.publish.value == "v=spf1 include:sendgrid.net ip4:192.0.2.1 ~all"


def test_a_redirect_counts_as_permission(run: Run) -> None:
    zone = {"example.com": {"TXT": ["v=spf1 redirect=_spf.google.com"]}}
    assert check(run(zone), "spf").state is State.OK


def test_an_account_of_its_own_below_the_services_domain_counts_as_permission(run: Run) -> None:
    zone = {
        "example.com": {"TXT": ["v=spf1 include:u1.wl.sendgrid.net -all"]},
        "u1.wl.sendgrid.net": {"TXT": ["v=spf1 ip4:198.51.100.7 -all"]},
    }
    assert check(run(zone, provider="sendgrid"), "spf").state is State.OK


def test_a_record_that_needs_too_many_lookups_is_a_problem(run: Run) -> None:
    many = {f"s{number}.example.net": {"TXT": ["v=spf1 -all"]} for number in range(11)}
    includes = " ".join(f"include:{name}" for name in many)
    found = check(run({"example.com": {"TXT": [f"v=spf1 {includes} -all"]}, **many}), "spf")
    assert found.state is State.PROBLEM
    assert "11 DNS look-ups" in found.sentence


@pytest.mark.parametrize(
    ("provider", "host"),
    [("sendgrid", ""), ("smtp", "email-smtp.eu-west-1.amazonaws.com"), ("smtp", "smtp.sendgrid.net")],
)
def test_services_with_a_return_path_of_their_own_only_warn(run: Run, provider: str, host: str) -> None:
    found = check(run({"example.com": {"TXT": ["v=spf1 -all"]}}, provider=provider, host=host), "spf")
    assert found.state is State.WARNING
    assert "return path" in found.sentence


def test_a_relays_own_addresses_are_evaluated(run: Run) -> None:
    zone = {
        "example.com": {"TXT": ["v=spf1 ip4:93.184.215.14 -all"]},
        "relay.example.net": {"A": ["93.184.215.14"]},
        "other.example.net": {"A": ["93.184.215.15"]},
    }
    assert check(run(zone, host="relay.example.net"), "spf").state is State.OK
    other = check(run(zone, host="other.example.net"), "spf")
    assert other.state is State.WARNING
    assert other.publish is not None
    assert other.publish.value == "v=spf1 ip4:93.184.215.14 ip4:93.184.215.15 -all"


def test_a_relay_in_a_private_network_can_not_be_judged(run: Run) -> None:
    zone = {"example.com": {"TXT": ["v=spf1 -all"]}, "relay.internal.example": {"A": ["10.0.0.9"]}}
    assert check(run(zone, host="relay.internal.example"), "spf").state is State.UNKNOWN


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ({"MX": ["0 ."]}, State.PROBLEM, "null MX"),
        ({"A": ["192.0.2.1"]}, State.WARNING, "no MX"),
        ({"TXT": ["x"]}, State.PROBLEM, "neither"),
        ("", State.PROBLEM, "does not exist"),
    ],
)
def test_a_domain_that_takes_no_mail_is_told(run: Run, records: Any, state: State, words: str) -> None:
    found = check(run({"example.com": records} if records else {}), "mx")
    assert found.state is state
    assert words in found.sentence


def test_the_domain_for_replies_needs_a_mail_server(run: Run) -> None:
    zone = {"good.example.com": {"MX": ["10 mx.example.com."]}, "mx.example.com": {"A": ["192.0.2.25"]}}
    assert check(run(zone, reply_to_domain="good.example.com"), "reply_to_mx").state is State.OK
    assert check(run(zone, reply_to_domain="bad.example.com"), "reply_to_mx").state is State.PROBLEM


def test_dkim_is_looked_for_at_the_known_selectors_and_through_an_alias(run: Run) -> None:
    zone = {
        "s1._domainkey.example.com": {"CNAME": ["s1.domainkey.u1.wl.sendgrid.net."]},
        "s1.domainkey.u1.wl.sendgrid.net": dkim(more="k=rsa; t=s"),
    }
    found = check(run(zone, provider="sendgrid"), "dkim")
    assert found.state is State.OK
    assert "s1" in found.sentence


def test_dkim_at_a_given_selector_withdrawn_missing_or_not_known(run: Run) -> None:
    zone = {"old._domainkey.example.com": {"TXT": ["v=DKIM1; p="]}}
    assert check(run(zone, host="relay.example.net", selectors=["old"]), "dkim").state is State.PROBLEM
    assert check(run(zone, host="relay.example.net", selectors=["new"]), "dkim").state is State.WARNING
    assert check(run(zone, host="relay.example.net"), "dkim").state is State.UNKNOWN
    assert check(run(zone, host="email-smtp.eu-west-1.amazonaws.com"), "dkim").state is State.UNKNOWN


def test_without_dmarc_a_harmless_record_is_offered(run: Run) -> None:
    found = check(run({"example.com": {"MX": ["10 mx.example.com."]}}), "dmarc")
    assert found.state is State.WARNING
    assert found.publish is not None
    assert found.publish.text == '_dmarc.example.com. TXT "v=DMARC1; p=none"'


def test_the_policy_of_the_organisation_holds_for_a_subdomain(run: Run) -> None:
    zone = {"_dmarc.example.com": {"TXT": ["v=DMARC1; p=none; sp=reject"]}}
    found = check(run(zone, provider="sendgrid", sender="news@mail.example.com"), "dmarc")
    assert found.state is State.PROBLEM
    assert "policy of example.com, which holds for its subdomains, is reject" in found.sentence
    assert "reject it" in found.sentence


def test_a_strict_policy_is_fine_when_dkim_vouches_and_a_problem_when_nothing_does(run: Run) -> None:
    policy = {"_dmarc.example.com": {"TXT": ["v=DMARC1; p=quarantine"]}}
    key = {"s1._domainkey.example.com": dkim()}
    assert check(run({**policy, **key}, provider="sendgrid"), "dmarc").state is State.OK
    lost = check(run(policy, provider="sendgrid"), "dmarc")
    assert lost.state is State.PROBLEM
    assert "spam folder" in lost.sentence


@pytest.mark.parametrize(
    ("records", "words"),
    [(["v=DMARC1; p=none", "v=DMARC1; p=reject"], "2 DMARC records"), (["v=DMARC1; p=maybe"], "no valid policy")],
)
def test_broken_dmarc_records_are_told(run: Run, records: list[str], words: str) -> None:
    found = check(run({"_dmarc.example.com": {"TXT": records}}), "dmarc")
    assert found.state is State.PROBLEM
    assert words in found.sentence


@pytest.mark.parametrize("answer", ["SERVFAIL", "REFUSED"])
def test_dns_that_refuses_leaves_everything_unknown_and_nothing_red(answer: str) -> None:
    with DnsServer({}, otherwise=answer) as server:
        lookup = Lookup(ResolverSettings(("127.0.0.1",), server.port, lifetime_s=0.3))
        report = check_sender_domain("a@example.com", provider="sendgrid", reply_to_domain="example.org", lookup=lookup)
    assert {found.state for found in report.checks} == {State.UNKNOWN}
    assert report.state is State.UNKNOWN
    assert all("could not be checked" in found.sentence for found in report.checks)


def test_silent_dns_ends_at_the_deadline_of_the_whole_check() -> None:
    with DnsServer({}, otherwise=SILENT) as server:
        lookup = Lookup(ResolverSettings(("127.0.0.1",), server.port, timeout_s=0.2, lifetime_s=0.2, total_s=0.5))
        started = time.monotonic()
        report = check_sender_domain("a@example.com", provider="smtp", host="smtp.gmail.com", lookup=lookup)
    assert report.state is State.UNKNOWN
    assert time.monotonic() - started < 10  # not the sum of the look-ups' lifetimes without end


def test_a_closed_port_is_no_dns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    lookup = Lookup(ResolverSettings(("127.0.0.1",), port, timeout_s=0.2, lifetime_s=0.3))
    report = check_sender_domain("a@example.com", provider="smtp", host="smtp.gmail.com", lookup=lookup)
    assert report.state is State.UNKNOWN


@pytest.mark.parametrize(
    "sender", ["a@" + "x" * 70 + ".example", "a@..", "a@", "", "a@exa mple.com", "a@b\u00fccher.example"]
)
def test_an_odd_sender_is_answered_without_an_error(run: Run, sender: str) -> None:
    assert run({}, sender=sender or "none").checks


def test_the_json_has_the_record_ready_to_copy(run: Run) -> None:
    document = run({"example.com": {"MX": ["10 mx.example.com."]}}).as_json()
    assert document["domain"] == "example.com"
    assert document["state"] == "problem"
    spf = next(found for found in document["checks"] if found["name"] == "spf")  # type: ignore[attr-defined]
    assert spf["publish"] == 'example.com. TXT "v=spf1 include:_spf.google.com ~all"'


@pytest.mark.parametrize(
    ("zone", "state", "words"),
    [
        ({"example.com": {"MX": ["10 gone.example.com."]}}, State.PROBLEM, "has no address in DNS"),
        ({"example.com": {"MX": ["10 192.0.2.25."]}}, State.PROBLEM, "only the name of a host"),
        (
            {
                "example.com": {"MX": ["10 gone.example.com.", "20 b.example.com."]},
                "b.example.com": {"A": ["192.0.2.2"]},
            },
            State.OK,
            "go to b.example.com",
        ),
    ],
)
def test_a_mail_server_that_can_not_be_reached_by_its_name_is_told(
    run: Run, zone: dict[str, Any], state: State, words: str
) -> None:
    found = check(run(zone), "mx")
    assert found.state is state
    assert words in found.sentence


def test_a_dns_server_that_could_not_find_out_is_told_apart_from_none(run: Run) -> None:
    found = check(run({"example.com": "SERVFAIL"}), "mx")
    assert found.state is State.UNKNOWN
    assert "could not find out (SERVFAIL)" in found.sentence
    assert "name servers" in found.next_step
