"""`manage.py outbound`: what its end tells the one who starts it again."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from outbound import restart
from outbound.engine.hub import HubFailed
from outbound.engine.loop import Engine
from outbound.engine.presence import LeaseLost

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signals_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbound.management.commands.outbound.signal.signal", lambda *_: None)
    monkeypatch.setattr("outbound.management.commands.outbound.gc.freeze", lambda: None)


def _ends(monkeypatch: pytest.MonkeyPatch, how: Any) -> CommandError:
    monkeypatch.setattr(Engine, "run", how)
    with pytest.raises(CommandError) as ended:
        call_command("outbound")
    return ended.value


@pytest.mark.parametrize("error", [HubFailed("The lanes stand still."), LeaseLost("It stalled.")], ids=repr)
def test_an_error_of_its_own_ends_it_with_1_and_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(engine: Engine) -> None:
        raise error

    ended = _ends(monkeypatch, run)
    assert (ended.returncode, str(ended)) == (1, str(error))


def test_a_restart_that_was_asked_for_ends_it_with_75_and_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(engine: Engine) -> None:
        engine.restarting = True

    ended = _ends(monkeypatch, run)
    assert (ended.returncode, str(ended)) == (75, restart.SENTENCE)
