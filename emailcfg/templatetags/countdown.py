"""Seconds that are left, as a clock shows them."""

from django import template

register = template.Library()


@register.filter
def minutes_and_seconds(seconds: int) -> str:
    """583 is "9:43"."""
    return f"{seconds // 60}:{seconds % 60:02}"
