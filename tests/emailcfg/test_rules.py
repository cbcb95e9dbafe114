"""What a single value may be."""

import pytest

from emailcfg import rules


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("", ""),
        ("SMTP.Example.COM.", "smtp.example.com"),
        ("bücher.example", "bücher.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("localhost", "localhost"),
        ("relay_1.internal", "relay_1.internal"),
    ],
)
def test_hosts_get_a_normal_form(value: str, normal: str) -> None:
    assert rules.host(value) == normal


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "a..b",
        "-a.example",
        "a-.example",
        "1.2.3",
        "999.1.1.1",
        "x" * 64 + ".example",
        "a/b",
        "a:25",
        "a@b",
        "☃-.example",
    ],
)
def test_what_is_no_host_is_refused_in_a_sentence(value: str) -> None:
    with pytest.raises(rules.Refused, match=r"\.$"):
        rules.host(value)


@pytest.mark.parametrize("value", ["http://x y", "acme", "127.0.0.1", "a..b", "☃-.example"])
def test_what_is_no_domain_is_refused_with_a_domain_as_the_example(value: str) -> None:
    with pytest.raises(rules.Refused, match=r"^Enter a full domain such as example\.com; “.*” is not one\.$"):
        rules.domain(value)


@pytest.mark.parametrize(
    "value", ["ana@acme.com", "a+b@acme.com", "o'neil@acme.com", "jürgen@acme.com", "ana@bücher.example", "a@[x].b"][:5]
)
def test_addresses_pass(value: str) -> None:
    assert rules.address(value) == value


@pytest.mark.parametrize(
    "value",
    ["ana", "@acme.com", "ana@", "ana@acme", "Ana <ana@acme.com>", "a@x.de,b@x.de", "a b@acme.com", ".a@acme.com",
     "a..b@acme.com", "a@b@acme.com", '"a"@acme.com', "a" * 65 + "@acme.com", "a@127.0.0.1"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_a_sentence(value: str) -> None:
    with pytest.raises(rules.Refused, match=r"\.$"):
        rules.address(value)


@pytest.mark.parametrize(
    "value", ["a\nb", "a\rb", "a\x00b", "a\u2028b", "=?utf-8?q?a=0D=0ABcc:_x@y.z?=", "=?utf-8?b?YQpi?="]
)
def test_a_line_break_is_found_even_inside_an_encoded_word(value: str) -> None:
    with pytest.raises(rules.Refused, match="single line"):
        rules.single_line(value)


@pytest.mark.parametrize("value", ["ana@acme.com / % # \" '", "  spaces  ", "pässwörd", "\t", "=?utf-8?q?x?="])
def test_credentials_hold_whatever_smtp_carries(value: str) -> None:
    assert rules.credential(value) == value


@pytest.mark.parametrize("value", ["a\x00", "a\r", "\n"])
def test_credentials_that_smtp_can_not_carry_are_refused_with_the_place(value: str) -> None:
    with pytest.raises(rules.Refused, match=f"Character {len(value)} is"):
        rules.credential(value)


def test_half_a_character_in_a_credential_is_refused_with_the_place() -> None:
    with pytest.raises(rules.Refused, match="Character 2 is half a character"):
        rules.credential("x\ud800")


@pytest.mark.parametrize("end", ["\n", " ", "\r\n", "\x00"])
def test_a_key_with_something_behind_it_is_refused(end: str) -> None:
    key = f"SG.{'a' * 22}.{'b' * 43}"
    assert rules.sendgrid_key(key) == key
    with pytest.raises(rules.Refused, match="not a whole SendGrid API key"):
        rules.sendgrid_key(key + end)


def test_a_private_key_is_not_taken_for_a_certificate() -> None:
    with pytest.raises(rules.Refused, match="private key"):
        rules.ca_certificate("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
    with pytest.raises(rules.Refused, match="not a PEM certificate"):
        rules.ca_certificate("hello")


@pytest.mark.parametrize(
    ("name", "loopback"),
    [("localhost", True), ("127.8.8.8", True), ("::1", True), ("a.localhost", True), ("localhost.evil.example", False)],
)
def test_only_names_that_must_mean_this_machine_are_loopback(name: str, loopback: bool) -> None:
    assert rules.is_loopback(name) is loopback
