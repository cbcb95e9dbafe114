import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg import rules
from outbound.addresses import envelope_address
from tests.outbound.mails import address, odd_text, proven


@pytest.mark.parametrize(
    ("given_as", "becomes"),
    [
        ("ana@example.com", "ana@example.com"),
        (" Ana.Lima+tag@EXAMPLE.com ", "Ana.Lima+tag@example.com"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("josé@example.com", "josé@example.com"),
        ("josé@BÜCHER.example", "josé@xn--bcher-kva.example"),
        ("ana@example.com.", "ana@example.com"),
        ("o'hara@example.com", "o'hara@example.com"),
    ],
)
def test_an_address_gets_its_envelope_form(given_as: str, becomes: str) -> None:
    assert envelope_address(given_as) == becomes


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "ana",
        "@example.com",
        "ana@",
        "ana@localhost",
        "ana@192.0.2.1",
        "ana@[192.0.2.1]",
        "a b@example.com",
        "ana@exa mple.com",
        "ana..lima@example.com",
        ".ana@example.com",
        "ana@example.com\r\nRCPT TO:<x@y.example>",
        "ana@example.com>",
        "Ana <ana@example.com>",
        "ana@example.com,ben@example.com",
        "a@b@example.com",
        "=?utf-8?q?a?=@example.com",
        "ana\x00@example.com",
        "\ud800@example.com",
        f"{'a' * 65}@example.com",
        f"{'é' * 40}@example.com",
        f"ana@{'a' * 64}.example",
        f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}.example",
        "ana@-example.com",
        "=?utf-8?q?a=0D=0ABcc=3A_x=40y?=@example.com",
    ],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(rules.Refused):
        envelope_address(value)


@proven
@given(value=st.one_of(address, address.map(str.upper), odd_text, st.builds("{}@{}".format, odd_text, odd_text)))
def test_the_quick_way_takes_nothing_that_the_rules_of_the_configuration_refuse(value: str) -> None:
    try:
        found = envelope_address(value)
    except rules.Refused:
        return
    assert found == rules.ascii_address(rules.address(value.strip()))
