"""Every place that says whether a configuration was tested says the same."""

import pytest
from django.test import Client

from adminapp import verdict
from emailcfg import activation, history, tested
from emailcfg.preflight import preflight
from tests.emailcfg.making import a_process, a_revision, a_test_of, activated

pytestmark = pytest.mark.django_db

DRY, HEALTH = {"dry_run": True}, {"dry_run": True, "source": "health"}


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ([], "not tested"),
        ([("passed", DRY)], "not tested"),
        ([("failed", DRY)], "not tested"),
        ([("passed", HEALTH)], "not tested"),
        ([("interrupted", {})], "not tested"),
        ([("accepted", {}), ("passed", DRY)], "test accepted"),
        ([("received", {}), ("failed", DRY)], "test received"),
        ([("accepted", {}), ("interrupted", {})], "test accepted"),
        ([("accepted", {}), ("failed", {})], "test failed"),
        ([("failed", {}), ("passed", DRY)], "test failed"),
        ([("failed", {}), ("accepted", {})], "test accepted"),
    ],
)
def test_they_agree(states: list[tuple[str, dict[str, object]]], says: str, admin_client: Client) -> None:
    revision = a_revision()
    active = activated(revision)
    a_process("service", "running", active.generation)
    for state, more in states:
        a_test_of(revision, state, **more)
    badge = tested.of(revision.content_hash)
    assert (badge.words if badge else "not tested") == says
    (listed,) = history.page(activation.current()).revisions
    assert listed.tested == badge
    codes = {one.code for one in preflight(revision, active).consequences} & {"tested", "untested", "test_failed"}
    works = says in ("test accepted", "test received")
    assert codes == {"tested" if works else "test_failed" if says == "test failed" else "untested"}
    facts = verdict.gather(active)
    assert (facts.failed_test is not None) == (says == "test failed")
    if works:
        assert facts.proof is not None
        assert facts.proof.what == says
    for path in ("/configuration/history/", f"/configuration/revisions/{revision.number}/", "/configuration/email/"):
        page = admin_client.get(path).content.decode()
        shown = {words for words in ("not tested", "test accepted", "test received", "test failed") if words in page}
        assert shown == {says}, path
