"""The shape of a mail's bytes, against a plain reading of the same bytes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.providers.shape import ASCII, ASCII_HEADER, CRLF, DOTS, KNOWN, shape_of

PIECES = st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x", b"Subject: a", b"\xc3\xbc", b"\r\n\r\n", b"\r\n."])


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_the_shape_says_what_a_plain_reading_says(content: bytes) -> None:
    shape = shape_of(content)
    lines = content.split(b"\r\n")
    assert shape & KNOWN
    assert bool(shape & CRLF) == (lines[-1] == b"" and len(lines) > 1 and not re.search(rb"[\r\n]", b"".join(lines)))
    assert bool(shape & ASCII) == all(byte < 128 for byte in content)
    assert bool(shape & ASCII_HEADER) == all(byte < 128 for byte in content.split(b"\r\n\r\n")[0])
    assert bool(shape & DOTS) == any(line.startswith(b".") for line in lines)


@pytest.mark.parametrize("content", [b"a\r\nb", b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b""])
def test_content_with_other_line_ends_is_not_taken_for_clean(content: bytes) -> None:
    assert not shape_of(content) & CRLF
