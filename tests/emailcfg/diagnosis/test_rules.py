"""The table of rules as such: stable codes, whole sentences, and no rule that never wins."""

import re
import string

import pytest

from emailcfg.diagnosis.explain import Context, explain, tell
from emailcfg.diagnosis.rules import ALL
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage
from tests.emailcfg.diagnosis import samples
from tests.emailcfg.diagnosis.samples import Sample

FACTS = {"host", "port", "username", "sender", "sender_domain", "recipient", "ehlo", "our_address", "region"} | {
    "host_region", "identities", "names", "expires", "clock", "issuer", "mechanisms", "scopes", "size_limit",
    "secret_not_ascii", "verified_found", "mechanism_tried", "mechanism_set", "version_set", "version_cost",
    "odd_user", "also_recipient",
}  # fmt: skip


def test_every_code_is_unique_and_a_lower_case_word() -> None:
    codes = [rule.code for rule in ALL]
    assert len(codes) == len(set(codes))
    assert all(code.replace("-", "").isalnum() and code == code.lower() for code in codes)


def test_there_are_rules_for_at_least_64_causes() -> None:
    assert len(ALL) >= 64


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_every_text_is_whole_sentences(rule) -> None:  # type: ignore[no-untyped-def]
    for text in (rule.title, rule.cause, rule.next_step, *(sentence for _, sentence in rule.notes)):
        assert text.endswith(".")
        assert not text[0].islower()
        assert "!" not in text
        assert "please" not in text.lower()
        assert "  " not in text
    assert rule.when
    assert "http" not in rule.help_page  # a name and an address to read, not to follow


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_texts_name_only_facts_that_exist(rule) -> None:  # type: ignore[no-untyped-def]
    always_known = {"host", "port", "username", "sender", "sender_domain", "recipient"}
    noted = {fact for fact, _ in rule.notes}
    asked = {fact for match in rule.when for fact in match.facts}
    for text in (rule.title, rule.cause, rule.next_step):
        named = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        certain = set.intersection(*({*match.facts} for match in rule.when))  # without them the rule does not hold
        assert named <= always_known | certain | ({"region", "host_region"} if "region_differs" in asked else set())
    for fact, sentence in rule.notes:
        assert {name for _, name, _, _ in string.Formatter().parse(sentence) if name} == {fact}
    assert noted <= FACTS


@pytest.mark.parametrize("sample", samples.SMTP, ids=lambda sample: f"{sample.rule}-{sample.reply[:9]}")
def test_a_reply_is_explained_by_its_own_rule(sample: Sample) -> None:
    failure = Failure(sample.stage, ErrorClass.HOST, "refused", sample.as_reply)
    context = Context(provider="smtp", **{"host": "mail.example.com", **sample.context})
    assert explain(failure, context=context).code == sample.rule


@pytest.mark.parametrize(("rule", "stage", "status", "message"), samples.HTTP)
def test_an_http_answer_is_explained_by_its_own_rule(rule: str, stage: Stage, status: int, message: str) -> None:
    failure = Failure(stage, ErrorClass.CONFIGURATION, "refused", Reply(status, message))
    assert explain(failure, context=Context(provider="sendgrid", host="api.sendgrid.com")).code == rule


@pytest.mark.parametrize(("rule", "stage", "reason"), samples.LOCAL)
def test_a_local_cause_is_explained_by_its_own_rule(rule: str, stage: Stage, reason: str) -> None:
    provider = "sendgrid" if rule in ("proxy-inspects-tls", "sendgrid-key-scope") else "smtp"
    failure = Failure(stage, ErrorClass.HOST, reason)
    assert explain(failure, context=Context(provider=provider, host="mail.example.com", port=587)).code == rule


def test_no_rule_is_unreachable() -> None:
    """Each rule is the winner of at least one sample; the tests above prove that it does win there."""
    won = {sample.rule for sample in samples.SMTP}
    won |= {row[0] for row in (*samples.HTTP, *samples.LINES, *samples.LOCAL)}
    with_tests_of_their_own = {"sendgrid-other-region", "outcome-unknown", "ip-version-fails"}
    assert {rule.code for rule in ALL} - won == with_tests_of_their_own


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule.service], ids=lambda rule: rule.code)
def test_a_rule_about_a_service_names_the_services_own_help_page(rule) -> None:  # type: ignore[no-untyped-def]
    name, _, address = rule.help_page.rpartition(", ")
    assert name
    assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+(/\S*)?", address)


# Every wording that could be any server's: at a host that is known to be another, no service may be named.
ANY_SERVERS_WORDS = (
    (Stage.LOGIN, "535 5.7.8 Authentication credentials invalid", "login-refused"),
    (Stage.LOGIN, "535 5.7.8 Username and Password not accepted.", "login-refused"),
    (Stage.LOGIN, "535 5.7.3 Authentication unsuccessful", "login-refused"),
    (Stage.LOGIN, "535 Authentication failed: Bad username / password", "login-refused"),
    (Stage.EHLO, "421 4.7.0 Try again later, closing connection.", "general-ehlo-4xx"),
    (Stage.SENDER, "550 5.4.5 Daily sending quota exceeded", "sending-limit"),
    (Stage.SENDER, "550 Unauthenticated senders not allowed", "sender-refused"),
    (Stage.SENDER, "550 5.7.60 Not allowed to send as this sender", "sender-refused"),
    (Stage.DATA, "554 Message rejected: Email address is not verified.", "general-data-5xx"),
    (Stage.DATA, "454 Maximum sending rate exceeded.", "sending-limit"),
    (Stage.DATA, "454 Daily message quota exceeded.", "sending-limit"),
)


@pytest.mark.parametrize(("stage", "reply", "rule"), ANY_SERVERS_WORDS)
def test_words_that_any_server_may_say_name_no_service_at_another_host(stage: Stage, reply: str, rule: str) -> None:
    sample = Sample(rule, stage, reply)
    context = Context(provider="smtp", host="mail.acme.example", secret_shape="iam-secret", preset="relay-login")
    told = explain(Failure(stage, ErrorClass.CONFIGURATION, "refused", sample.as_reply), context=context)
    assert told.code == rule


@pytest.mark.parametrize("sample", [one for one in samples.SMTP if "host" in one.context], ids=lambda one: one.reply)
def test_a_services_rule_wins_at_a_strange_host_only_with_the_services_own_words(sample: Sample) -> None:
    context = Context(provider="smtp", **{**sample.context, "host": "mail.acme.example"})
    told = explain(Failure(sample.stage, ErrorClass.HOST, "refused", sample.as_reply), context=context)
    rule = next((rule for rule in ALL if rule.code == told.code), None)
    if rule is not None and rule.service is not None:
        assert re.search(rule.service.signature, sample.reply, re.IGNORECASE)


@pytest.mark.parametrize(
    ("preset", "reply", "rule"),
    [
        ("ses", "535 Authentication Credentials Invalid", "ses-credentials"),
        ("gmail", "535 5.7.8 Username and Password not accepted.", "google-app-password"),
        ("microsoft365", "535 5.7.3 Authentication unsuccessful", "microsoft-login-refused"),
    ],
)
def test_a_preset_tells_the_service_behind_a_host_of_ones_own(preset: str, reply: str, rule: str) -> None:
    context = Context(provider="smtp", host="mail.acme.example", preset=preset)
    failure = Failure(Stage.LOGIN, ErrorClass.CONFIGURATION, "refused", Sample(rule, Stage.LOGIN, reply).as_reply)
    assert explain(failure, context=context).code == rule


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_every_rule_can_be_told_when_nothing_is_known(rule) -> None:  # type: ignore[no-untyped-def]
    told = tell(rule, {})
    texts = f"{told.title} {told.cause} {told.next_step}"
    assert "{" not in texts
    assert not re.search(r"\b(\w+) (?:this|the|your) \1\b", texts)  # "port this port"
