"""DKIM keys in DNS: sound, weak, damaged, misplaced, and for whom they stand."""

from typing import Any

import pytest

from emailcfg.diagnosis.findings import Check, State
from tests.emailcfg.diagnosis.domains import Run, check
from tests.emailcfg.diagnosis.keys import dkim, ed25519, public_key

NAME = "s1._domainkey.example.com"


def found(run: Run, zone: dict[str, Any], **more: Any) -> Check:
    return check(run(zone, **{"provider": "sendgrid", "host": "", **more}), "dkim")


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        (dkim(2048), State.OK, "RSA with 2048 bits."),
        (dkim(1024), State.OK, "RSA with 1024 bits. 2048 are advised."),
        (ed25519(), State.OK, "check only RSA keys"),
        (dkim(more="v=DKIM1; t=y"), State.OK, "marked as a test"),
        (dkim(more="v=DKIM1; s=email; h=sha1:sha256"), State.OK, "RSA with 2048 bits."),
    ],
)
def test_a_usable_key_is_ok_and_its_strength_is_told(run: Run, records: Any, state: State, words: str) -> None:
    told = found(run, {NAME: records})
    assert told.state is state
    assert any(words in remark for remark in told.details)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (f"v=DKIM1; p={public_key()[:-8]}", "damaged"),
        ("v=DKIM1; p=MIGfMA0GCSqGSIb3", "damaged"),
        ("v=DKIM1; p=%%%", "damaged"),
        ("v=DKIM1; p=", "withdrawn"),
        (f"v=DKIM2; p={public_key()}", "version"),
        (f"v=DKIM1; h=sha1; p={public_key()}", "hashes"),
        (f"v=DKIM1; s=tlsrpt; p={public_key()}", "not meant for mail"),
        (f"v=DKIM1; k=dsa; p={public_key()}", "unknown"),
        ("v=DKIM1; k=ed25519; p=AAAA", "no Ed25519 key"),
        # RSA with 512 bits, made once with OpenSSL: today's libraries refuse to make one
        (
            "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANUfRmpevbbQoGP5KFjLefpOLYNvABrlaYqfFqrW9ZEIVd1oTGqFdLgI"
            "Ine/lq5WDtoCiK1auDncUGsDzkkrApsCAwEAAQ==",
            "512 bits",
        ),
    ],
)
def test_a_key_that_receivers_can_not_use_is_a_problem_that_is_named(run: Run, record: str, words: str) -> None:
    told = found(run, {NAME: {"TXT": [record]}})
    assert told.state is State.PROBLEM
    assert words in told.sentence


def test_two_records_at_one_selector_are_a_problem(run: Run) -> None:
    told = found(run, {NAME: {"TXT": [f"p={public_key()}", f"p={public_key(1024)}"]}})
    assert told.state is State.PROBLEM
    assert "2 DKIM records" in told.sentence


def test_a_name_that_a_console_made_too_deep_is_found(run: Run) -> None:
    told = found(run, {f"{NAME}.example.com": {"CNAME": ["s1.domainkey.u1.wl.sendgrid.net."]}})
    assert told.state is State.WARNING
    assert f"published at {NAME}.example.com" in told.sentence
    assert "enter only s1._domainkey as the name" in told.next_step


def test_an_alias_that_leads_nowhere_is_named_with_its_target(run: Run) -> None:
    told = found(run, {NAME: {"CNAME": ["s1.domainkey.u1.wl.sendgrid.net."]}})
    assert told.state is State.WARNING
    assert "points to s1.domainkey.u1.wl.sendgrid.net, where no DKIM key is found" in told.sentence


def test_the_domain_above_may_sign_for_a_subdomain(run: Run) -> None:
    zone = {NAME: dkim(), "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject"]}}
    report = run(zone, provider="sendgrid", host="", sender="news@mail.example.com")
    assert check(report, "dkim").state is State.OK
    assert "at example.com, the domain above mail.example.com" in check(report, "dkim").sentence
    assert check(report, "dmarc").state is State.OK
    strict = {NAME: dkim(), "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject; adkim=s"]}}
    refused = check(run(strict, provider="sendgrid", host="", sender="news@mail.example.com"), "dmarc")
    assert refused.state is State.PROBLEM
    assert "adkim=s" in refused.next_step


def test_usual_selectors_are_looked_for_where_nobody_told_any_and_prove_nothing(run: Run) -> None:
    zone = {"default._domainkey.example.com": dkim(), "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject"]}}
    report = run(zone, host="relay.example.net")
    assert check(report, "dkim").state is State.UNKNOWN
    assert "at default._domainkey.example.com; whether this service signs" in check(report, "dkim").sentence
    assert check(report, "dmarc").state is State.WARNING
    assert "is not known" in check(report, "dmarc").sentence
