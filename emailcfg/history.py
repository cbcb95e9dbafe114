"""What was saved, what ran when, and what was proven: the reads behind the History page and the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from emailcfg import tested
from emailcfg.models import Activation, ActiveConfig, ConfigRevision
from emailcfg.tested import Tested


@dataclass(frozen=True, slots=True)
class Listed:
    """A revision as the list shows it. `state` is "active", "was_active" or "draft"; `tested` the last
    real test of exactly its content."""

    revision: ConfigRevision
    state: str
    last_activated: datetime | None
    tested: Tested | None

    @property
    def is_active(self) -> bool:
        return self.state == "active"

    @property
    def is_draft(self) -> bool:
        return self.state == "draft"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first; `older` is the key with which the next page begins, None at the end."""

    revisions: tuple[Listed, ...]
    older: int | None


def page(active: ActiveConfig, *, before: int | None = None, size: int = 50) -> Page:
    """Revisions below the number `before`, newest first: three queries, whatever the size of the history."""
    found = ConfigRevision.objects.defer("payload")
    if before is not None:
        found = found.filter(number__lt=before)
    rows = list(found[: size + 1])
    shown = rows[:size]
    return Page(tuple(listed(shown, active)), shown[-1].number if len(rows) > size else None)


def listed(revisions: Iterable[ConfigRevision], active: ActiveConfig) -> list[Listed]:
    """These revisions with their state and last test: two queries for all of them."""
    revisions = list(revisions)
    activated = dict(
        Activation.objects.filter(revision__in=[revision.number for revision in revisions])
        .order_by()
        .values_list("revision")
        .annotate(last=Max("at"))
    )
    tests = tested.latest(revision.content_hash for revision in revisions)
    return [
        Listed(
            revision,
            _state(revision, active, revision.number in activated),
            activated.get(revision.number),
            tests.get(revision.content_hash),
        )
        for revision in revisions
    ]


def _state(revision: ConfigRevision, active: ActiveConfig, was_activated: bool) -> str:
    if revision.number == active.revision_id:
        return "active"
    return "was_active" if was_activated else "draft"


@dataclass(frozen=True, slots=True)
class Period:
    """One stretch of time in which one revision ran; `until` is None for the one that runs now."""

    activation: Activation
    until: datetime | None

    @property
    def since(self) -> datetime:
        return self.activation.at

    @property
    def lasted(self) -> timedelta | None:
        return None if self.until is None else self.until - self.since

    @property
    def lasted_words(self) -> str:
        return "" if self.lasted is None else duration(self.lasted)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What ran when, newest first; `older` is the key with which the next part begins, None at the end."""

    periods: tuple[Period, ...]
    older: int | None


def _moves() -> QuerySet[Activation]:
    return Activation.objects.exclude(kind=Activation.Kind.CONFIRM).select_related("revision", "previous")


def timeline(*, before: int | None = None, size: int = 12) -> Timeline:
    """The periods older than the one of the activation with the key `before`; one query."""
    if before is None:
        rows = list(_moves()[: size + 1])
        shown, ends = rows[:size], [None, *(row.at for row in rows)]
        more = len(rows) > size
    else:  # the key itself only says when the one below it ended
        rows = list(_moves().filter(pk__lte=before)[: size + 2])
        shown, ends = rows[1 : size + 1], [row.at for row in rows]
        more = len(rows) > size + 1
    periods = tuple(Period(row, until) for row, until in zip(shown, ends, strict=False))
    return Timeline(periods, shown[-1].pk if more else None)


def live_at(moment: datetime) -> Period | None:
    """What ran at a moment, None when nothing did."""
    at = _moves().filter(at__lte=moment).first()
    if at is None:
        return None
    following = _moves().filter(pk__gt=at.pk).last()
    return Period(at, following.at if following is not None else None)


def duration(span: timedelta) -> str:
    """A span in its two largest units: "3 days 4 h", "8 h 10 min", "45 s"."""
    seconds = max(0, int(span.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if days:
        return f"{days} day{'' if days == 1 else 's'}" + (f" {hours} h" if hours and days < 30 else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes else f"{seconds} s"
