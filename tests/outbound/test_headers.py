"""The block of header fields: what was set and nothing else, in lines that servers take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.headers import block, longest_line_over


def test_fields_stand_in_their_order_and_may_be_folded() -> None:
    assert block([("To", "a@b.example,\r\n c@d.example"), ("Subject", "x\r\n\ty")]) == (
        b"To: a@b.example,\r\n c@d.example\r\nSubject: x\r\n\ty\r\n"
    )


@pytest.mark.parametrize(
    "value",
    ["x\r\nBcc: a@b.example", "x\nBcc: a@b.example", "x\rBcc: a@b.example", "x\n y", "x\r\n", "x\r\n\r\nbody", "\r\n"],
)
def test_a_value_that_would_start_another_line_does_not_leave(value: str) -> None:
    with pytest.raises(ValueError, match="read back"):
        block([("Subject", value), ("To", "a@b.example")])


def test_a_line_that_is_too_long_does_not_leave() -> None:
    block([("X-Long", "x" * (998 - len("X-Long: ")))])
    with pytest.raises(ValueError, match="998"):
        block([("X-Long", "x" * (999 - len("X-Long: ")))])


@given(st.lists(st.integers(0, 25), max_size=12), st.integers(1, 20))
def test_the_longest_line_is_found_as_a_plain_reading_finds_it(lengths: list[int], limit: int) -> None:
    lines = b"".join(b"x" * length + b"\r\n" for length in lengths)
    assert longest_line_over(lines, limit) == any(length > limit for length in lengths)
