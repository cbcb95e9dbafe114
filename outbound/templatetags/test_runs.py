"""What a step of a test has learnt, as lines of a page."""

from collections.abc import Mapping
from typing import Any

from django import template

from emailcfg.diagnosis.shown_facts import lines

register = template.Library()


@register.filter
def fact_lines(rung: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of each fact of a rung; empty for tests that were recorded without."""
    return lines(rung.get("facts") or {})


@register.filter
def seconds(ms: float) -> str:
    """A time in milliseconds as "1.4 s", "340 ms" or "< 1 ms"."""
    if ms < 1:
        return "< 1 ms"
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
