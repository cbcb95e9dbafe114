"""The configuration on the command line."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from emailcfg import activation, revisions, rotation, secrets
from emailcfg.models import Activation, AuditEvent, ConfigRevision, Secret
from tests.emailcfg.conftest import write_key_file
from tests.emailcfg.making import a_config, a_revision, activated, no_mail, tamper

pytestmark = pytest.mark.django_db

CONFIG = {
    "general": {"sender_email": "no-reply@acme.com"},
    "delivery": {"selected": "smtp"},
    "smtp": {"host": "smtp.acme.com", "username": "ana", "password": {"set": "first secret"}},
}


def run(*words: Any) -> str:
    out = io.StringIO()
    call_command("emailcfg", *map(str, words), stdout=out)
    return out.getvalue()


def document(*words: Any) -> Any:
    return json.loads(run(*words, "--json"))


def refused(*words: Any) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(*words)
    return caught.value


def file_of(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def test_show_says_when_nothing_is_active() -> None:
    assert "No revision is active" in run("show")
    assert document("show") == {"revision": None, "generation": 0, "config": None}


def test_show_prints_every_value_and_no_secret() -> None:
    revision = a_revision()
    activated(revision)
    text = run("show")
    assert f"r{revision.number} A change for a test (active)" in text
    assert "smtp.acme.com" in text
    assert "first secret" not in text
    assert document("show", revision.number)["config"]["smtp"]["password"] == {"keep": True}


def test_history_and_diff() -> None:
    first = a_revision()
    second = a_revision(base=first, smtp__timeout_s=10)
    assert [row["number"] for row in document("history")["revisions"]] == [second.number, first.number]
    assert "draft" in run("history", "--limit", 1)
    changes = document("diff", first.number, second.number)["changes"]
    assert [(one["path"], one["before"], one["after"]) for one in changes] == [("smtp.timeout_s", "30", "10")]
    assert run("diff", first.number, first.number).strip() == "No differences."


def test_a_file_is_saved_and_activated(tmp_path: Path) -> None:
    number = document("save", file_of(tmp_path), "--description", "From a file")["number"]
    assert activation.current().revision is None
    text = run("activate", number)
    assert "Warning: This configuration was never tested" in text
    assert f"r{number} is active (generation 1)" in text
    assert not document("activate", number)["changed"]


def test_what_show_prints_for_programs_can_be_saved_again(tmp_path: Path) -> None:
    run("activate", document("save", file_of(tmp_path), "--description", "From a file")["number"])
    shown = document("show")
    shown["config"]["general"]["sender_name"] = "Renamed"
    again = tmp_path / "again.json"
    again.write_text(json.dumps(shown))
    number = document("save", again, "--description", "Edited by a program")["number"]
    assert document("show", number)["config"]["general"]["sender_name"] == "Renamed"


def test_saving_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CONFIG).encode())))
    assert document("save", "-", "--description", "From a pipe")["number"]


def test_refusals_end_with_one_and_say_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"smtp": {"port": 0}}')
    for words, text in [
        (("show", 9), "no revision r9"),
        (("diff", 8, 9), "no revision r8"),
        (("activate", 9), "no revision r9"),
        (("rollback",), "no earlier configuration"),
        (("confirm",), "Nothing waits"),
        (("export",), "No revision is active"),
        (("save", file_of(tmp_path), "--description", "four"), "5 to 200"),
        (("save", broken, "--description", "From a file"), "smtp.port"),
    ]:
        error = refused(*words)
        assert text in str(error)
        assert error.returncode == 1


def test_wrong_usage_ends_with_two(tmp_path: Path) -> None:
    for words in [
        ("save", tmp_path / "gone.json", "--description", "From a file"),
        ("import", file_of(tmp_path), "--save"),
        ("import", file_of(tmp_path), "--secret-file", "odd"),
        ("history", "--limit", 0),
    ]:
        assert refused(*words).returncode == 2


def test_a_refusal_as_json_carries_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("emailcfg", "show", "9", "--json", stdout=out)
    assert json.loads(out.getvalue())["error"]["code"] == "revision_gone"


def test_stopping_all_mail_is_meant_or_refused() -> None:
    stops = a_revision(no_mail())
    assert "stops all mail" in str(refused("activate", stops.number))
    run("activate", stops.number, "--accept-stop")
    assert activation.current().revision == stops


def test_a_stale_generation_is_refused() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    assert "is now active" in str(refused("activate", second.number, "--expected-generation", 0))


def test_activation_for_a_while_confirm_and_rollback() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    activated(first)
    assert "unless it is confirmed" in run("activate", second.number, "--confirm-within", 600)
    assert document("confirm")["changed"]
    assert document("rollback", "--reason", "Too slow")["revision"] == first.number


def test_an_export_is_imported_after_showing_the_differences(tmp_path: Path) -> None:
    activated(a_revision())
    phrase = write_key_file(tmp_path / "phrase", b"correct horse battery")
    out = tmp_path / "export.yaml"
    run("export", "--output", out, "--passphrase-file", phrase)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    out.write_text(out.read_text().replace("timeout_s: 30", "timeout_s: 99"))
    shown = run("import", out, "--passphrase-file", phrase)
    assert "30 -> 99" in shown
    assert "Nothing was saved" in shown
    assert ConfigRevision.objects.count() == 1
    run("import", out, "--passphrase-file", phrase, "--save", "--description", "From the other site")
    assert ConfigRevision.objects.first().payload["smtp"]["timeout_s"] == 99  # type: ignore[union-attr]


def test_an_import_asks_for_secrets_it_does_not_bring(tmp_path: Path) -> None:
    a_revision()
    number = ConfigRevision.objects.get().number
    out = tmp_path / "export.json"
    run("export", number, "--format", "json", "--output", out)
    assert "smtp.password" in str(refused("import", out))
    secret = write_key_file(tmp_path / "secret", b"entered now")
    words = ("import", out, "--secret-file", f"smtp.password={secret}", "--save", "--description", "With a secret")
    saved = revisions.get(document(*words)["number"])
    opened = secrets.open_all(revisions.read(saved).config, secrets.key_ring())
    assert opened.smtp.password.get_secret_value() == "entered now"  # type: ignore[union-attr]


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    activated(a_revision())
    assert refused("export", "--passphrase-file", write_key_file(tmp_path / "p", b"short")).returncode == 2


def rotate(*words: str) -> str:
    out = io.StringIO()
    call_command("rotate_secrets", *words, stdout=out)
    return out.getvalue()


def test_rotation_moves_every_secret_to_the_newest_key_and_repeats_without_effect(key_files: Path) -> None:
    made = [a_revision(smtp__password=f"secret {number}") for number in range(5)]
    assert "5 re-encrypted, 0 under" in rotate("--new-key")
    assert "0 re-encrypted, 5 under" in rotate()
    newest = key_files.read_bytes().splitlines()[0]
    write_key_file(key_files, newest)
    for number, revision in enumerate(made):
        opened = secrets.open_all(revisions.read(revision).config, secrets.key_ring())
        assert opened.smtp.password.get_secret_value() == f"secret {number}"  # type: ignore[union-attr]
    assert stat.S_IMODE(key_files.stat().st_mode) == 0o600


def test_an_interrupted_rotation_is_resumed(key_files: Path) -> None:
    for number in range(5):
        a_revision(smtp__password=f"secret {number}")
    write_key_file(key_files, Fernet.generate_key(), *key_files.read_bytes().splitlines())
    batches = rotation._secrets(secrets.key_ring(), 2)
    assert next(batches).rotated == 2
    batches.close()
    assert rotation.rotate(secrets.key_ring(), batch=2) == rotation.Rotated(rotated=3, current=2)


def test_rotation_counts_what_no_key_opens_and_leaves_it(key_files: Path) -> None:
    a_revision()
    before = Secret.objects.get().ciphertext
    write_key_file(key_files, Fernet.generate_key())
    with pytest.raises(CommandError, match="no key opens"):
        rotate()
    assert Secret.objects.get().ciphertext == before


def doctor() -> tuple[dict[str, bool], str]:
    out = io.StringIO()
    try:
        call_command("doctor", "--json", stdout=out)
    except CommandError:
        assert not json.loads(out.getvalue())["ok"]
    return {one["name"]: one["ok"] for one in json.loads(out.getvalue())["checks"]}, out.getvalue()


def test_the_doctor_finds_a_healthy_installation_in_order() -> None:
    activated(a_revision())
    checks, text = doctor()
    assert set(checks.values()) == {True}
    assert "1 secrets of all revisions open, 0 don't" in text
    assert "first secret" not in text


def test_the_doctor_names_what_is_wrong(key_files: Path) -> None:
    revision = a_revision()
    activated(revision)
    write_key_file(key_files, Fernet.generate_key())
    assert {name for name, ok in doctor()[0].items() if not ok} == {"secrets", "active"}
    key_files.unlink()
    assert {name for name, ok in doctor()[0].items() if not ok} == {"keys", "secrets", "active"}


def test_the_doctor_finds_altered_revisions() -> None:
    revision = a_revision()
    a_revision(a_config(smtp__timeout_s=10))
    tamper(revision, payload={**revision.payload, "general": {}})
    checks, text = doctor()
    assert not checks["revisions"]
    assert f"the first is r{revision.number}" in text


def test_what_the_command_line_did_is_in_the_audit_log(tmp_path: Path) -> None:
    run("save", file_of(tmp_path), "--description", "From a file")
    assert AuditEvent.objects.get(action="revision.saved").actor_name == "command line"


def test_warnings_are_recorded_and_answered_and_stop_no_program() -> None:
    first, second = a_revision(), a_revision(smtp__timeout_s=10)
    done = document("activate", first.number)
    assert [one["code"] for one in done["warnings"]] == ["untested"]
    assert "Send a test email first." in done["warnings"][0]["sentence"]
    assert "Warning: This configuration was never tested." in run("activate", second.number, "--reason", "Urgent")
    back = document("rollback")
    assert (back["revision"], [one["code"] for one in back["warnings"]]) == (first.number, ["untested"])
    assert [(one.reason, one.warnings) for one in Activation.objects.order_by("pk")] == [
        ("", ["untested"]),
        ("Urgent", ["untested"]),
        ("", ["untested"]),
    ]
