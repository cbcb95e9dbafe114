"""Payloads of older schemas are brought up one step a version; newer ones are refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from adminapp.prepare import prepare
from emailcfg import activation, confirmation, drafts, revisions, schema_migrations, schema_upgrade, secrets
from emailcfg.models import Activation, ActiveConfig, AuditEvent, ConfigRevision, ServiceInstance
from emailcfg.schema_migrations import NewerSchema, UnknownSchema, upgraded
from tests.emailcfg.making import ANA, a_config, a_process, a_revision, activated, tamper


def counting_step(version: int) -> schema_migrations.Step:
    def step(payload: dict[str, Any]) -> tuple[dict[str, Any], str]:
        return {**payload, "taken": [*payload.get("taken", []), version]}, f"Step {version} was taken."

    return step


STEPS = {version: counting_step(version) for version in range(1, 18)}


@pytest.mark.parametrize("start", [17, 15, 1])
def test_each_step_runs_once_and_in_order(start: int) -> None:
    payload, sentences = upgraded({"schema_version": start}, steps=STEPS, target=18)
    assert payload == {"schema_version": 18, "taken": list(range(start, 18))}
    assert sentences == tuple(f"Step {version} was taken." for version in range(start, 18))


def test_the_stored_payload_is_not_touched() -> None:
    stored = {"schema_version": 16, "taken": []}
    upgraded(stored, steps=STEPS, target=18)
    assert stored == {"schema_version": 16, "taken": []}


def test_todays_payload_passes_unchanged() -> None:
    assert upgraded({"schema_version": 18, "x": 1}, steps=STEPS, target=18) == ({"schema_version": 18, "x": 1}, ())


@given(st.integers(min_value=19, max_value=10**9))
def test_a_newer_schema_is_refused_with_both_numbers(version: int) -> None:
    with pytest.raises(NewerSchema) as caught:
        upgraded({"schema_version": version}, steps=STEPS, target=18)
    assert (caught.value.found, caught.value.known) == (version, 18)


@pytest.mark.parametrize("version", [0, -3, "2", None, 1.5, []])
def test_a_version_that_never_was_is_refused(version: object) -> None:
    with pytest.raises(UnknownSchema):
        upgraded({"schema_version": version}, steps=STEPS, target=18)


@pytest.fixture
def older_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema 0 that called the sender's name `name`."""

    def step(payload: dict[str, Any]) -> tuple[dict[str, Any], str]:
        general = dict(payload["general"])
        general["sender_name"] = general.pop("name")
        return {**payload, "general": general}, "The name of the sender moved to its own field."

    monkeypatch.setitem(schema_migrations.STEPS, 0, step)  # type: ignore[arg-type]


def an_older_revision() -> ConfigRevision:
    today = a_revision()
    general = {**today.payload["general"]}
    general["name"] = general.pop("sender_name")
    payload = {**today.payload, "general": general, "schema_version": 0}
    older = ConfigRevision.objects.create(
        schema_version=0,
        payload=payload,
        content_hash=secrets.content_hash(payload),
        description="From long ago",
        author_name="ana@acme.com",
    )
    older.secrets.set(today.secrets.all())
    return older


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_an_older_revision_is_read_without_being_rewritten() -> None:
    older = an_older_revision()
    loaded = revisions.read(older)
    assert loaded.config.general.sender_name == "Acme"
    assert loaded.migrated == ("The name of the sender moved to its own field.",)
    stored = revisions.get(older.number)
    assert (stored.payload, stored.content_hash) == (older.payload, older.content_hash)


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_activating_an_older_revision_activates_one_derived_from_it() -> None:
    older = an_older_revision()
    active = activated(older)
    assert active.revision is not None
    assert (active.revision.parent, active.revision.schema_version) == (older.number, 1)
    assert active.revision.payload["general"]["sender_name"] == "Acme"
    log = Activation.objects.get()
    assert (log.kind, log.revision) == ("migrate", active.revision)
    assert secrets.check(revisions.read(active.revision).config, secrets.key_ring()) == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_activating_an_older_revision_again_is_the_success_without_effect_of_any_other() -> None:
    older = an_older_revision()
    first = activated(older)
    again = activation.activate(older.number, expected_generation=0, actor=ANA)
    assert not again.changed
    assert again.active.generation == first.generation


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_going_back_to_an_older_revision_uses_the_derived_one_it_made_before() -> None:
    older = an_older_revision()
    derived = activated(older).revision
    activated(a_revision(a_config(smtp__timeout_s=7)))
    assert activated(older).revision == derived


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_an_older_revision_loads_into_the_form_with_what_changed(django_user_model: Any) -> None:
    older = an_older_revision()
    user = django_user_model.objects.create(username="ana")
    editing, migrated = drafts.load_revision(user, "session", older.number)
    assert migrated == ("The name of the sender moved to its own field.",)
    assert editing.values["general.sender_name"] == "Acme"
    assert revisions.get(older.number).payload == older.payload


@pytest.fixture
def older_active(older_schema: None, db: None) -> tuple[ConfigRevision, ConfigRevision]:
    """What runs since before the update of the program, and what ran before that."""
    before, older = a_revision(a_config(smtp__timeout_s=7)), an_older_revision()
    activated(before)
    ActiveConfig.objects.update(generation=2, revision=older, fallback=before)
    return before, older


@pytest.mark.django_db
def test_at_the_start_after_an_update_the_active_revision_comes_first(
    older_active: tuple[ConfigRevision, ConfigRevision],
) -> None:
    before, older = older_active
    lines: list[str] = []
    prepare(lines.append)
    active = activation.current()
    assert active.revision is not None
    assert (active.generation, active.revision.schema_version, active.revision.parent) == (3, 1, older.number)
    assert active.fallback == before  # going back goes to other content, not to the same in another schema
    assert f"brought to today's schema as r{active.revision_id}" in " ".join(lines)
    log = Activation.objects.first()
    assert log is not None
    assert (log.kind, log.actor_name, log.previous, log.reason) == (
        "migrate",
        "system",
        older,
        "The name of the sender moved to its own field.",
    )
    assert AuditEvent.objects.filter(action="revision.migrated", subject=f"r{active.revision_id}").exists()
    assert secrets.check(revisions.read(active.revision).config, secrets.key_ring()) == {}
    prepare(lines.append)
    assert activation.current().generation == 3


@pytest.mark.django_db
def test_it_waits_while_a_process_of_the_older_program_runs(
    older_active: tuple[ConfigRevision, ConfigRevision],
) -> None:
    a_process("old", "running", 2, schema_version=0)
    assert schema_upgrade.bring_up_to_date() is None
    ServiceInstance.objects.update(state="stopped")
    assert schema_upgrade.bring_up_to_date() is not None


@pytest.mark.django_db
def test_it_waits_while_a_confirmation_is_awaited(older_active: tuple[ConfigRevision, ConfigRevision]) -> None:
    ActiveConfig.objects.update(confirm_state="pending", confirm_deadline=timezone.now() + timedelta(minutes=5))
    assert schema_upgrade.bring_up_to_date() is None
    assert confirmation.confirm(actor=ANA, expected_generation=2).changed
    assert schema_upgrade.bring_up_to_date() is not None


@pytest.mark.django_db
def test_what_a_newer_program_wrote_is_left_alone_and_said_with_both_numbers(
    older_active: tuple[ConfigRevision, ConfigRevision], admin_client: Client
) -> None:
    _, newer = older_active
    tamper(newer, schema_version=3, payload={**newer.payload, "schema_version": 3})
    tamper(newer, content_hash=secrets.content_hash({**newer.payload, "schema_version": 3}))
    assert schema_upgrade.bring_up_to_date() is None
    said = "has schema 3, and this program understands up to 1"
    for path in (
        f"/configuration/revisions/{newer.number}/",
        "/status/",
        "/configuration/history/",
    ):
        page = admin_client.get(path)
        assert page.status_code == 200
        assert said in page.content.decode(), path
    draft = ConfigRevision.objects.create(
        schema_version=3,
        payload={**newer.payload, "schema_version": 3},
        content_hash=secrets.content_hash({**newer.payload, "schema_version": 3}),
        description="From the future",
        author_name="ana@acme.com",
    )
    assert said in admin_client.get(f"/configuration/revisions/{draft.number}/activate/").content.decode()
    loaded = admin_client.post(f"/configuration/email/load/{draft.number}/", follow=True)
    assert said in loaded.content.decode()
    refused = admin_client.post(
        f"/configuration/revisions/{draft.number}/activate/", {"expected_generation": 2, "reason": "Anyway"}
    )
    assert refused.status_code == 422
    assert activation.current().generation == 2


@pytest.mark.django_db
@pytest.mark.usefixtures("older_schema")
def test_on_the_pages_an_older_revision_says_what_changed_and_loads_into_the_form(admin_client: Client) -> None:
    older = an_older_revision()
    said = "The name of the sender moved to its own field."
    for path in (f"/configuration/revisions/{older.number}/", f"/configuration/revisions/{older.number}/activate/"):
        assert said in admin_client.get(path).content.decode(), path
    form = admin_client.post(f"/configuration/email/load/{older.number}/", follow=True).content.decode()
    assert said in form
    assert 'value="Acme"' in form
