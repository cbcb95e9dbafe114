"""No page of the log, no number on Status and no daily run reads more rows than it shows, by the database's own plans.

What a plan says about a few thousand rows it says about a million: each condition has an index, in the order asked
for. (On PostgreSQL reading a small table as a whole is made expensive, as it is where the table is large.)"""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from adminapp import verdict
from emailcfg import activation
from outbound import log_pages, log_queries, messages, queries, retention
from outbound.ids import first_id_at
from outbound.log_pages import Filter
from outbound.models import Attempt, Message, MessageBody, Recipient
from outbound.views import message_shown
from tests.outbound.making import ANA
from tests.outbound.plans import Plan, plans_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active", "a_long_log")]

_ROWS = 3_000
_SORTED = 10 * 51  # rows that may be sorted: a page from each state or kind
_LEFT_OUT = 600


def _state(number: int) -> str:
    rare = {7: "held", 8: "in_doubt", 9: "partial", 10: "cancelled"}
    return rare.get(number % 500) or {1: "failed", 2: "deferred"}.get(number % 20) or "sent"


@pytest.fixture
def a_long_log(db: None) -> None:
    """Some thousand messages of the last hundred days, most of them sent."""
    now = timezone.now()
    ids = [first_id_at(now - timedelta(days=100) * (1 - n / _ROWS)) + n for n in range(_ROWS)]
    Message.objects.bulk_create(
        Message(
            pk=pk,
            kind="login_code" if n < 10 else "invite" if n % 5 == 0 else "raw",
            state=_state(n),
            cause={"failed": "recipient_refused", "deferred": "greylisted"}.get(_state(n), ""),
            due_at=now + timedelta(days=1) if _state(n) == "deferred" else None,
            expires_at=now + timedelta(days=5),
            doubts=1 if n % 700 == 3 else 0,
            created_at=now,
            changed_at=now,
            size=900,
            recipient_count=1,
            first_recipient=f"user{n}@example.com",
            subject=f"Message {n}",
            subject_key=f"message {n}",
            message_id=f"<{n}@acme.example>",
        )
        for n, pk in enumerate(ids)
    )
    MessageBody.objects.bulk_create(MessageBody(message_id=pk, mail_from="a@acme.example", content=b"x") for pk in ids)
    Recipient.objects.bulk_create(
        Recipient(message_id=pk, position=0, address=f"user{n}@example.com", address_key=f"user{n}@example.com")
        for n, pk in enumerate(ids)
    )
    Attempt.objects.bulk_create(
        Attempt(message_id=pk, at=now, code=250, note="Diverted to box@example.com." if n % 900 == 5 else "")
        for n, pk in enumerate(ids)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
            cursor.execute("SET LOCAL enable_seqscan = off")


def _middle() -> int:
    return Message.objects.order_by("pk").values_list("pk", flat=True)[_ROWS // 2]


# What is asked for, and the index that has to find it.
_PAGES: dict[str, tuple[Filter, str]] = {
    "everything": (Filter(), "pk"),
    **{f"state {state}": (Filter(state=state), "message_by_state_and_kind") for state in ("sent", "failed", "held")},
    **{f"kind {kind}": (Filter(kind=kind), "message_by_state_and_kind") for kind in ("raw", "login_code", "confirm")},
    "a rare state of a frequent kind": (Filter(state="failed", kind="raw"), "message_by_state_and_kind"),
    "a frequent state of a rare kind": (Filter(state="sent", kind="login_code"), "message_by_state_and_kind"),
    "a state and a kind that never meet": (Filter(state="failed", kind="confirm"), "message_by_state_and_kind"),
    "a cause": (Filter(state="failed", cause="recipient_refused"), "message_by_state_and_kind"),
    "doubted": (Filter(doubted=True), "message_doubted"),
    "doubted of a kind": (Filter(doubted=True, kind="raw", state="sent"), "message_doubted"),
    "diverted": (Filter(diverted=True), "attempt_diverted"),
    "diverted of a kind": (Filter(diverted=True, kind="raw"), "attempt_diverted"),
    "an address": (Filter(search="user77@example.com"), "recipient_by_address"),
    "the beginning of an address": (Filter(search="user77"), "recipient_by_address"),
    "the beginning of a subject": (Filter(search="Message 77"), "message_by_subject"),
    "an address in a state": (Filter(search="user77@", state="sent"), "recipient_by_address"),
    "a subject of a kind": (Filter(search="Message 77", kind="raw"), "message_by_subject"),
    "a Message-ID": (Filter(search="<77@acme.example>"), "message_by_message_id"),
    "a Message-ID without brackets": (Filter(search="77@acme.example"), "message_by_message_id"),
    "a Message-ID in a state": (Filter(search="<77@acme.example>", state="sent"), "message_by_message_id"),
    "nothing": (Filter(search="nobody"), "recipient_by_address"),
}


@pytest.mark.parametrize("direction", ["newest", "older", "newer"])
def test_every_page_of_the_log_is_found_by_its_index(direction: str) -> None:
    middle = _middle()
    key = {"newest": {}, "older": {"before": middle}, "newer": {"after": middle}}[direction]
    found = {}
    for name, (wanted, index) in _PAGES.items():
        plans = plans_of(lambda wanted=wanted: log_pages.page(wanted, **key))  # type: ignore[misc]
        missing = [] if any(index in plan.indexes for plan in plans) else [f"{index} is not used"]
        found[name] = missing + list(_wrong(plans))
    assert found == {name: [] for name in _PAGES}


@pytest.mark.parametrize("wanted", [Filter(search="u"), Filter(search="message"), Filter(search="u", state="sent")])
def test_a_search_that_finds_very_much_walks_the_log_in_its_order(
    monkeypatch: pytest.MonkeyPatch, wanted: Filter
) -> None:
    monkeypatch.setattr(log_pages, "_FEW", 5)
    middle = _middle()
    assert [*_wrong(plans_of(lambda: log_pages.page(wanted, before=middle)))] == []


@pytest.mark.parametrize("state", ["", "sent"])
def test_an_id_is_looked_up(state: str) -> None:
    middle = _middle()
    plans = plans_of(lambda: log_pages.page(Filter(search=str(middle), state=state)))
    assert [*_wrong(plans)] == []
    assert plans[0].indexes == {"pk"}


_READINGS: dict[str, tuple[Callable[[], object], str]] = {
    "the groups by cause": (log_queries.troubles, "message_by_state_and_kind"),
    "the queue in numbers": (queries.queue_numbers, "message_due"),
    "whether mail works": (lambda: verdict.gather(activation.current()), "message_due"),
    "the chart": (queries.outcomes_by_hour, ""),
    "one message": (lambda: message_shown.shown(Message.objects.get(pk=_middle())), "attempt_message_id"),
    "retry of a group": (
        lambda: messages.retry_group(state="held", cause="", oldest_id=0, newest_id=2**62, actor=ANA),
        "message_by_state_and_kind",
    ),
    "retention": (lambda: retention.prune(timezone.now()), "pk"),
}


@pytest.mark.parametrize("name", list(_READINGS))
def test_what_status_and_the_daily_run_ask_is_found_by_index(name: str) -> None:
    call, index = _READINGS[name]
    plans = plans_of(call)
    used = frozenset().union(*(plan.indexes for plan in plans))
    assert [plan.steps for plan in plans if plan.walked] == []
    assert not index or any(index in one for one in used), used


def _wrong(plans: list[Plan]) -> Iterator[str]:
    """What these plans do that would grow with the log."""
    for plan in plans:
        by_ids = " IN (" in plan.sql or "GROUP BY" in plan.sql
        if plan.walked:
            yield f"walks {plan.walked}: {plan.sql[:200]} {plan.steps}"
        if any(rows > _SORTED for rows in plan.sorted_rows) or (-1 in plan.sorted_rows and not by_ids):
            yield f"sorts {plan.sorted_rows}: {plan.sql[:200]} {plan.steps}"
        if plan.left_out > _LEFT_OUT:
            yield f"leaves {plan.left_out} rows out: {plan.sql[:200]} {plan.steps}"
