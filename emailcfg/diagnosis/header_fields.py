"""Header fields out of pasted text: unfolded, however the folds survived the clipboard."""

import re
from dataclasses import dataclass

_NAME = re.compile(r"^([A-Za-z][A-Za-z0-9-]{0,75}):(.*)$", re.DOTALL)
_MAX_FIELDS = 2000


@dataclass(frozen=True, slots=True)
class Field:
    """A field's name in lower case and its value on one line."""

    name: str
    value: str


def fields_of(text: str) -> list[Field]:
    """The fields up to the first empty line after one. A line that is neither a field nor indented is taken
    for a fold that lost its indentation; text before the first field is junk."""
    found: list[tuple[str, list[str]]] = []
    for raw in re.split(r"\r\n|\r|\n", text):
        line = raw.lstrip("\ufeff")
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
    return [Field(name, " ".join(filter(None, parts))) for name, parts in found]


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
