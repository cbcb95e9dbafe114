"""The subject, text and HTML of a kind, from its templates.

Templates are compiled once a process. Texts are rendered without HTML escaping, HTML always with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from django.template import Context, Engine
from django.template.base import Template

from outbound.kinds import Kind


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
    text = text_template.render(plain)
    html = html_template.render(Context({**values, "subject": subject}))
    return Rendered(subject, text, html)


@cache
def _templates(name: str) -> tuple[Template, Template, Template]:
    engine = Engine.get_default()
    subject, text, html = (
        engine.get_template(f"mail/{name}/{file}") for file in ("subject.txt", "body.txt", "body.html")
    )
    return subject, text, html
