"""One failure, one explanation: facts in the sentences, and the fall to the class."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.diagnosis.explain import Context, context_of, explain
from emailcfg.diagnosis.facts import secret_shape
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage, Step
from emailcfg.schema import EmailConfig


def failed(stage: Stage, reply: Reply | None = None, *, reason: str = "", detail: str = "") -> Failure:
    return Failure(stage, ErrorClass.CONFIGURATION, reason, reply, detail)


def test_the_sentences_name_host_port_and_addresses() -> None:
    context = Context(provider="smtp", host="mail.example.com", port=2525)
    told = explain(failed(Stage.CONNECT, reason="connection_refused"), context=context)
    assert "port 2525" in told.title
    assert told.cause.startswith("mail.example.com refused")


def test_the_sentences_read_well_when_nothing_is_known() -> None:
    told = explain(failed(Stage.CONNECT, reason="connection_refused"), context=Context())
    assert told.cause.startswith("The server refused")
    assert "{" not in told.title + told.cause + told.next_step


def test_the_region_of_amazon_ses_is_read_from_text_and_host() -> None:
    text = (
        "Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: news@example.com, example.com"
    )
    context = Context(
        provider="smtp", host="email-smtp.eu-west-1.amazonaws.com", sender="news@example.com", recipient="b@example.org"
    )
    told = explain(failed(Stage.DATA, Reply(554, text)), context=context)
    assert told.code == "ses-identity-not-verified"
    assert told.facts["region"] == told.facts["host_region"] == "eu-west-1"
    assert "news@example.com" in told.cause


def test_a_user_name_that_is_no_access_key_is_named_where_amazon_refuses_the_login() -> None:
    host = "email-smtp.eu-west-1.amazonaws.com"
    reply = Reply(535, "Authentication Credentials Invalid")
    odd = explain(failed(Stage.LOGIN, reply), context=Context(provider="smtp", host=host, username="ana@acme.example"))
    right = explain(failed(Stage.LOGIN, reply), context=Context(provider="smtp", host=host, username="AKIA" + "A" * 16))
    assert "The user name ana@acme.example is no access key id, which begins with AKIA." in odd.cause
    assert "The host belongs to the region eu-west-1." in odd.cause
    assert "access key id, which" not in right.cause


def test_a_recipient_among_the_identities_gives_the_sandbox_away() -> None:
    reply = Reply(
        554,
        "Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: News <news@acme.example>, Bob@example.org",
    )
    context = Context(
        provider="smtp",
        host="email-smtp.eu-west-1.amazonaws.com",
        sender="news@acme.example",
        recipient="bob@example.org",
    )
    told = explain(failed(Stage.DATA, reply), context=context)
    assert told.code == "ses-identity-not-verified"
    assert "The recipient bob@example.org failed too, so the account is in the sandbox." in told.cause


def test_a_key_the_other_region_accepts_is_said_to_belong_there() -> None:
    reply = Reply(401, "The provided authorization grant is invalid, expired, or revoked")
    context = Context(provider="sendgrid", host="api.sendgrid.com", learnt={"other_region_accepts": "eu"})
    assert explain(failed(Stage.KEY, reply), context=context).code == "sendgrid-other-region"


def test_an_expired_certificate_names_its_day_and_our_clock() -> None:
    context = Context(
        provider="smtp",
        host="mail.example.com",
        learnt={"certificate": {"not_after": "2026-01-31T12:00:00+00:00", "names": ["mail.example.com"]}},
        now=datetime(2026, 11, 23, 6, 0, tzinfo=UTC),
    )
    told = explain(failed(Stage.TLS, reason="certificate_expired"), context=context)
    assert "valid until 2026-01-31 12:00 UTC." in told.cause
    assert "2026-11-23 06:00 UTC" in told.cause


def test_a_certificate_for_another_name_says_which_names_it_holds() -> None:
    context = Context(
        provider="smtp", host="10.0.0.5", learnt={"certificate": {"names": ["mx.example.com", "example.com"]}}
    )
    told = explain(failed(Stage.TLS, reason="", detail="certificate is not valid for '10.0.0.5'"), context=context)
    assert told.code == "certificate-wrong-name"
    assert "mx.example.com, example.com" in told.cause


def test_the_refused_address_is_named_also_in_the_form_in_which_google_writes_it() -> None:
    text = "5.7.1 [2001:db8::25      12] Our system has detected that it does not meet IPv6 sending guidelines"
    told = explain(failed(Stage.DATA, Reply(550, text, "5.7.1")), context=Context(provider="smtp", host="x.example"))
    assert told.code == "address-without-name"
    assert "The server sees this machine as 2001:db8::25." in told.cause


def test_braces_in_a_servers_words_stay_as_they_are() -> None:
    told = explain(failed(Stage.DATA, Reply(550, "no {host} {0} %s")), context=Context(sender="{x}@example.com"))
    assert told.words == "550 no {host} {0} %s"


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(("code", "ending"), [(477, "4xx"), (577, "5xx"), (299, "other")])
def test_a_reply_nobody_knows_falls_to_the_class_of_its_step(stage: Stage, code: int, ending: str) -> None:
    told = explain(failed(stage, Reply(code, "xyzzy")), context=Context(provider="smtp", host="mail.example.com"))
    assert told.code == f"general-{stage}-{ending}"
    assert told.words == f"{code} xyzzy"
    assert str(code) in told.cause
    assert told.next_step.endswith(".")


@pytest.mark.parametrize("stage", Stage)
def test_a_local_cause_nobody_knows_shows_its_raw_words(stage: Stage) -> None:
    told = explain(failed(stage, reason="something_new", detail="OSError: xyzzy"), context=Context(provider="smtp"))
    assert told.code == f"general-{stage}"
    assert told.words == "OSError: xyzzy"


@pytest.mark.parametrize(("status", "ending"), [(418, "http-4xx"), (302, "http-other")])
def test_an_http_status_nobody_knows_falls_to_the_class_of_http(status: int, ending: str) -> None:
    told = explain(failed(Stage.DATA, Reply(status, "")), context=Context(provider="sendgrid"))
    assert told.code == f"general-data-{ending}"


@given(
    st.sampled_from(Stage),
    st.none() | st.builds(Reply, st.integers(0, 999), st.text(max_size=200), st.sampled_from(["", "5.7.1", "4.2.0"])),
    st.text(max_size=40),
    st.text(max_size=200),
    st.sampled_from(["", "smtp", "sendgrid"]),
)
def test_every_failure_gets_whole_sentences(
    stage: Stage, reply: Reply | None, reason: str, detail: str, provider: str
) -> None:
    told = explain(failed(stage, reply, reason=reason, detail=detail), context=Context(provider=provider))
    assert told.title.endswith(".")
    assert told.cause.endswith(".")
    assert told.next_step.endswith(".")


@pytest.mark.parametrize(
    ("secret", "shape"),
    [
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "iam-secret"),
        ("BMXhUYlu5Z3gSXVQORxlVa7XPaz91aGWdfHxvkOZdWZ2", ""),  # the 44 characters of an SES SMTP password
        ("abcd efgh ijkl mnop", "app-password"),
        ("abcdefghijklmnop", "app-password"),
        ("hunter2", ""),
        ("pass“word", "not-ascii:5"),
        ("", ""),
    ],
)
def test_the_shape_of_a_secret_is_a_word_that_gives_nothing_away(secret: str, shape: str) -> None:
    assert secret_shape(secret) == shape


def test_the_context_of_a_configuration_holds_the_form_of_its_secret_and_never_the_secret() -> None:
    config = EmailConfig.model_validate(
        {
            "general": {"sender_email": "news@example.com"},
            "delivery": {"selected": "smtp"},
            "smtp": {"host": "smtp.gmail.com", "username": "ana@gmail.com", "password": "abcd efgh ijkl mnop"},
        }
    )
    steps = [Step(Stage.EHLO, True, 1.0, "", {"auth": ["PLAIN"], "ehlo_name": "app.example.com"})]
    context = context_of(config, recipient="bob@example.org", steps=steps)
    assert "efgh" not in repr(context)
    assert (context.secret_shape, context.ehlo_name, context.sender) == (
        "app-password",
        "app.example.com",
        "news@example.com",
    )
    told = explain(failed(Stage.LOGIN, Reply(535, "5.7.8 Username and Password not accepted")), context=context)
    assert told.code == "google-app-password-refused"
    assert "ana@gmail.com" in told.cause


def test_the_context_of_sendgrid_names_the_host_of_its_region() -> None:
    config = EmailConfig.model_validate(
        {
            "general": {"sender_email": "news@example.com"},
            "delivery": {"selected": "sendgrid"},
            "sendgrid": {"api_key": "SG." + "a" * 22 + "." + "b" * 43, "region": "eu"},
        }
    )
    assert context_of(config).host == "api.eu.sendgrid.com"
    assert "SG." not in repr(context_of(config))
