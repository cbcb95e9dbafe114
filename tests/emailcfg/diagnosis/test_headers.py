"""Pasted headers of several receivers, broken in several ways."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.diagnosis.headers import LIMIT, read_headers
from emailcfg.diagnosis.organisation import organisation

GMAIL = """\
Delivered-To: bob@example.org
Received: by 2002:a05:7208:4094:b0:7c:1b2c with SMTP id b20csp1;
        Mon, 23 Nov 2026 06:00:12 -0800 (PST)
Return-Path: <news@example.com>
Received: from mail.example.com (mail.example.com. [203.0.113.9])
        by mx.google.com with ESMTPS id d9443c01a7336-1si2.3
        for <bob@example.org>
        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);
        Mon, 23 Nov 2026 06:00:11 -0800 (PST)
Authentication-Results: mx.google.com;
       dkim=pass header.i=@example.com header.s=s1 header.b=abc;
       spf=pass (google.com: domain of news@example.com designates 203.0.113.9) smtp.mailfrom=news@example.com;
       dmarc=fail (p=REJECT sp=REJECT dis=NONE) header.from=example.com
Received: from app.internal (app.internal [10.0.0.4])
        (using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits))
        (No client certificate requested)
        by mail.example.com (Postfix) with ESMTPSA id 4ABC
        for <bob@example.org>; Mon, 23 Nov 2026 14:00:05 +0000 (UTC)
Authentication-Results: evil.example.net; spf=pass; dkim=pass; dmarc=pass
Message-ID: <1@example.com>
Date: Mon, 23 Nov 2026 14:00:03 +0000
Subject: Hello

Received: from the body
"""


def test_hops_are_told_oldest_first_with_their_delays() -> None:
    read = read_headers(GMAIL)
    assert [hop.taken_by for hop in read.hops] == ["mail.example.com", "mx.google.com", "2002:a05:7208:4094:b0:7c:1b2c"]
    assert [hop.sent_by for hop in read.hops] == ["app.internal", "mail.example.com", ""]
    assert [hop.delay_s for hop in read.hops] == [None, 6.0, 1.0]
    assert read.total_s == 9.0
    assert read.hops[1].at == datetime(2026, 11, 23, 14, 0, 11, tzinfo=UTC)


def test_tls_is_told_for_each_hop_where_it_is_stated() -> None:
    first, second, third = read_headers(GMAIL).hops
    assert (first.tls, first.tls_words) == (True, "TLS 1.2 ECDHE-RSA-AES256-GCM-SHA384")
    assert (second.tls, second.tls_words) == (True, "TLS 1.3 TLS_AES_256_GCM_SHA384")
    assert third.tls is False  # "with SMTP" says so; it stays inside the receiver


def test_only_the_receivers_own_results_count() -> None:
    read = read_headers(GMAIL)
    assert read.checked_by == "mx.google.com"
    assert read.trusted
    assert [(found.method, found.result) for found in read.findings] == [
        ("dkim", "pass"),
        ("spf", "pass"),
        ("dmarc", "fail"),
    ]
    assert read.findings[2].sentence == "DMARC for example.com did not pass (fail)."


def test_message_id_date_and_subject_are_told() -> None:
    read = read_headers(GMAIL)
    assert (read.message_id, read.subject) == ("<1@example.com>", "Hello")
    assert read.date == datetime(2026, 11, 23, 14, 0, 3, tzinfo=UTC)


def test_results_that_only_the_sender_could_have_written_are_not_trusted() -> None:
    read = read_headers(
        "Received: from a.example.com by mx.example.org with ESMTP; Mon, 23 Nov 2026 14:00:03 +0000\n"
        "Authentication-Results: evil.example.net; dmarc=pass header.from=bank.example\n"
    )
    assert not read.trusted
    assert "The results can't be tied to the receiving server, so the sender could have written them." in read.notes


def test_microsofts_results_without_a_server_name_are_read() -> None:
    read = read_headers(
        "Received: from AM0PR01.eurprd01.prod.exchangelabs.com by X.prod.outlook.com with HTTPS; "
        "Mon, 23 Nov 2026 14:00:05 +0000\n"
        "Authentication-Results: spf=pass (sender IP is 203.0.113.9)\n smtp.mailfrom=example.com; dkim=none (not "
        "signed)\n header.d=none;dmarc=bestguesspass action=none\n header.from=example.com;compauth=pass reason=109\n"
    )
    assert read.trusted
    assert [(found.method, found.result) for found in read.findings] == [
        ("spf", "pass"),
        ("dkim", "none"),
        ("dmarc", "bestguesspass"),
        ("compauth", "pass"),
    ]
    assert read.findings[1].sentence == "The mail carries no DKIM signature."
    assert read.findings[1].detail == "not signed"


def test_a_clock_that_runs_ahead_gives_no_negative_delay() -> None:
    read = read_headers(
        "Received: from b.example.com by c.example.org with ESMTPS; Mon, 23 Nov 2026 14:00:00 +0000\n"
        "Received: from a.example.com by b.example.com with ESMTPS; Mon, 23 Nov 2026 14:05:00 +0000\n"
    )
    assert [(hop.delay_s, hop.skew_s) for hop in read.hops] == [(None, 0.0), (None, 300.0)]
    assert read.total_s is None
    assert any("clocks" in note for note in read.notes)


def test_folds_that_lost_their_indentation_and_junk_above_are_read() -> None:
    text = "some junk\n\n" + "\n".join(line.strip() for line in GMAIL.split("\n"))
    assert len(read_headers(text).hops) == 3
    assert read_headers(text).findings == read_headers(GMAIL).findings


@pytest.mark.parametrize(
    "received",
    [
        "Received: from a by b with ESMTP id 1",  # no date
        "Received: from a by b with ESMTP; yesterday",
        "Received: from a by b with ESMTP; Mon, 99 Nov 99999 99:99:99 +9999",
        "Received: ;",
        "Received: (((((",
        "Received:",
    ],
)
def test_a_broken_received_field_is_a_hop_without_a_clock(received: str) -> None:
    (hop,) = read_headers(received).hops
    assert hop.at is None
    assert hop.delay_s is None


def test_an_unencrypted_hop_is_noted() -> None:
    read = read_headers("Received: from a.example.com by b.example.org with SMTP; Mon, 23 Nov 2026 14:00:00 +0000")
    assert "At least one hop was not encrypted." in read.notes


def test_a_text_without_headers_says_how_to_get_them() -> None:
    assert "Show original" in read_headers("hello").notes[0]


def test_a_huge_text_is_read_up_to_its_limit() -> None:
    read = read_headers("Subject: x\n" + "Received: from a by b; Mon, 23 Nov 2026 14:00:00 +0000\n" * 20_000)
    assert len(read.hops) == 100
    assert any("256 KB" in note for note in read.notes)
    assert read_headers("(" * LIMIT).hops == ()
    assert len(read_headers("Received: " + "(" * LIMIT).hops) == 1


@pytest.mark.parametrize("name", ["From", "Subject", "Date", "Received", "Authentication-Results", "DKIM-Signature"])
@pytest.mark.parametrize(
    "repeated", ["(a ", "<", '"', "=?utf-8?q?a?= ", "from by with ", "a@b,", "spf=pass (", "[1(\\", "; "]
)
def test_no_repetition_breaks_it(name: str, repeated: str) -> None:
    """The standard library's parser of addresses, for one, recurses with the depth of comments."""
    read_headers(f"{name}: {repeated * (LIMIT // len(repeated))}")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("Acme <News@Acme.example>", "news@acme.example"),
        ("news@acme.example (Acme)", "news@acme.example"),
        ('"a@b.example" <news@acme.example>', "news@acme.example"),
        ("=?utf-8?q?B=C3=BCro?= <news@acme.example>", "news@acme.example"),
        ("undisclosed", ""),
    ],
)
def test_the_senders_address_is_found(value: str, address: str) -> None:
    assert read_headers(f"From: {value}").sender == address


@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from([*GMAIL.split("\n"), ";", "(", '"', "\\", "from by with", "\t", "=", "\x00"])).map(
        "\n".join
    )
)
def test_no_text_breaks_it(text: str) -> None:
    read = read_headers(text)
    assert all(hop.delay_s is None or hop.delay_s >= 0 for hop in read.hops)


@given(st.text('();\\" =.,:ab\t', max_size=300))
def test_no_field_breaks_it(value: str) -> None:
    read_headers(f"Received: {value}\nAuthentication-Results: {value}\nDate: {value}")


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mail.eu.example.co.uk", "example.co.uk"),
        ("mx.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.de.", "example.de"),
        ("localhost", "localhost"),
    ],
)
def test_the_organisation_of_a_name(name: str, domain: str) -> None:
    assert organisation(name) == domain
