"""Times as people read them: "3 minutes ago", with the exact time as title and machine-readable for the browser."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_STEPS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def words(seconds: float) -> str:
    """A span of time in its largest unit, rounded down: 7300 is "2 hours"."""
    for size, name in _STEPS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'' if number == 1 else 's'}"
    return "a moment"


@register.simple_tag
def time_shown(at: datetime) -> SafeString:
    """The span since or until `at`, without "ago" or "in"."""
    return _element(at, words(abs((timezone.now() - at).total_seconds())))


@register.simple_tag
def time_ago(at: datetime) -> SafeString:
    """ "3 minutes ago", or "in 3 minutes" for a time to come."""
    seconds = (timezone.now() - at).total_seconds()
    return _element(at, f"{words(seconds)} ago" if seconds >= 0 else f"in {words(-seconds)}")


@register.simple_tag
def time_due(at: datetime) -> SafeString:
    """ "in 3 minutes"; once that time has come, "as soon as its turn comes": it waits for something else."""
    seconds = (at - timezone.now()).total_seconds()
    return _element(at, f"in {words(seconds)}" if seconds > 0 else "as soon as its turn comes")


def _element(at: datetime, text: str) -> SafeString:
    here = timezone.localtime(at)
    exact = f"{here:%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', here.isoformat(), exact, text)
