"""The bars of the last 24 hours: outcomes by hour as rectangles, which the template draws as SVG."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from outbound import queries

SERIES = (("sent", "accepted"), ("deferred", "deferred"), ("failed", "failed"))
WIDTH, HEIGHT = 960, 160
_GAP = 6


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured piece of a bar. `name` is a CSS class."""

    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour. `says` is its title: "10:00 to 11:00 UTC: 40 accepted, 2 deferred, 0 failed"."""

    at: datetime
    x: float
    width: float
    counts: tuple[int, ...]
    parts: tuple[Part, ...]
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`top` is the number at the upper edge; `totals` are (class, word, number)."""

    bars: tuple[Bar, ...]
    top: int
    totals: tuple[tuple[str, str, int], ...]
    hours: tuple[datetime, ...]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        return not any(number for _, _, number in self.totals)

    @property
    def middle(self) -> int | None:
        """The number at the line half-way up, where it is a whole one."""
        return self.top // 2 if self.top % 2 == 0 else None

    @property
    def says(self) -> str:
        return "The last 24 hours: " + ", ".join(f"{number:,} {word}" for _, word, number in self.totals)


def chart(now: datetime | None = None) -> Chart:
    """One query, at most 864 rows."""
    hours = queries.outcomes_by_hour(now)
    counted = [(at, tuple(found.get(name, 0) for name, _ in SERIES)) for at, found in hours]
    top = _round_up(max((sum(counts) for _, counts in counted), default=0))
    step = WIDTH / max(len(counted), 1)
    bars = tuple(_bar(at, counts, x=n * step, width=step, top=top) for n, (at, counts) in enumerate(counted))
    totals = tuple((name, word, sum(counts[n] for _, counts in counted)) for n, (name, word) in enumerate(SERIES))
    return Chart(bars, top, totals, tuple(at for at, _ in counted[::6]))


def _bar(at: datetime, counts: tuple[int, ...], *, x: float, width: float, top: int) -> Bar:
    parts, bottom = [], float(HEIGHT)
    for (name, _), count in zip(SERIES, counts, strict=True):
        height = HEIGHT * count / top if top else 0.0
        height = max(height, 2.0) if count else 0.0  # one failure among ten thousand must be seen
        parts.append(Part(name, round(bottom - height, 2), round(height, 2)))
        bottom -= height
    until = at + timedelta(hours=1)
    told = ", ".join(f"{count:,} {word}" for count, (_, word) in zip(counts, SERIES, strict=True))
    says = f"{timezone.localtime(at):%H:%M} to {timezone.localtime(until):%H:%M %Z}: {told}"
    return Bar(at, round(x + _GAP / 2, 2), round(width - _GAP, 2), counts, tuple(parts), says)


def _round_up(number: int) -> int:
    """A round number at or a little above the number."""
    size = 1
    while True:
        for factor in (1, 2, 3, 4, 5, 6, 8):
            if size * factor >= number:
                return size * factor
        size *= 10
