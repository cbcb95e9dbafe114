"""The receipt of a test mail: by code or link, once, for seven days, and not by guessing."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from emailcfg.models import AuditEvent, TestSend
from outbound import receipts
from outbound.receipts import ReceiptRefused

pytestmark = pytest.mark.django_db
CODE, TOKEN = "ABCD-2345", "the-token-of-the-link"


@pytest.fixture
def accepted(claimed: object) -> TestSend:
    """A test whose mail was accepted ten minutes ago."""
    return TestSend.objects.create(
        content_hash="x",
        source="form",
        provider="smtp",
        server="smtp.acme.example:587",
        actor_name="ana@acme.example",
        state="accepted",
        finished_at=timezone.now() - timedelta(minutes=10),
        receipt_code_hash=receipts.code_hash(CODE),
        receipt_token_hash=receipts.token_hash(TOKEN),
    )


def state(test: TestSend) -> str:
    test.refresh_from_db()
    return str(test.state)


@pytest.mark.parametrize("typed", ["ABCD-2345", "abcd2345", " abcd 2345 "])
def test_the_code_of_the_mail_is_taken_however_it_is_spaced(accepted: TestSend, typed: str) -> None:
    receipts.enter_code(accepted, typed)
    assert state(accepted) == "received"
    assert accepted.took == "10 minutes"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (45, "45 seconds"), (119, "119 seconds"), (600, "10 minutes"), (9000, "2 hours"),
     (200_000, "2 days"), (-3, "0 seconds")],
)  # fmt: skip
def test_the_time_it_took_reads_in_its_natural_unit(accepted: TestSend, seconds: int, words: str) -> None:
    assert accepted.finished_at is not None
    accepted.received_at = accepted.finished_at + timedelta(seconds=seconds)
    assert accepted.took == words


def test_parallel_guesses_do_not_share_a_try(accepted: TestSend) -> None:
    """Each request read the row before any of them counted."""
    copies = [TestSend.objects.get(pk=accepted.pk) for _ in range(receipts.MAX_TRIES + 5)]
    refusals = []
    for copy in copies:
        with pytest.raises(ReceiptRefused) as refused:
            receipts.enter_code(copy, "WXYZ-9876")
        refusals.append(str(refused.value))
    assert sum("not the code" in refusal for refusal in refusals) == receipts.MAX_TRIES


def test_the_link_stays_good_when_the_codes_are_used_up_and_the_code_when_the_link_was_used(accepted: TestSend) -> None:
    TestSend.objects.update(code_tries=receipts.MAX_TRIES)
    assert "recorded as received" in Client().post(f"/received/{TOKEN}/").content.decode()
    assert state(accepted) == "received"


def test_a_wrong_code_changes_nothing_and_ten_of_them_end_the_guessing(accepted: TestSend) -> None:
    for _ in range(receipts.MAX_TRIES):
        with pytest.raises(ReceiptRefused, match="not the code"):
            receipts.enter_code(accepted, "WXYZ-9876")
    with pytest.raises(ReceiptRefused, match="10 wrong codes"):
        receipts.enter_code(accepted, CODE)
    assert state(accepted) == "accepted"


def test_after_seven_days_neither_code_nor_link_are_good(accepted: TestSend) -> None:
    TestSend.objects.update(finished_at=timezone.now() - timedelta(days=7, seconds=1))
    accepted.refresh_from_db()
    with pytest.raises(ReceiptRefused, match="seven days"):
        receipts.enter_code(accepted, CODE)
    page = Client().post(f"/received/{TOKEN}/")
    assert "expired" in page.content.decode()
    assert state(accepted) == "accepted"


def test_a_scanner_that_opens_the_link_changes_nothing(accepted: TestSend) -> None:
    client = Client()
    assert client.head(f"/received/{TOKEN}/").status_code == 200
    page = client.get(f"/received/{TOKEN}/").content.decode()
    assert "Yes, I received it" in page
    assert state(accepted) == "accepted"


def test_the_button_behind_the_link_counts_once(accepted: TestSend) -> None:
    client = Client()
    page = client.post(f"/received/{TOKEN}/").content.decode()
    assert "recorded as received, 10 minutes after" in page
    when = TestSend.objects.get().received_at
    client.post(f"/received/{TOKEN}/")
    assert TestSend.objects.get().received_at == when
    assert AuditEvent.objects.filter(action="test.received").count() == 1


def test_a_link_that_was_never_sent_leads_nowhere(accepted: TestSend) -> None:
    assert Client().post("/received/another-token/").status_code == 404
    assert state(accepted) == "accepted"


def test_a_failed_test_can_not_be_received(accepted: TestSend) -> None:
    TestSend.objects.update(state="failed")
    assert "Not confirmed" in Client().post(f"/received/{TOKEN}/").content.decode()
    assert state(accepted) == "failed"


def test_entering_the_code_in_the_page_shows_the_time_it_took(admin_client: Client, accepted: TestSend) -> None:
    refused = admin_client.post(f"/configuration/tests/{accepted.pk}/received/", {"code": "WXYZ-9876"})
    assert "not the code of this test mail" in refused.content.decode()
    page = admin_client.post(f"/configuration/tests/{accepted.pk}/received/", {"code": CODE}).content.decode()
    assert "10 minutes after the server took it" in page
