"""DMARC records as domains have them: whose policy holds, whether mail aligns, and what an expert would remark."""

from pathlib import Path
from typing import Any

import pytest

from emailcfg.diagnosis import organisation as organisations
from emailcfg.diagnosis.findings import Check, State
from emailcfg.diagnosis.organisation import organisation
from tests.emailcfg.diagnosis.domains import Run, check
from tests.emailcfg.diagnosis.keys import dkim

PERMITTED = {"example.com": {"TXT": ["v=spf1 include:_spf.google.com -all"]}}


def dmarc(run: Run, record: str, zone: dict[str, Any] | None = None, **more: Any) -> Check:
    return check(run({"_dmarc.example.com": {"TXT": [record]}, **(zone or {})}, **more), "dmarc")


def test_spf_of_the_senders_own_domain_is_aligned_however_strict(run: Run) -> None:
    told = dmarc(run, "v=DMARC1; p=reject; aspf=s; adkim=s", PERMITTED)
    assert told.state is State.OK
    assert "can pass it by SPF." in told.sentence
    assert "Alignment: SPF counts for the very same domain; DKIM counts for the very same domain." in told.details


def test_spf_of_a_service_with_its_own_return_path_is_never_aligned(run: Run) -> None:
    zone = {"example.com": {"TXT": ["v=spf1 include:sendgrid.net -all"]}}
    told = dmarc(run, "v=DMARC1; p=reject", zone, provider="sendgrid", host="")
    assert told.state is State.PROBLEM
    signed = dmarc(run, "v=DMARC1; p=reject", {**zone, "s1._domainkey.example.com": dkim()}, provider="sendgrid")
    assert signed.state is State.OK
    assert "by DKIM." in signed.sentence


def test_a_policy_of_none_with_nothing_aligned_is_no_green_light(run: Run) -> None:
    told = dmarc(run, "v=DMARC1; p=none; rua=mailto:d@example.com", provider="sendgrid", host="")
    assert told.state is State.WARNING
    assert "neither by SPF nor by DKIM" in told.sentence


@pytest.mark.parametrize(
    ("record", "action"),
    [
        ("v=DMARC1; p=none; sp=reject", "reject"),
        ("v=DMARC1; p=quarantine", "quarantine"),
        ("v=DMARC1;p=REJECT;sp=NONE;", "none"),
        ("v=DMARC1; p=whatever; rua=mailto:d@example.com", "none"),
    ],
)
def test_a_subdomain_follows_the_subdomain_policy_of_its_organisation(run: Run, record: str, action: str) -> None:
    told = dmarc(run, record, sender="news@a.mail.example.com", provider="sendgrid", host="")
    assert f"policy of example.com, which holds for its subdomains, is {action}" in told.sentence
    assert "a.mail.example.com has no record of its own, so that of example.com holds." in told.details


def test_the_record_of_the_subdomain_itself_goes_before_that_of_the_organisation(run: Run) -> None:
    zone = {"_dmarc.mail.example.com": {"TXT": ["v=DMARC1; p=quarantine"]}}
    told = dmarc(run, "v=DMARC1; p=reject", zone, sender="news@mail.example.com", provider="sendgrid", host="")
    assert "policy of mail.example.com is quarantine" in told.sentence


def test_share_test_mode_and_missing_reports_are_remarked(run: Run) -> None:
    told = dmarc(run, "v=DMARC1; p=quarantine; pct=20; t=y", PERMITTED)
    assert "The policy is for 20 % of the mail that fails (pct)." in told.details
    assert any("t=y" in remark for remark in told.details)
    assert any("rua" in remark for remark in told.details)


def test_reports_to_another_organisation_need_its_consent(run: Run) -> None:
    record = "v=DMARC1; p=none; rua=mailto:acme@reports.example.net,mailto:dmarc@sub.example.com!10m"
    consent = {"example.com._report._dmarc.reports.example.net": {"TXT": ["v=DMARC1;"]}}
    refused = dmarc(run, record, PERMITTED)
    assert [one for one in refused.details if "are not sent" in one] == [
        "Reports to reports.example.net are not sent: it does not say at "
        "example.com._report._dmarc.reports.example.net that it takes them."
    ]
    assert not any("are not sent" in one for one in dmarc(run, record, {**PERMITTED, **consent}).details)


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ({"example.com": {"TXT": ["v=DMARC1; p=none"]}}, "published at example.com, where no receiver looks"),
        ({"_dmarc.example.com.example.com": {"TXT": ["v=DMARC1; p=none"]}}, "at _dmarc.example.com.example.com"),
        ({"_dmarc.example.com": {"TXT": ["v=dmarc1; p=none"]}}, "does not begin with v=DMARC1"),
        ({"_dmarc.example.com": {"TXT": ["p=none; v=DMARC1"]}}, "does not begin with v=DMARC1"),
    ],
)
def test_a_record_in_the_wrong_place_or_form_is_found(run: Run, zone: dict[str, Any], words: str) -> None:
    told = check(run(zone), "dmarc")
    assert told.state is State.PROBLEM
    assert words in told.sentence
    assert told.publish is not None
    assert told.publish.name == "_dmarc.example.com"


LIST = """\
// a comment

com
uk
co.uk
*.ck
!www.ck
github.io
jp
*.kawasaki.jp
!city.kawasaki.jp
"""


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("a.b.example.co.uk", "example.co.uk"),
        ("mx.example.com", "example.com"),
        ("b.c.kawasaki.jp", "b.c.kawasaki.jp"),
        ("a.b.c.kawasaki.jp", "b.c.kawasaki.jp"),
        ("x.city.kawasaki.jp", "city.kawasaki.jp"),
        ("www.ck", "www.ck"),
        ("mail.alice.github.io", "alice.github.io"),
        ("mail.example.unlisted", "example.unlisted"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
    ],
)
def test_the_machines_public_suffix_list_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, owner: str
) -> None:
    path = tmp_path / "public_suffix_list.dat"
    path.write_text(LIST)
    monkeypatch.setattr(organisations, "SYSTEM_LIST", path)
    assert organisation(name) == owner


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("a.b.example.co.uk", "example.co.uk"),
        ("mail.example.com.br", "example.com.br"),
        ("mail.example.uk.com", "example.uk.com"),
        ("mail.example.com", "example.com"),
        ("mail.eu.example.de", "example.de"),
        ("", ""),
    ],
)
def test_without_such_a_list_the_second_levels_of_countries_are_known_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, owner: str
) -> None:
    monkeypatch.setattr(organisations, "SYSTEM_LIST", tmp_path / "none")
    assert organisation(name) == owner
