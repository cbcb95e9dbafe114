"""Status, its verdict and alerts, the OmniBar that says the same, pausing, trying now."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from adminapp import chart, masking
from adminapp.alerts import Alert, alerts
from adminapp.verdict import Verdict, gather, verdict
from emailcfg import activation, pins
from emailcfg.models import ActiveConfig, AuditEvent, Secret, ServiceInstance
from emailcfg.restored import Memory
from emailcfg.schema import EmailConfig
from outbound import queries, queue
from outbound.models import Breaker, OutcomeCount, QueueState
from tests.emailcfg.making import a_revision, a_test_of, activated, tamper
from tests.outbound.log_making import (
    ACCEPTED,
    GREYLISTED,
    NO_ANSWER,
    a_day_of_outcomes,
    a_message,
    a_service,
    an_open_breaker,
)
from tests.outbound.making import ANA, a_config, activate
from tests.servers.sendgrid import KEY

pytestmark = pytest.mark.django_db


@pytest.fixture
def active(db: None) -> ActiveConfig:
    """A configuration is active and a process runs it."""
    found = activate(a_config())
    a_service(found.generation)
    return found


def now_says() -> Verdict:
    return verdict(gather(activation.current()))


def all_alerts() -> list[Alert]:
    return alerts(gather(activation.current()), queries.queue_numbers())


def page(client: Client) -> str:
    return client.get("/status/").content.decode()


def test_nothing_configured_is_said_with_the_way_to_begin(admin_client: Client) -> None:
    assert now_says().level == "unknown"
    causes = [alert.cause for alert in all_alerts()]
    assert causes == ["No mail can leave.", "Mail is accepted only once there is a sender address."]
    assert "No mail leaves yet: no configuration is active." in page(admin_client)


def test_active_alone_is_not_green(active: ActiveConfig) -> None:
    assert (now_says().level, now_says().short) == ("unknown", "Active, not proven yet")


def test_green_is_what_real_mail_or_a_test_proved_and_says_when(active: ActiveConfig) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id, at=timezone.now() - timedelta(minutes=2))
    assert (now_says().level, now_says().short) == ("ok", "Mail works (last accepted 2 minutes ago)")
    assert active.revision is not None
    a_test_of(active.revision, "received", received_at=timezone.now())
    assert now_says().short == "Mail works (test received a moment ago)"


def test_mail_under_another_revision_proves_nothing_for_this_one(active: ActiveConfig) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id)
    again = activate(a_config(2526))
    ServiceInstance.objects.update(generation=again.generation)
    assert now_says().level == "unknown"


def test_mail_that_was_suppressed_proves_nothing(active: ActiveConfig) -> None:
    a_message("suppressed", {"reply": "", "reason": "suppress_all"}, revision=active.revision_id)
    assert now_says().level == "unknown"


def test_it_is_not_green_while_all_mail_goes_elsewhere(db: None) -> None:
    active = activate(a_config(general={"divert_to": "box@acme.example"}))
    a_service(active.generation)
    a_message("sent", ACCEPTED, revision=active.revision_id)
    found = now_says()
    assert (found.level, found.short) == ("warning", "All mail is diverted")
    assert found.sentence == "All mail goes to box@acme.example: nobody else receives any."


def test_a_failed_test_counts_only_until_something_works(active: ActiveConfig) -> None:
    assert active.revision is not None
    a_test_of(active.revision, "failed")
    assert now_says().level == "error"
    a_message("sent", ACCEPTED, revision=active.revision_id, at=timezone.now() + timedelta(seconds=1))
    assert now_says().level == "ok"


def test_a_failed_daily_check_is_told_until_mail_is_accepted_or_it_passes(
    active: ActiveConfig, admin_client: Client
) -> None:
    assert active.revision is not None
    a_message("sent", ACCEPTED, revision=active.revision_id, at=timezone.now() - timedelta(hours=1))
    told = {
        "title": "The password was refused",
        "cause": "It changed.",
        "next_step": "Enter it anew.",
        "words": "535 <no>",
    }
    a_test_of(active.revision, "failed", source="health", dry_run=True, explanation=told)
    assert (now_says().level, now_says().short) == ("warning", "The daily check failed a moment ago")
    shown = page(admin_client)
    for text in ("The password was refused", "535 &lt;no&gt;", "Check again", "The health check failed"):
        assert text in shown
    assert shown.count('action="/status/check/"') == 1  # where it is told that it failed
    a_test_of(active.revision, "passed", source="health", dry_run=True)
    assert now_says().level == "ok"


def test_a_dry_run_neither_proves_nor_disproves(active: ActiveConfig) -> None:
    assert active.revision is not None
    a_test_of(active.revision, "passed", dry_run=True)
    assert now_says().level == "unknown"
    a_test_of(active.revision, "failed", dry_run=True)
    assert now_says().level == "unknown"


def test_checking_with_nothing_active_says_so(admin_client: Client) -> None:
    answer = admin_client.post("/status/check/", follow=True)
    assert "there is nothing to check" in answer.content.decode()


def test_secrets_that_can_not_be_decrypted_are_an_error_with_what_to_do(
    db: None, admin_client: Client, settings: Settings, tmp_path: Path
) -> None:
    found = activate(a_config(username="ana", password="a secret"))
    a_service(found.generation)
    a_message("queued", due_at=timezone.now())
    other = tmp_path / "other.keys"
    other.write_bytes(Fernet.generate_key() + b"\n")
    other.chmod(0o600)
    settings.ENCRYPTION_KEY_FILES = [other]
    assert now_says().level == "error"
    assert now_says().short == f"1 message waits: r{found.revision_id} can't be read"
    shown = page(admin_client)
    assert "nothing is lost" in shown
    assert "Enter the secret anew" in shown


def test_an_open_breaker_is_told_with_how_many_wait_and_why(active: ActiveConfig, admin_client: Client) -> None:
    for _ in range(3):
        a_message("queued", due_at=timezone.now())
    an_open_breaker(active.generation)
    assert now_says().level == "error"
    assert now_says().short.startswith("3 messages wait: ")
    shown = page(admin_client)
    for text in ("535 5.7.8 Error: authentication failed", "Try now", "tried by itself", now_says().short):
        assert text in shown
    assert "3 messages wait, and none fails." in shown


def test_a_breaker_of_an_earlier_generation_holds_nothing(active: ActiveConfig) -> None:
    an_open_breaker(active.generation - 1)
    a_message("sent", ACCEPTED, revision=active.revision_id)
    assert now_says().level == "ok"


def test_mail_of_one_sender_held_is_a_warning_that_names_it(active: ActiveConfig) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id)
    an_open_breaker(active.generation, sender="shop@acme.example", error_class="sender", stage="sender")
    assert (now_says().level, now_says().short) == ("warning", "Mail from shop@acme.example waits")


def test_no_process_is_an_error_even_after_mail_was_accepted(active: ActiveConfig, admin_client: Client) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id)
    ServiceInstance.objects.update(last_seen=timezone.now() - timedelta(seconds=20))
    assert now_says().level == "error"
    assert "no process" in now_says().short
    assert "lost" in page(admin_client)


def test_a_process_that_refused_the_configuration_is_named(active: ActiveConfig, admin_client: Client) -> None:
    ServiceInstance.objects.update(state="rejected", error="The secret <b>can't</b> be decrypted.")
    assert now_says().level == "error"
    shown = page(admin_client)
    assert "refused the configuration" in shown
    assert "<b>can" not in shown


def test_a_lost_process_is_named_beside_one_that_runs(active: ActiveConfig, admin_client: Client) -> None:
    a_service(active.generation, ago_s=60, host="mail-2", pid=77)
    shown = page(admin_client)
    assert "No sign of life from outbound mail-2/77. What it was sending is taken over by the others." in shown
    a_service(active.generation, ago_s=60, host="mail-3", pid=78)
    assert "What they were sending is taken over by the others." in page(admin_client)


def test_mail_that_waits_for_long_is_late(active: ActiveConfig) -> None:
    a_message("queued", due_at=timezone.now() - timedelta(minutes=20))
    assert now_says().short == "Mail is late by 20 minutes"
    late = [one for one in all_alerts() if one.title == "Mail leaves late"]
    assert [bool(one.since) for one in late] == [True]
    queue.pause(actor=ANA)
    assert "Mail leaves late" not in [one.title for one in all_alerts()]


def test_every_alert_has_its_cause_and_the_next_step(db: None, settings: Settings) -> None:
    found = all_alerts()
    active = activate(a_config())
    found += all_alerts()
    a_service(active.generation)
    a_service(active.generation, ago_s=60)
    a_service(0, state="rejected", error="This secret can't be decrypted.")
    a_message("in_doubt", NO_ANSWER)
    a_message("held", cause="crashes_service")
    a_message("queued", due_at=timezone.now() - timedelta(minutes=20))
    found += all_alerts()
    an_open_breaker(active.generation)
    an_open_breaker(active.generation, sender="no-reply@acme.example")
    queue.pause(actor=ANA, reason="Moving the relay")
    settings.DISK_RESERVE_MB = 10**9
    found += all_alerts()
    activate(EmailConfig.model_validate({"general": {"sender_email": "no-reply@acme.example"}}))
    found += all_alerts()
    assert len({one.title for one in found}) >= 12
    assert [one.title for one in found if not (one.cause.endswith((".", ".”")) and one.next_step.endswith("."))] == []


def test_a_nearly_full_disk_warns_before_nothing_is_accepted(
    active: ActiveConfig, admin_client: Client, settings: Settings
) -> None:
    assert "disk is" not in page(admin_client)
    settings.DISK_RESERVE_MB = 10**9
    assert "The disk is full" in page(admin_client)


def test_messages_in_doubt_and_held_are_alerts_that_lead_to_them(active: ActiveConfig, admin_client: Client) -> None:
    a_message("in_doubt", NO_ANSWER)
    a_message("held", cause="crashes_service")
    shown = page(admin_client)
    assert "1 message is in doubt" in shown
    assert "1 message waits for you" in shown
    assert "/messages/?state=in_doubt" in shown


def test_pausing_shows_on_every_page_until_resumed(active: ActiveConfig, admin_client: Client) -> None:
    admin_client.post("/status/pause/", {"reason": "Moving <the> relay"})
    assert now_says().short == "Sending is paused"
    shown = page(admin_client)
    assert "ana@acme.example paused it: “Moving &lt;the&gt; relay”. Mail is accepted and waits" in shown
    assert "sending was paused by ana@acme.example" in admin_client.get("/messages/").content.decode()
    for _ in range(2):
        admin_client.post("/status/resume/")
    assert not QueueState.objects.get().paused
    assert list(AuditEvent.objects.filter(action__startswith="queue.").values_list("action", flat=True)) == [
        "queue.resumed",
        "queue.paused",
    ]


def test_a_second_pause_and_a_second_resume_say_that_nothing_changed(
    active: ActiveConfig, admin_client: Client
) -> None:
    admin_client.post("/status/pause/", {"reason": "First"})
    again = admin_client.post("/status/pause/", {"reason": "Second"}, follow=True).content.decode()
    assert "was paused already" in again
    assert QueueState.objects.get().pause_reason == "First"
    assert "Mail leaves again" in admin_client.post("/status/resume/", follow=True).content.decode()
    assert "was not paused any more" in admin_client.post("/status/resume/", follow=True).content.decode()


def test_try_now_makes_the_probe_due_and_is_audited(active: ActiveConfig, admin_client: Client) -> None:
    an_open_breaker(active.generation)
    admin_client.post("/status/probe/")
    assert Breaker.objects.get().next_probe_at <= timezone.now()
    assert AuditEvent.objects.filter(action="queue.tried", actor_name="ana@acme.example").count() == 1


def test_try_now_without_anything_held_changes_nothing(active: ActiveConfig, admin_client: Client) -> None:
    an_open_breaker(active.generation, is_open=False, next_probe_at=None)
    answer = admin_client.post("/status/probe/", follow=True)
    assert "Nothing holds the queue any more." in answer.content.decode()
    assert Breaker.objects.get().next_probe_at is None


@pytest.mark.parametrize("verb", ["pause", "resume", "probe"])
def test_looking_at_a_verb_changes_nothing(admin_client: Client, verb: str) -> None:
    assert admin_client.get(f"/status/{verb}/").status_code == 405


def test_the_live_part_comes_only_when_it_changed_and_the_sentence_only_when_it_did(
    active: ActiveConfig, admin_client: Client
) -> None:
    shown = page(admin_client)
    seen = shown.split('name="seen" value="')[1].split('"')[0]
    said = now_says().sentence
    assert admin_client.get("/status/live/", {"seen": seen, "said": said}).status_code == 204
    a_message("deferred", GREYLISTED)
    answer = admin_client.get("/status/live/", {"seen": seen, "said": said})
    part = answer.content.decode()
    assert "<html" not in part
    assert 'id="verdict"' not in part
    assert "HX-Trigger" not in answer
    queue.pause(actor=ANA)
    answer = admin_client.get("/status/live/", {"seen": seen, "said": said})
    assert 'id="verdict"' in answer.content.decode()
    assert "omnibar:refresh" in answer["HX-Trigger"]  # so that the bar says the same at once


def test_the_omnibar_asks_little_of_the_database(
    active: ActiveConfig, admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id)
    with django_assert_max_num_queries(14):  # two of them for the session and its user
        admin_client.get("/omnibar/")


def test_the_chart_counts_each_outcome_in_its_hour() -> None:
    now = datetime(2026, 5, 2, 10, 42, tzinfo=UTC)
    rows = [(now.replace(minute=0), "sent", 7), (now.replace(minute=30), "sent", 2), (now, "failed", 1)]
    rows += [(now - timedelta(hours=3), "deferred", 4), (now - timedelta(hours=30), "sent", 99)]
    OutcomeCount.objects.bulk_create(OutcomeCount(slot=slot, outcome=name, count=n) for slot, name, n in rows)
    drawn = chart.chart(now)
    assert len(drawn.bars) == 24
    assert drawn.bars[-1].counts == (9, 0, 1)
    assert drawn.bars[-1].says == "10:00 to 11:00 UTC: 9 accepted, 0 deferred, 1 failed"
    assert drawn.bars[-4].counts == (0, 4, 0)
    assert drawn.totals == (("sent", "accepted", 9), ("deferred", "deferred", 4), ("failed", "failed", 1))
    assert drawn.top == 10
    highest = drawn.bars[-1].parts
    assert sum(part.height for part in highest) == pytest.approx(chart.HEIGHT)
    assert highest[0].y + highest[0].height == pytest.approx(chart.HEIGHT)


def test_a_day_is_drawn_with_a_title_for_each_bar_and_a_table_behind_it(
    active: ActiveConfig, admin_client: Client
) -> None:
    assert "No attempt was made" in page(admin_client)
    a_day_of_outcomes()
    shown = page(admin_client)
    assert shown.count("<title>") == 25  # the page's own and one for each hour
    assert "Outcomes by hour, UTC" in shown
    assert 'id="day-table" hx-swap-oob' in admin_client.get("/status/day/").content.decode()


def test_the_services_are_restarted_from_status_and_the_page_shows_how_far_it_is(
    admin_client: Client, active: ActiveConfig
) -> None:
    assert admin_client.get("/status/restart/").status_code == 405
    assert 'id="restart-services"' in page(admin_client)
    shown = admin_client.post("/status/restart/", follow=True).content.decode()
    assert "0 of 1 processes restarted" in shown
    assert 'id="restart-services"' not in shown
    event = AuditEvent.objects.get(action="services.restart")
    assert (event.actor_name, event.address) == ("ana@acme.example", "127.0.0.1")
    again = admin_client.post("/status/restart/", follow=True).content.decode()
    assert "A restart is under way already." in again


def test_an_older_backup_that_came_back_is_told_on_every_page(
    admin_client: Client, active: ActiveConfig, tmp_path: Path
) -> None:
    seen = {"activation": 77, "generation": 77, "at": "2026-11-23T06:00:00+00:00", "epochs": [""]}
    (tmp_path / "last-activation.json").write_text(json.dumps(seen))
    assert Memory(tmp_path).check()
    assert "An older backup runs" in page(admin_client)
    for path in ("/messages/", "/configuration/history/", "/support/"):
        assert "generation 77 had run here" in admin_client.get(path).content.decode()
    activate(a_config(2526))
    assert "An older backup" not in page(admin_client)


def test_while_a_confirmation_is_awaited_there_is_one_way_back_and_it_has_one_name(admin_client: Client) -> None:
    first = activated(a_revision())
    activated(a_revision(smtp__timeout_s=20), confirm_within_s=600)
    shown = page(admin_client)
    assert shown.count(f"Return to r{first.revision_id}") == 1
    assert "Roll back" not in shown


def test_what_ran_before_is_one_click_away(admin_client: Client) -> None:
    first = activate(a_config())
    assert "Roll back to" not in admin_client.get("/status/").content.decode()
    activate(a_config(2526))
    page = admin_client.get("/status/").content.decode()
    assert f'href="/configuration/revisions/{first.revision_id}/activate/"' in page
    assert f"Roll back to r{first.revision_id}" in page


@pytest.mark.parametrize(
    ("pin", "text", "says"),
    [
        ("GENERAL__DIVERT_TO", "box@acme.example", "All mail is diverted to box@acme.example."),
        ("GENERAL__SUPPRESS_ALL", "true", "No mail leaves: all mail is suppressed."),
    ],
)
def test_what_the_environment_fixes_is_judged_too(
    active: ActiveConfig, admin_client: Client, settings: Settings, pin: str, text: str, says: str
) -> None:
    settings.EMAILCFG_PINS = {f"EMAILCFG__{pin}": text}
    assert active.revision is not None
    a_test_of(active.revision, "received", pins=pins.digest())
    assert now_says().level == "warning"
    assert says in page(admin_client)


def test_a_test_under_other_fixed_fields_is_no_proof(active: ActiveConfig, settings: Settings) -> None:
    assert active.revision is not None
    a_test_of(active.revision, "received")
    assert now_says().level == "ok"
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__PORT": "2526"}
    assert now_says().level == "unknown"


def test_a_broken_secret_of_the_service_that_is_off_alarms_nobody(admin_client: Client) -> None:
    data = a_config().model_dump()
    data["sendgrid"] = {"enabled": False, "api_key": KEY}
    a_service(activate(EmailConfig.model_validate(data)).generation)
    Secret.objects.update(ciphertext="not a token")
    assert now_says().short == "Active, not proven yet"
    assert json.loads(admin_client.get("/readyz").content)["checks"]["active_revision"]["ok"]


def test_mail_that_was_accepted_before_the_environment_was_read_is_no_proof_when_it_fixes_fields(
    active: ActiveConfig, settings: Settings
) -> None:
    a_message("sent", ACCEPTED, revision=active.revision_id, at=timezone.now() - timedelta(days=1))
    assert now_says().level == "ok"
    settings.EMAILCFG_PINS = {"EMAILCFG__SMTP__TIMEOUT_S": "7"}
    assert now_says().level == "unknown"
    a_message("sent", ACCEPTED, revision=active.revision_id)
    assert now_says().level == "ok"


def test_what_ends_a_pause_stands_once_on_status(active: ActiveConfig, admin_client: Client) -> None:
    queue.pause(actor=ANA)
    shown = page(admin_client)
    assert shown.count('action="/status/resume/"') == 1
    assert 'href="#resume-now"' in shown
    assert 'id="resume-now"' in shown
    banner = "No mail leaves: sending was paused by"
    at = {"HX-Request": "true", "HX-Current-URL": "https://mail.acme.example/status/?from=here"}
    assert banner not in admin_client.get("/omnibar/", headers=at).content.decode()
    for path in ("/messages/", "/support/"):
        at["HX-Current-URL"] = f"https://mail.acme.example{path}"
        for answer in (admin_client.get(path), admin_client.get("/omnibar/", headers=at)):
            assert f'{banner} {ANA.name}.</span>\n  <a href="/status/">Resume</a>' in answer.content.decode()


@pytest.mark.parametrize(
    "payload",
    [[1], "text", {}, {"delivery": 7, "smtp": 7}, {"smtp": {"password": {"secret": [1]}}}, {"smtp": {"password": 1}}],
)
def test_whatever_stands_in_place_of_the_active_revision_status_says_so_and_the_bundle_can_be_made(
    admin_client: Client, payload: Any
) -> None:
    active = activated(a_revision())
    assert active.revision is not None
    a_service(active.generation)
    tamper(active.revision, payload=payload)
    assert f"r{active.revision_id} can&#x27;t be run" in page(admin_client)
    assert admin_client.get("/metrics").status_code == 200
    assert admin_client.post("/support/bundle/").status_code == 200


def test_a_secret_is_replaced_in_the_bundle_though_its_revision_was_altered(admin_client: Client) -> None:
    active = activated(a_revision())
    assert active.revision is not None
    tamper(active.revision, payload={**active.revision.payload, "general": {"sender_name": 7}})
    assert [found("first secret") for found in masking.redactors()] == ["[removed]"]
