"""The receipt of a test mail: a code and a link, each good once, that turn *accepted* into *received*."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from emailcfg.models import TestSend

VALID_FOR = timedelta(days=7)
MAX_TRIES = 10  # wrong codes for one test
_CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without what is misread: I L O 0 1


class ReceiptRefused(Exception):
    """The receipt was not recorded. The message is a sentence for the person who entered the code."""


def new_code() -> str:
    """Eight letters and digits, such as `ABCD-2345`."""
    letters = [secrets.choice(_CODE_ALPHABET) for _ in range(8)]
    return "".join(letters[:4]) + "-" + "".join(letters[4:])


def new_token() -> str:
    """The secret part of a receipt link."""
    return secrets.token_urlsafe(24)


def code_hash(code: str) -> str:
    """How a receipt code is stored: by the hash of its letters, however a person spaced them."""
    return token_hash("".join(letter for letter in code.upper() if letter.isalnum()))


def token_hash(token: str) -> str:
    """How the token of a receipt link is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def expired(test: TestSend) -> bool:
    """Whether the mail was accepted too long ago for its receipt to say anything."""
    return test.finished_at is not None and timezone.now() - test.finished_at > VALID_FOR


def enter_code(test: TestSend, code: str) -> None:
    """Records the receipt of a test whose mail carries this code.

    Raises ReceiptRefused: the code is wrong, was tried too often, or is too old."""
    if expired(test):
        raise ReceiptRefused("This test mail is older than seven days, so its code is no longer good. Send another.")
    # Counted before it is looked at, in one statement, so that parallel guesses can't share a try.
    counted = TestSend.objects.filter(pk=test.pk, code_tries__lt=MAX_TRIES).update(code_tries=F("code_tries") + 1)
    if not counted:
        raise ReceiptRefused(f"{MAX_TRIES} wrong codes were entered for this test. Send another test mail.")
    if not hmac.compare_digest(code_hash(code), test.receipt_code_hash):
        raise ReceiptRefused("This is not the code of this test mail. It has eight letters and digits.")
    receive(test)


def receive(test: TestSend) -> bool:
    """Turns *accepted* into *received*, once. Returns whether this call did it; an expired receipt changes nothing."""
    if expired(test):
        return False
    return bool(
        TestSend.objects.filter(pk=test.pk, state=TestSend.State.ACCEPTED).update(
            state=TestSend.State.RECEIVED, received_at=timezone.now()
        )
    )
