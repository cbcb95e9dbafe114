"""Deliveries by BDAT to a real Postfix: many mails over one connection, each once; refusals that hurt nobody else."""

import re
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from emailcfg.providers.base import Mail, Stage, Step
from tests.emailcfg.providers.conftest import Delivery, deliver, mail, opened, smtp_session
from tests.servers.postfix import INBOX_DOMAIN, Postfix, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

TO = f"ben@{INBOX_DOMAIN}"
ELSEWHERE = "bob@elsewhere.example"


@pytest.fixture
def postfix() -> Iterator[Postfix]:
    with Postfix() as server:
        yield server


def delivered(postfix: Postfix, mails: list[Mail], steps: list[Step]) -> Delivery:
    server = SimpleNamespace(host="127.0.0.1", port=postfix.smtps)
    session = smtp_session(server, security="tls", ca_certificate=postfix.ca_pem, timeout_s=20, deadline_s=30)
    found = next(step for step in opened(session) if step.stage is Stage.EHLO)
    assert "CHUNKING" in found.detail
    return deliver(session, mails, steps.append)


def content(number: int) -> bytes:
    """With lines that DATA would have to stuff; some longer than a TLS record."""
    text = b"Subject: %d\r\nMessage-ID: <%d@example.com>\r\n\r\n.%d\r\n..\r\n.\r\n" % (number, number, number)
    return text + (b"y" * 70 + b"\r\n") * (number * 7 % 400)


def bodies(arrived: list[bytes]) -> Counter[bytes]:
    return Counter(one.partition(b"\n\n")[2] for one in arrived)


def test_fifty_mails_over_one_connection_arrive_once_each_and_as_they_were(postfix: Postfix) -> None:
    mails = [mail(n, TO, content=content(n)) for n in range(50)]
    record = delivered(postfix, mails, [])
    assert record.error is None, postfix.log
    assert [result.mail.id for result in record.results] == list(range(50))
    assert all(result.reply is not None and result.provider_id for result in record.results)
    expected = Counter(one.content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n") for one in mails)
    assert bodies(postfix.wait_for_mails(50)) == expected
    # What Postfix counted on the connection: the first mail in two chunks, a reset in front of each other one.
    assert re.search(r"mail=50 rcpt=50 bdat=51 rset=49 quit=1", postfix.log), postfix.log


def test_refusals_in_the_middle_of_the_window_hurt_nobody_else(postfix: Postfix) -> None:
    people = {2: (ELSEWHERE,), 3: (ELSEWHERE, TO), 6: (ELSEWHERE, ELSEWHERE)}
    mails = [mail(n, *people.get(n, (TO,)), content=content(n)) for n in range(12)]
    mails[8] = mails[8]._replace(mail_from="nobody@[1.2.3")  # malformed: MAIL is refused
    steps: list[Step] = []
    record = delivered(postfix, mails, steps)
    assert record.error is None, postfix.log
    unsent = {result.mail.id for result in record.results if result.reply is None}
    assert unsent == {2, 6, 8}
    refused = [entry for result in record.results for entry in result.recipients if entry.failure is not None]
    assert [(entry.address, entry.failure.reason) for entry in refused if entry.failure] == [
        (ELSEWHERE, "relay_denied")
    ] * 4
    by_sender = next(result for result in record.results if result.mail.id == 8).failure
    assert by_sender is not None
    assert by_sender.stage is Stage.SENDER
    expected = Counter(
        one.content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n") for one in mails if one.id not in unsent
    )
    assert bodies(postfix.wait_for_mails(9)) == expected
    assert {step.stage for step in steps if step.ok} == {Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ACCEPTED}
