"""The subject, text and HTML of a kind, from its templates.

Templates are compiled once a process. Texts are rendered without HTML escaping and wrapped, HTML always with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from textwrap import wrap

from django.template import Context, Engine
from django.template.base import Template
from django.utils.html import escape

from outbound.kinds import Kind

_WIDTH = 76  # columns: what a terminal of 80 shows, quoted once


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a reader sees: one line, text with line feeds, HTML."""

    subject: str
    text: str
    html: str


def render(kind: Kind, values: Mapping[str, str]) -> Rendered:
    """Renders a kind with values that `kinds.checked` returned, and `product` and `support_email`."""
    subject_template, text_template, html_template = _templates(kind.name)
    plain = Context(dict(values), autoescape=False)
    subject = subject_template.render(plain).strip()
    text: str = text_template.render(plain)
    html: str = html_template.render(Context({**values, "subject": subject}))
    if values["product"].endswith("."):  # "Acme, Inc." ends a sentence by itself
        text = text.replace(values["product"] + ".", values["product"])
        name = escape(values["product"])
        html = html.replace(name + ".", name)
    live = [values[value.name] for value in kind.values if value.live and values[value.name]]
    return Rendered(subject, _wrapped(text, live), html)


def _wrapped(text: str, live: list[str]) -> str:
    """The text with its long lines wrapped between words. A line with a live token stays whole: a token is to be found
    again where it stands."""
    if all(len(line) <= _WIDTH for line in text.split("\n")):
        return text
    return "\n".join(
        line if len(line) <= _WIDTH or any(token in line for token in live) else _wrapped_line(line)
        for line in text.split("\n")
    )


def _wrapped_line(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines = wrap(
        line,
        _WIDTH,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


@cache
def _templates(name: str) -> tuple[Template, Template, Template]:
    engine = Engine.get_default()
    subject, text, html = (
        engine.get_template(f"mail/{name}/{file}") for file in ("subject.txt", "body.txt", "body.html")
    )
    return subject, text, html
