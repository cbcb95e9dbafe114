"""What the header reader makes of real servers' headers: whose results count, alignment, ARC, spam filters' words."""

import pytest

from emailcfg.diagnosis.headers import read_headers
from emailcfg.diagnosis.received import span
from tests.emailcfg.diagnosis.received_mails import EXCHANGE, FORWARDED, MICROSOFT, POSTFIX


def test_microsofts_way_is_read_hop_by_hop() -> None:
    read = read_headers(MICROSOFT)
    assert [(hop.taken_by.split(".")[0], hop.protocol, hop.tls) for hop in read.hops] == [
        ("geopod-ismtpd-9", "HTTP", None),
        ("recvd-5f4d7b6c9-abcde", "SMTP", False),
        ("DU2PEPF00028D01", "Microsoft SMTP Server", True),
        ("DB8PR06CA0003", "Microsoft SMTP Server", True),
        ("AS8PR04MB0001", "Microsoft SMTP Server", True),
        ("DB9PR04MB0002", "HTTPS", True),
    ]
    assert [hop.internal for hop in read.hops] == [False, True, False, True, True, True]
    assert read.hops[2].tls_words == "TLS 1.3 TLS_AES_256_GCM_SHA384"
    assert read.hops[2].address == "149.72.1.2"
    assert [hop.delay_s for hop in read.hops] == [None, 0.0, 2.0, 1.0, 1.0, 1.0]


def test_microsofts_results_are_believed_though_they_name_no_server() -> None:
    read = read_headers(MICROSOFT)
    assert read.trusted
    assert [(one.method, one.result, one.about) for one in read.findings] == [
        ("spf", "pass", "em1234.acme.example"),
        ("dkim", "fail", "acme.example"),
        ("dmarc", "pass", "acme.example"),
        ("compauth", "softpass", ""),
    ]
    assert read.findings[1].detail == "body hash did not verify"
    assert read.findings[3].detail == "reason 202"


def test_sender_and_subject_are_decoded_and_the_signatures_selectors_told() -> None:
    read = read_headers(MICROSOFT)
    assert (read.sender, read.subject) == ("no-reply@acme.example", "Ein Test ✓")
    assert [(one.domain, one.selector) for one in read.signatures] == [
        ("acme.example", "s1"),
        ("sendgrid.info", "smtpapi"),
    ]
    assert read.selectors == ("s1",)


def test_microsofts_spam_filter_is_put_into_words() -> None:
    notes = " ".join(read_headers(MICROSOFT).notes)
    assert "spam (SFV:SPM)" in notes
    assert "spam level 5, which leads to the junk folder or quarantine (SCL)" in notes
    assert "level 7 of 9 (BCL)" in notes


def test_results_of_several_filters_of_one_server_are_put_together_and_forged_ones_left_out() -> None:
    read = read_headers(POSTFIX)
    assert read.checked_by == "mx.example.org"
    assert read.trusted
    assert [(one.method, one.result) for one in read.findings] == [("dmarc", "pass"), ("dkim", "pass"), ("spf", "pass")]
    assert [one.aligned for one in read.findings] == [None, True, True]
    assert read.findings[1].detail == "2048-bit key; unprotected"


def test_a_filter_on_the_same_machine_is_no_unencrypted_hop() -> None:
    read = read_headers(POSTFIX)
    assert [hop.internal for hop in read.hops] == [True, False, True]
    assert "At least one hop was not encrypted." not in read.notes
    assert read.hops[1].tls_words == "TLS 1.3 TLS_AES_256_GCM_SHA384"


def test_where_the_time_went_is_said() -> None:
    read = read_headers(POSTFIX)
    assert [hop.delay_words for hop in read.hops] == ["", "5 min 2 s", "8 s"]
    assert read.total_words == "5 min 10 s"
    assert "Most of the time passed before mx.example.org took it: 5 min 2 s." in read.notes
    assert any("SpamAssassin calls it spam, with 6.2 of 5.0 points." in note for note in read.notes)


def test_time_lost_before_the_first_server_and_before_another_is_said() -> None:
    read = read_headers(
        "Received: from b.example.com by c.example.org with ESMTPS; Mon, 23 Nov 2026 16:10:00 +0000\n"
        "Received: from a.example.com by b.example.com with ESMTPS; Mon, 23 Nov 2026 14:05:00 +0000\n"
        "Date: Mon, 23 Nov 2026 14:00:00 +0000\n"
    )
    assert "Most of the time passed before c.example.org took it: 2 h 5 min." in read.notes
    assert any(note.startswith("It was written 5 min before the first server took it") for note in read.notes)
    assert read.total_words == "2 h 10 min"


def test_what_a_forwarder_broke_is_told_by_arc() -> None:
    read = read_headers(FORWARDED)
    assert [(one.method, one.result) for one in read.findings] == [
        ("dkim", "fail"),
        ("arc", "pass"),
        ("spf", "softfail"),
        ("dmarc", "fail"),
    ]
    assert [(one.number, one.checked_by, one.words) for one in read.sealed] == [
        (1, "lists.uni.example", "spf=pass, dkim=pass, dmarc=pass"),
        (2, "mx.google.com", "dkim=fail, arc=pass, spf=softfail, dmarc=fail"),
    ]
    assert "At lists.uni.example DMARC still passed, so passing it on broke it." in read.notes
    assert "does not designate 198.51.100.7" in read.findings[2].detail


def test_without_results_received_spf_is_read() -> None:
    read = read_headers(EXCHANGE)
    assert [(one.method, one.result, one.about) for one in read.findings] == [("spf", "softfail", "shop@acme.example")]
    assert read.trusted
    assert read.hops[0].address == "203.0.113.77"
    assert "At least one hop was not encrypted." in read.notes
    assert "so a DMARC policy would count this mail as failed" in " ".join(read.notes)


def test_what_passed_for_another_domain_is_said_not_to_count() -> None:
    read = read_headers(
        "Received: from o1.sendgrid.net ([192.0.2.1]) by mx.example.org with ESMTPS; Mon, 23 Nov 2026 14:00:00 +0000\n"
        "Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=bounces@sendgrid.net; dkim=pass\n"
        " header.d=mail.acme.example\n"
        "From: news@acme.example\n"
    )
    spf, dkim = read.findings
    assert spf.aligned is False
    assert "another organisation than the sender's" in spf.sentence
    assert dkim.aligned is True
    assert dkim.sentence == (
        "DKIM passed: signed by mail.acme.example. It is of the sender's organisation, so DMARC counts it."
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("example.org 1; spf=pass smtp.mailfrom=a@b.example", [("spf", "pass", "a@b.example")]),
        ("example.org; none", []),
        ("example.org; spf = pass ; dkim/1 = fail", [("spf", "pass", ""), ("dkim", "fail", "")]),
        ('example.org; spf=pass reason="good; see (log)" smtp.mailfrom="x y"', [("spf", "pass", "x y")]),
        ("example.org (c;c); dmarc=pass (p=none; sp=(x;y)) header.from=b.example", [("dmarc", "pass", "b.example")]),
        ("example.org; auth=pass smtp.auth=ana; iprev=pass policy.iprev=192.0.2.1; spf=none", [("spf", "none", "")]),
        ('"example.org"; spf=neutral', [("spf", "neutral", "")]),
        ("example.org; SPF=Pass", [("spf", "pass", "")]),
    ],
)
def test_results_are_read_as_rfc_8601_writes_them(value: str, expected: list[tuple[str, str, str]]) -> None:
    read = read_headers(
        "Received: from a.b.example by mx.example.org with ESMTPS; Mon, 23 Nov 2026 14:00:03 +0000\n"
        f"Authentication-Results: {value}\n"
    )
    assert [(one.method, one.result, one.about) for one in read.findings] == expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "\n\n".join(text.split("\n")),
        lambda text: "\n".join(f"> {line}" for line in text.strip().split("\n")),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "Original message\n\n" + text,
        lambda text: "\n".join(line.strip() for line in text.split("\n")),
    ],
    ids=["double-spaced", "quoted", "crlf", "with a title", "folds lost"],
)
@pytest.mark.parametrize("text", [MICROSOFT, POSTFIX, FORWARDED, EXCHANGE], ids=["m365", "postfix", "arc", "exchange"])
def test_what_the_clipboard_does_to_headers_changes_nothing(text: str, damage) -> None:  # type: ignore[no-untyped-def]
    whole, damaged = read_headers(text), read_headers(damage(text))
    assert damaged.hops == whole.hops
    assert damaged.findings == whole.findings


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h"), (86_400, "1 d")],
)
def test_spans_read_as_people_say_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_results_above_the_border_count_under_whatever_name_the_receiver_checks() -> None:
    """iCloud, for one, checks under another domain than its mail servers have."""
    read = read_headers(
        "Authentication-Results: dmarc.cloud.example; dmarc=pass header.from=acme.example\n"
        "Received: from mail.acme.example ([203.0.113.9]) by mx.fruit.example with ESMTPS; "
        "Mon, 23 Nov 2026 14:00:00 +0000\n"
        "Authentication-Results: dmarc.cloud.example; dmarc=fail header.from=acme.example\n"
    )
    assert read.trusted
    assert [(one.method, one.result) for one in read.findings] == [("dmarc", "pass")]


def test_a_machine_with_a_private_address_belongs_to_the_receiver_whatever_its_name() -> None:
    read = read_headers(
        "Received: from filter.vendor.example ([10.0.0.4]) by mx.example.org with SMTP; "
        "Mon, 23 Nov 2026 14:00:02 +0000\n"
        "Received: from mail.acme.example ([203.0.113.9]) by mx.example.org with ESMTPS; "
        "Mon, 23 Nov 2026 14:00:00 +0000\n"
        "Authentication-Results: mx.example.org; dmarc=pass header.from=acme.example\n"
    )
    assert [hop.internal for hop in read.hops] == [False, True]
    assert read.trusted
    assert "At least one hop was not encrypted." not in read.notes
