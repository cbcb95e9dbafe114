"""What the pages read from the log: pages, search, numbers, groups."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from emailcfg.models import AuditEvent
from outbound import log_pages, log_queries, messages, queries
from outbound.log_pages import Filter
from outbound.models import Attempt, Message, MessageBody, OutcomeCount, Recipient
from outbound.submit import Submission, submit
from tests.outbound.making import ANA, a_request, queued

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("active")]


def _ids(wanted: Filter, **options: Any) -> list[int]:
    return [message.pk for message in log_pages.page(wanted, **options).messages]


def test_filters_go_together() -> None:
    ids = queued(6)
    Message.objects.filter(pk__in=ids[:3]).update(state="failed")
    Message.objects.filter(pk__in=ids[2:4]).update(kind="invite")
    assert _ids(Filter(state="failed")) == ids[2::-1]
    assert _ids(Filter(kind="invite")) == [ids[3], ids[2]]
    assert _ids(Filter(state="failed", kind="invite")) == [ids[2]]


def test_each_state_and_kind_is_merged_in_the_order_of_time() -> None:
    ids = queued(12)
    for number, pk in enumerate(ids):
        Message.objects.filter(pk=pk).update(
            state=("sent", "failed", "held")[number % 3], kind=("raw", "invite", "confirm", "login_code")[number % 4]
        )
    assert _ids(Filter(state="failed")) == ids[1::3][::-1]
    assert _ids(Filter(kind="invite")) == ids[1::4][::-1]
    assert _ids(Filter(kind="invite"), before=ids[9], limit=1) == [ids[5]]
    assert _ids(Filter(state="failed"), after=ids[1], limit=2) == [ids[7], ids[4]]


def test_a_cause_is_a_filter_of_its_own() -> None:
    ids = queued(3)
    Message.objects.filter(pk__in=ids).update(state="failed", cause="recipient_refused")
    Message.objects.filter(pk=ids[1]).update(cause="too_large")
    assert _ids(Filter(state="failed", cause="too_large")) == [ids[1]]
    assert _ids(Filter(search="user1@", cause="recipient_refused")) == []


def test_what_was_diverted_is_found_and_says_where_it_went() -> None:
    ids = queued(4)
    Message.objects.filter(pk__in=ids).update(state="sent")
    Message.objects.filter(pk=ids[2]).update(kind="invite")
    for pk in (ids[0], ids[2]):
        Attempt.objects.create(message_id=pk, at=timezone.now(), code=250, note="Diverted to box@example.com.")
    Attempt.objects.create(message_id=ids[1], at=timezone.now(), reason="greylisted", note="Diverted to no@a.example.")
    assert _ids(Filter(diverted=True)) == [ids[2], ids[0]]
    assert _ids(Filter(diverted=True, kind="raw")) == [ids[0]]
    assert _ids(Filter(diverted=True, search="user2@")) == [ids[2]]
    assert _ids(Filter(diverted=True), before=ids[2]) == [ids[0]]
    assert [message.diverted for message in log_pages.page(Filter()).messages] == [
        "", "Diverted to box@example.com.", "", "Diverted to box@example.com.",
    ]  # fmt: skip


def test_doubted_messages_are_listed_by_name() -> None:
    ids = queued(3)
    Message.objects.filter(pk=ids[1]).update(doubts=1, state="sent")
    assert _ids(Filter(doubted=True)) == [ids[1]]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("bob@example.com", [0, 2]),
        ("BOB@EXAMPLE.COM", [0, 2]),
        ("bo", [0, 2]),
        ("carol@", [1]),
        ("Invoice", [1, 2]),
        ("invoice 17", [2]),
        ("100%", []),
        ("nobody@example.com", []),
    ],
)
def test_search_finds_addresses_and_subjects_by_their_beginning(search: str, found: list[int]) -> None:
    ids = [
        submit([Submission(a_request(to, subject=subject))])[0].id
        for to, subject in (
            ("bob@example.com", "Hello"),
            ("carol@example.com", "Invoice 16"),
            ("Bob@Example.com", "Invoice 17"),
        )
    ]
    assert _ids(Filter(search=search)) == sorted((ids[n] for n in found), reverse=True)


def test_search_finds_message_ids_with_and_without_brackets_and_ids() -> None:
    first, second = submit([Submission(a_request()), Submission(a_request())])
    assert _ids(Filter(search=first.message_id)) == [first.id]
    assert _ids(Filter(search=second.message_id.strip("<>"))) == [second.id]
    assert _ids(Filter(search=str(first.id))) == [first.id]


def test_a_search_with_very_many_matches_pages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pages, "_FEW", 5)
    ids = queued(30, to=lambda n: f"user{n % 2}@example.com")
    first = log_pages.page(Filter(search="user1"), limit=10)
    second = log_pages.page(Filter(search="user1"), limit=10, before=first.next_cursor)
    assert [message.pk for message in (*first.messages, *second.messages)] == ids[1::2][::-1]
    assert second.next_cursor is None


def test_the_queue_in_numbers() -> None:
    now = timezone.now()
    ids = queued(8)
    for pk, changes in zip(
        ids,
        (
            {"due_at": now - timedelta(minutes=9)},
            {"due_at": now + timedelta(hours=1)},
            {"state": "sending", "due_at": None},
            {"state": "deferred", "due_at": now + timedelta(hours=1)},
            {"state": "in_doubt", "due_at": None},
            {"state": "failed", "due_at": None},
            {"state": "held", "due_at": None},
            {"state": "sent", "due_at": None},
        ),
        strict=True,
    ):
        Message.objects.filter(pk=pk).update(**changes)
    found = queries.queue_numbers(now)
    assert [
        (count.number, count.more)
        for count in (
            *(found.due, found.scheduled, found.sending, found.deferred),
            *(found.in_doubt, found.failed, found.held),
        )
    ] == [(1, False)] * 7
    assert found.oldest_due_at == now - timedelta(minutes=9)


def test_counting_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "COUNT_LIMIT", 5)
    queued(9)
    assert str(queries.queue_numbers().due) == "5+"


def test_failures_are_grouped_by_cause_with_an_example() -> None:
    ids = queued(5)
    Message.objects.filter(pk__in=ids[:3]).update(state="failed", cause="login_refused", due_at=None)
    Message.objects.filter(pk=ids[3]).update(state="failed", cause="unknown_recipient", due_at=None)
    Attempt.objects.create(message_id=ids[2], at=timezone.now(), reply="535 5.7.8 No", error_class="configuration")
    first, second = log_queries.troubles()
    assert (first.state, first.cause, first.number, first.told.words) == ("failed", "login_refused", 3, "535 5.7.8 No")
    assert (first.oldest_id, first.newest_id, first.more) == (ids[0], ids[2], False)
    assert (second.cause, second.number) == ("unknown_recipient", 1)


def test_a_group_that_was_not_counted_to_its_end_is_tried_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queries, "_GROUPED", 3)
    monkeypatch.setattr(messages, "_AT_ONCE", 2)
    ids = queued(7)
    Message.objects.filter(pk__in=ids).update(state="failed", cause="login_refused", due_at=None)
    [group] = log_queries.troubles()
    assert (group.shown_number, group.more) == ("3+", True)
    bounds = {"oldest_id": group.oldest_id, "newest_id": group.newest_id}
    assert messages.retry_group(state="failed", cause="login_refused", actor=ANA, **bounds) == 7


def test_one_request_tries_only_so_many_again_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_AT_ONCE", 2)
    monkeypatch.setattr(messages, "AT_MOST", 4)
    ids = queued(7)
    Message.objects.filter(pk__in=ids).update(state="failed", cause="login_refused", due_at=None)
    done = [messages.retry_group(state="failed", cause="login_refused", newest_id=ids[-1], actor=ANA) for _ in range(3)]
    assert done == [4, 3, 0]


def test_a_group_is_tried_again_as_far_as_it_was_seen() -> None:
    ids = queued(5)
    Message.objects.filter(pk__in=ids).update(state="failed", cause="login_refused", due_at=None)
    assert messages.retry_group(state="failed", cause="login_refused", newest_id=ids[3], actor=ANA) == 4
    assert Message.objects.filter(state="queued", due_at__isnull=False).count() == 4
    assert Message.objects.get(pk=ids[4]).state == "failed"
    event = AuditEvent.objects.filter(action="messages.retried").get()
    assert event.detail == {"was": "failed", "cause": "login_refused"}


def test_a_message_is_sent_again_to_another_address_as_a_resent_mail() -> None:
    old = queued(1)[0]
    accepted = messages.send_again(old, to="Carol@Example.com", actor=ANA)
    body = MessageBody.objects.get(pk=accepted.id)
    content = bytes(body.content)
    assert content.startswith(b"Resent-Date: ")
    assert b"Resent-To: <Carol@example.com>" in content
    assert content.endswith(bytes(MessageBody.objects.get(pk=old).content))
    assert Recipient.objects.get(message=accepted.id).address == "Carol@example.com"
    assert Message.objects.get(pk=accepted.id).message_id == accepted.message_id


def test_outcomes_are_told_by_the_hour() -> None:
    now = datetime(2026, 5, 1, 12, 34, tzinfo=UTC)
    for minute, outcome, count in ((0, "sent", 5), (50, "sent", 2), (50, "failed", 1)):
        OutcomeCount.objects.create(slot=now.replace(hour=11, minute=minute), outcome=outcome, count=count)
    OutcomeCount.objects.create(slot=now - timedelta(days=3), outcome="sent", count=99)
    hours = dict(queries.outcomes_by_hour(now))
    assert len(hours) == 24
    assert hours[now.replace(hour=11, minute=0)] == {"sent": 7, "failed": 1}
    assert sum(sum(found.values()) for found in hours.values()) == 8
