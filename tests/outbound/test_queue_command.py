"""`manage.py queue`: pausing and resuming while nothing runs."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from emailcfg.models import AuditEvent
from outbound.models import QueueState

pytestmark = pytest.mark.django_db


def _queue(*arguments: str) -> str:
    out = StringIO()
    call_command("queue", *arguments, stdout=out)
    return out.getvalue().strip()


def test_it_pauses_and_resumes_and_says_so() -> None:
    assert _queue("pause", "--reason", "A restore") == "Sending is paused."
    state = QueueState.objects.get()
    assert (state.paused, state.paused_by, state.pause_reason) == (True, "command line", "A restore")
    assert _queue("pause") == "Sending is paused. It was so already; nothing was changed."
    assert json.loads(_queue("resume", "--json")) == {"paused": False, "changed": True}
    assert not QueueState.objects.get().paused
    assert _queue("resume") == "Mail leaves again. It was so already; nothing was changed."
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["queue.paused", "queue.resumed"]
