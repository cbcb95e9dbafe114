"""Configurations as files: out without secrets or with them encrypted, in with suspicion."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from emailcfg import revisions, secrets, transfer
from emailcfg.documents import DocumentRefused
from emailcfg.schema import EmailConfig
from tests.emailcfg.making import a_config, a_revision

pytestmark = pytest.mark.django_db

PASSPHRASE = "correct horse battery"


def config_of_a_revision() -> EmailConfig:
    return revisions.read(a_revision()).config


@pytest.mark.parametrize("style", ["yaml", "json"])
def test_a_file_without_a_passphrase_holds_no_secret(style: str) -> None:
    text = transfer.written(config_of_a_revision(), style=style)  # type: ignore[arg-type]
    assert "first secret" not in text
    document = transfer.parsed(text.encode())
    assert "secrets" not in document
    assert document["config"]["smtp"]["password"] == {"keep": True}


@pytest.mark.parametrize("style", ["yaml", "json"])
def test_a_file_under_a_passphrase_comes_back_whole(style: str) -> None:
    text = transfer.written(config_of_a_revision(), style=style, passphrase=PASSPHRASE, ring=secrets.key_ring())  # type: ignore[arg-type]
    assert "first secret" not in text
    config, _ = transfer.understood(transfer.parsed(text.encode()), base=None, passphrase=PASSPHRASE)
    assert config == a_config()


@pytest.mark.parametrize("style", ["yaml", "json"])
def test_ip_version_and_login_method_leave_and_come_back(style: str) -> None:
    config = revisions.read(a_revision(smtp__ip_version="4", smtp__auth_mechanism="login")).config
    document = transfer.parsed(transfer.written(config, style=style).encode())  # type: ignore[arg-type]
    back, _ = transfer.understood(document, base=config)
    assert back == config
    assert (document["config"]["smtp"]["ip_version"], document["config"]["smtp"]["auth_mechanism"]) == ("4", "login")


def test_a_file_of_a_program_without_these_fields_is_taken() -> None:
    config = config_of_a_revision()
    document = transfer.parsed(transfer.written(config).encode())
    assert not {"ip_version", "auth_mechanism"} & set(document["config"]["smtp"])  # such a program takes it back, too
    assert transfer.understood(document, base=config)[0] == config


def test_a_wrong_or_missing_passphrase_opens_nothing() -> None:
    text = transfer.written(config_of_a_revision(), passphrase=PASSPHRASE, ring=secrets.key_ring())
    document = transfer.parsed(text.encode())
    for passphrase in ("", "something else entirely"):
        with pytest.raises(transfer.PassphraseRefused):
            transfer.understood(document, base=None, passphrase=passphrase)


def test_a_file_can_not_carry_its_secret_to_another_server() -> None:
    text = transfer.written(config_of_a_revision(), passphrase=PASSPHRASE, ring=secrets.key_ring())
    document = transfer.parsed(text.replace("smtp.acme.com", "evil.example").encode())
    with pytest.raises(DocumentRefused) as caught:
        transfer.understood(document, base=None, passphrase=PASSPHRASE)
    assert (caught.value.code, set(caught.value.errors)) == ("secret_needed", {"smtp.password"})


def test_secrets_that_a_file_does_not_bring_are_entered_or_kept() -> None:
    config = config_of_a_revision()
    document = transfer.parsed(transfer.written(config).encode())
    with pytest.raises(DocumentRefused) as caught:
        transfer.understood(document, base=None)
    assert caught.value.code == "secret_needed"
    assert transfer.understood(document, base=config)[0] == config
    entered, _ = transfer.understood(document, base=None, entered={"smtp.password": SecretStr("typed")})
    assert entered.smtp.password == SecretStr("typed")


def test_a_bare_configuration_is_taken_too() -> None:
    document = transfer.parsed(b'general:\n  sender_name: "Acme"\n')
    assert transfer.understood(document, base=None)[0].general.sender_name == "Acme"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"just text", id="text"),
        pytest.param(b"- a\n- b\n", id="list"),
        pytest.param(b"[1, 2]", id="json list"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param(b"{" + b" " * transfer.MAX_BYTES + b"}", id="too large"),
        pytest.param(b'{"a":' * 21 + b"1" + b"}" * 21, id="json too deep"),
        pytest.param(b"[" * 200_000, id="json far too deep"),
        pytest.param(b"a: " + b"[" * 21 + b"]" * 21, id="yaml too deep"),
        pytest.param(b"a: " + b"[" * 100_000, id="yaml far too deep"),
        pytest.param(b'{"smtp": {}, "smtp": {}}', id="json key twice"),
        pytest.param(b"smtp: {}\nsmtp: {}\n", id="yaml key twice"),
        pytest.param(b'{"general": {"a": 1, "a": 2}}', id="json inner key twice"),
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b'{"a": -Infinity}', id="infinity"),
        pytest.param(b'{"a": 1e999}', id="overflowing number"),
        pytest.param(b"a: .nan\n", id="yaml nan"),
        pytest.param(b"a: .inf\n", id="yaml infinity"),
        pytest.param(b"a: &x [1]\nb: *x\n", id="yaml alias"),
        pytest.param(b"a: &x 1\n", id="yaml anchor"),
        pytest.param(b"a: !!python/object/apply:os.system ['id']\n", id="yaml tag"),
        pytest.param(b"a: !!str 1\n", id="yaml standard tag"),
        pytest.param(b"1: a\n", id="yaml number as name"),
        pytest.param(b"? [a]\n: b\n", id="yaml list as name"),
        pytest.param(b"a: {b\n", id="yaml broken"),
        pytest.param(b"a: b\n---\na: c\n", id="yaml twice"),
        pytest.param(b'{"a": }', id="json broken"),
        pytest.param(b'{"format": "other", "version": 1, "config": {}}', id="other format"),
        pytest.param(b'{"format": "email configuration", "version": 2, "config": {}}', id="newer format"),
        pytest.param(b'{"format": "email configuration", "version": 1, "config": {}, "x": 1}', id="unknown part"),
        pytest.param(b"a: 2026-99-99\n", id="yaml impossible date"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(transfer.FileRefused, match=r"\.$"):
        transfer.parsed(data)


def test_a_billion_laughs_are_refused_before_they_start() -> None:
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    laughs = "a: &a [x,x,x,x]\n" + "".join(f"{new}: &{new} [*{old},*{old},*{old}]\n" for old, new in pairs)
    with pytest.raises(transfer.FileRefused, match="aliases"):
        transfer.parsed(laughs.encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        document = transfer.parsed(data)
    except transfer.FileRefused:
        return
    assert "config" in document


ODD = (
    "text",
    {"kdf": "scrypt", "n": 2**30, "r": 8, "p": 1},
    {"n": 32768, "r": 8, "p": 1, "salt": "%", "token": "x"},
    [1],
)


@pytest.mark.parametrize("sealed", ODD)
def test_odd_sealed_secrets_are_refused_without_work(sealed: object) -> None:
    document = {"config": {}, "secrets": sealed}
    with pytest.raises(transfer.FileRefused):
        transfer.understood(document, base=None, passphrase=PASSPHRASE)


def test_yaml_and_json_say_the_same() -> None:
    config = config_of_a_revision()
    as_yaml = yaml.safe_load(transfer.written(config, style="yaml"))
    assert as_yaml == json.loads(transfer.written(config, style="json"))
