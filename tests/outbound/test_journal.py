"""The outcome journal: what it says after the process that wrote it is gone."""

from pathlib import Path

import pytest

from outbound import journal
from outbound.journal import Journal, abandoned


def _die(one: Journal) -> None:
    """What SIGKILL leaves: the file as it is, and the lock gone."""
    one._map.close()
    __import__("os").close(one._handle)


def test_what_was_in_data_and_what_was_answered_is_read_back(tmp_path: Path) -> None:
    one = Journal(tmp_path, "one")
    one.leased(7)
    for message in (1, 2, 3):
        one.entered(7, message)
    one.settled(7, 2, '["sent"]')
    _die(one)
    with abandoned(tmp_path) as left:
        [(path, found)] = left
    assert path == tmp_path / "one.journal"
    assert found.same_boot
    assert found.leases == {7}
    assert found.entered == {(7, 1), (7, 2), (7, 3)}
    assert found.outcomes == {(7, 2): '["sent"]'}


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    one = Journal(tmp_path, "one")
    one.leased(1)
    with abandoned(tmp_path) as left:
        assert left == []
    one.released(1)
    one.close()


def test_a_journal_with_nothing_open_is_removed_at_the_end(tmp_path: Path) -> None:
    one = Journal(tmp_path, "one")
    one.leased(1)
    one.entered(1, 5)
    one.settled(1, 5, "[]")
    one.committed([5])
    one.released(1)
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_with_something_open_stays(tmp_path: Path) -> None:
    one = Journal(tmp_path, "one")
    one.leased(1)
    one.entered(1, 5)
    one.close()
    with abandoned(tmp_path) as left:
        assert left[0][1].entered == {(1, 5)}


def test_a_full_file_is_renewed_and_keeps_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_SIZE", 4096)
    one = Journal(tmp_path, "one")
    one.leased(1)
    for message in range(10_000):
        one.entered(1, message)
        if message % 10:
            one.settled(1, message, '["sent"]')
            one.committed([message])
    size = one.path.stat().st_size
    _die(one)
    with abandoned(tmp_path) as left:
        [(_, found)] = left
    assert {message for _, message in found.entered} >= set(range(0, 10_000, 10))
    assert found.leases == {1}
    assert size < 200_000


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_does_not_count(tmp_path: Path, cut: int) -> None:
    one = Journal(tmp_path, "one")
    one.leased(1)
    one.entered(1, 123456)
    one._map[one._at - cut : one._at] = bytes(cut)
    _die(one)
    with abandoned(tmp_path) as left:
        assert left[0][1].entered == set()


def test_after_a_restart_of_the_machine_the_journal_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Journal(tmp_path, "one")
    one.leased(1)
    _die(one)
    monkeypatch.setattr(journal, "boot_id", lambda: "another boot")
    with abandoned(tmp_path) as left:
        assert not left[0][1].same_boot


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    one = Journal(tmp_path / "outbound", "one")
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "outbound").stat().st_mode & 0o777 == 0o700
    one.close()
