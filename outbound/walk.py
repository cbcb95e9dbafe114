"""Walking the messages in the order of their ids, by state and kind, without reading one that does not fit.

One index, by state, kind and id, serves a state, a kind, and both: where one of the two is open, each of its values is
walked by itself and the walks are merged. An index less is written for every accepted message, and no plan depends on
how often a state or a kind occurs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from outbound.kinds import KINDS
from outbound.models import State

STATES = tuple(str(state) for state in State)


@dataclass(frozen=True, slots=True)
class Span:
    """The ids between two others, neither of them included: from the newest on, or `upward` from the oldest."""

    above: int | None = None
    below: int | None = None
    upward: bool = False

    def __contains__(self, pk: int) -> bool:
        return (self.above is None or pk > self.above) and (self.below is None or pk < self.below)

    def conditions(self, column: str) -> list[str]:
        """In SQL. Numbers stand in its text."""
        found = [f"{column} > {int(self.above)}"] if self.above is not None else []
        return found + ([f"{column} < {int(self.below)}"] if self.below is not None else [])

    def order(self, column: str) -> str:
        return f"ORDER BY {column} {'ASC' if self.upward else 'DESC'}"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL that gives ids in the span's order, and its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


def by_state_and_kind(
    *,
    states: Iterable[str] = STATES,
    kinds: Iterable[str] = tuple(KINDS),
    span: Span,
    limit: int,
    columns: str = "id",
    where: Sequence[str] = (),
    params: Sequence[Any] = (),
) -> Statement:
    """The first `limit` messages (`m`) in these states and of these kinds for which also `where` holds: their ids, or
    other `columns` with the id among them."""
    conditions = " AND ".join(("m.state = %s", "m.kind = %s", *span.conditions("m.id"), *where))
    branch = f"SELECT {columns} FROM outbound_message m WHERE {conditions} {span.order('m.id')} LIMIT {int(limit)}"  # noqa: S608
    pairs = [(state, kind) for state in states for kind in kinds]
    together = " UNION ALL ".join(f"SELECT {columns} FROM ({branch}) AS part_{n}" for n in range(len(pairs)))  # noqa: S608
    values = tuple(value for pair in pairs for value in (*pair, *params))
    return Statement(f"{together} {span.order('id')} LIMIT {int(limit)}", values)
