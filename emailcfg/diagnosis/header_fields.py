"""Header fields out of pasted text: unfolded, however the folds survived the clipboard."""

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from itertools import pairwise

_NAME = re.compile(r"^([A-Za-z][A-Za-z0-9-]{0,75}):(.*)$", re.DOTALL)
_MAX_FIELDS = 2000
_QUOTE = re.compile(r"^(?:> ?)+")  # as a reply or a ticket quotes


@dataclass(frozen=True, slots=True)
class Field:
    """A field's name in lower case and its value on one line; `at` is its place, counted from the top."""

    name: str
    value: str
    at: int = 0


def fields_of(text: str) -> list[Field]:
    """The fields up to the first empty line after one. A line that is neither a field nor indented is taken
    for a fold that lost its indentation; text before the first field is junk."""
    found: list[tuple[str, list[str]]] = []
    for line in _lines(text):
        if not line.strip():
            if found:
                break
            continue
        start = _NAME.match(line) if line[:1] not in " \t" else None
        if start:
            if len(found) >= _MAX_FIELDS:
                break
            found.append((start.group(1).lower(), [start.group(2).strip()]))
        elif found:
            found[-1][1].append(line.strip())
    return [Field(name, " ".join(filter(None, parts)), at) for at, (name, parts) in enumerate(found)]


def _lines(text: str) -> list[str]:
    """The lines, without the quote marks of a reply and without the empty lines that some windows put between all."""
    lines = [line.lstrip("\ufeff") for line in re.split(r"\r\n|\r|\n", text)]
    written = [line for line in lines if line.strip()]
    if written and all(line.startswith(">") for line in written):
        lines = [_QUOTE.sub("", line) for line in lines]
    pairs = list(pairwise(lines))
    double = bool(pairs) and not any(one.strip() and two.strip() for one, two in pairs)
    return [line for line in lines if line.strip()] if double and len(written) > 2 else lines


def decoded(value: str) -> str:
    """A value whose encoded words (RFC 2047) are read; as it stands when they can't be."""
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def split_comments(value: str) -> tuple[str, list[str]]:
    """A structured value without its comments, and the comments (RFC 5322 3.2.2: nested, with quoted pairs)."""
    plain: list[str] = []
    comments: list[str] = []
    depth, quoted, position = 0, False, 0
    comment: list[str] = []
    while position < len(value):
        character = value[position]
        if character == "\\" and position + 1 < len(value):
            (comment if depth else plain).append(value[position : position + 2])
            position += 2
            continue
        if character == '"' and not depth:
            quoted = not quoted
        if character == "(" and not quoted:
            depth += 1
        if depth:
            comment.append(character)
        else:
            plain.append(character)
        if character == ")" and not quoted and depth:
            depth -= 1
            if not depth:
                comments.append("".join(comment))
                comment = []
                plain.append(" ")
        position += 1
    if comment:  # never closed
        comments.append("".join(comment))
    return "".join(plain), comments


def split_parts(value: str) -> list[str]:
    """A structured value at its semicolons, but not at those in comments or quotes."""
    parts: list[str] = []
    start, depth, quoted, position = 0, 0, False, 0
    while position < len(value):
        character = value[position]
        if character == "\\":
            position += 1
        elif character == '"' and not depth:
            quoted = not quoted
        elif character == "(" and not quoted:
            depth += 1
        elif character == ")" and not quoted and depth:
            depth -= 1
        elif character == ";" and not quoted and not depth:
            parts.append(value[start:position])
            start = position + 1
        position += 1
    return [part.strip() for part in (*parts, value[start:])]
