"""The shape of a mail's bytes: what SMTP has to know of them, worked out once when they are made, and kept beside them.

Looking through a mail of 5 kB takes some ten microseconds, a third of what delivering it takes otherwise."""

KNOWN = 1  # somebody looked
CRLF = 2  # every line ends in CRLF, the last one too, and CR and LF stand nowhere else
ASCII = 4
ASCII_HEADER = 8
DOTS = 16  # a line starts with a dot


def shape_of(content: bytes) -> int:
    """What holds for `content`: KNOWN and the others, added up."""
    shape = KNOWN
    lines = content.count(b"\r\n")
    if content.count(b"\n") == lines == content.count(b"\r") and content.endswith(b"\r\n"):
        shape |= CRLF
    if content.isascii():
        shape |= ASCII | ASCII_HEADER
    elif content.partition(b"\r\n\r\n")[0].isascii():
        shape |= ASCII_HEADER
    return shape | dots_of(content)


def dots_of(content: bytes) -> int:
    """DOTS where a line of `content` starts with a dot, otherwise 0."""
    return DOTS if b"\r\n." in content or content.startswith(b".") else 0
