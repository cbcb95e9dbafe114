"""The 64 ways in which mail is known to fail: each is told by a rule of its own name, in the words that servers,
libraries and services really use. A failure of a session is matched with its stage; a text out of a log without.

Each reply comes from a real socket that answers exactly so; what is no reply is acted out in `test_over_sockets`."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from emailcfg.diagnosis.explain import Context, explain, learnt_from
from emailcfg.diagnosis.pasted import explain_text
from emailcfg.diagnosis.rules import ALL
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage
from emailcfg.providers.smtp import SmtpSession
from tests.emailcfg.diagnosis import test_over_sockets
from tests.emailcfg.diagnosis.samples import GMAIL, GOOGLE_RELAY, OFFICE, SENDGRID, SES, Sample
from tests.emailcfg.diagnosis.test_over_sockets import ANY, failure_of, refused_by, smtp
from tests.servers.scripted import ScriptedSmtp
from tests.servers.sendgrid import SendGridServer

G, E, L, S, R = Stage.GREETING, Stage.EHLO, Stage.LOGIN, Stage.SENDER, Stage.RECIPIENT
D, K, T, C, A = Stage.DATA, Stage.KEY, Stage.TLS, Stage.CONNECT, Stage.ACCEPTED
API = "api.sendgrid.com"

# Row, rule, stage, what the server says there, and what the configuration says.
REPLIES: tuple[tuple[int, str, Stage, str, dict[str, Any]], ...] = (
    (8, "address-blocked", G, "554 No service for your address", {}),
    (10, "too-many-connections", G, "421 4.3.2 maximum number of concurrent connections", {}),
    (13, "starttls-required", S, "530 5.7.0 Must issue a STARTTLS command first", {}),
    (13, "starttls-required", S, "421 4.7.0 Must issue a STARTTLS command first", {}),
    (19, "google-ehlo-name", E, "421 4.7.0 Try again later, closing connection. (EHLO)", {"host": GOOGLE_RELAY}),
    (20, "ehlo-name-refused", R, "504 5.5.2 Helo command rejected: need fully-qualified hostname", {}),
    (21, "google-app-password", L, "535 5.7.8 Username and Password not accepted gsmtp", {"host": GMAIL}),
    (22, "google-app-password-required", L, "534 5.7.9 Application-specific password required", {"host": GMAIL}),
    (23, "google-sign-in-blocked", L, "534 5.7.14 Please log in via your web browser", {"host": GMAIL}),
    (24, "too-many-logins", L, "454 4.7.0 Cannot authenticate", {}),
    (24, "too-many-logins", L, "454 4.7.0 too many login attempts", {}),
    (25, "no-password-sent", S, "530 5.7.0 Authentication required", {}),
    (26, "login-not-offered", L, "503 AUTH command used when not advertised", {}),
    (27, "login-method-not-shared", L, "504 5.5.4 Unrecognized authentication type", {}),
    (28, "password-not-ascii", L, "535 5.7.8 Error", {"secret_shape": "not-ascii:3"}),
    (
        29,
        "microsoft-tenant-smtp-auth-off",
        L,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
        {"host": OFFICE},
    ),
    (30, "microsoft-security-defaults", L, "535 5.7.139 locked by security defaults policy", {"host": OFFICE}),
    (31, "microsoft-mailbox-smtp-auth-off", L, "535 5.7.139 did not meet the criteria", {"host": OFFICE}),
    (32, "microsoft-login-refused", L, "535 5.7.3 Authentication unsuccessful", {"host": OFFICE}),
    (
        33,
        "microsoft-basic-auth-retired",
        L,
        "550 5.7.30 Basic authentication is not supported for Client Submission",
        {"host": OFFICE},
    ),
    (34, "microsoft-not-logged-in", S, "530 5.7.57 Client not authenticated to send mail", {"host": OFFICE}),
    (35, "ses-credentials", L, "535 Authentication Credentials Invalid", {"host": SES}),
    (
        35,
        "ses-raw-iam-secret",
        L,
        "535 Authentication Credentials Invalid",
        {"host": SES, "secret_shape": "iam-secret"},
    ),
    (36, "sendgrid-smtp-user", L, "535 Authentication failed: Bad username / password", {"host": SENDGRID}),
    (37, "sender-not-owned", R, "553 5.7.1 Sender address rejected: not owned by user", {}),
    (37, "sender-not-owned", R, "553 5.7.1 Sender address rejected: not logged in", {}),
    (38, "microsoft-send-as-denied", D, "554 5.2.252 SendAsDenied", {"host": OFFICE}),
    (
        39,
        "ses-identity-not-verified",
        D,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-CENTRAL-1: news@example.com",
        {"host": SES, "sender": "news@example.com", "recipient": "bob@example.org"},
    ),
    (
        39,
        "ses-sandbox",
        D,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-CENTRAL-1: bob@example.org",
        {"host": SES, "sender": "news@example.com", "recipient": "bob@example.org"},
    ),
    (40, "ses-permission", D, "554 Access denied: not authorized to perform ses:SendRawEmail", {"host": SES}),
    (41, "google-relay-unknown-sender", S, "550 5.7.1 Invalid credentials for relay", {"host": GOOGLE_RELAY}),
    (42, "google-relay-domain", S, "550 5.7.1 Mail relay denied: domain not registered", {"host": GOOGLE_RELAY}),
    (43, "relay-denied", R, "554 5.7.1 Relay access denied", {}),
    (
        44,
        "exchange-anonymous-sender",
        S,
        "550 5.7.1 Anonymous client does not have permission to send as this sender",
        {},
    ),
    (44, "relay-denied", R, "550 5.7.1 Unable to relay", {}),
    (45, "sendgrid-unauthenticated", S, "550 Unauthenticated senders not allowed", {"host": SENDGRID}),
    (46, "sender-malformed", S, "501 5.1.7 Bad sender address syntax", {}),
    (46, "sender-malformed", S, "553 Invalid from address", {}),
    (47, "address-needs-smtputf8", R, "553 5.6.7 SMTPUTF8 is needed", {}),
    (48, "google-daily-limit", D, "550 5.4.5 Daily user sending limit exceeded", {"host": GMAIL}),
    (49, "google-relay-daily-limit", S, "550 5.4.5 Daily SMTP relay limit exceeded for user", {"host": GOOGLE_RELAY}),
    (
        49,
        "google-relay-daily-limit",
        S,
        "550 5.7.1 Daily SMTP relay limit exceeded for customer",
        {"host": GOOGLE_RELAY},
    ),
    (49, "google-relay-peak-limit", S, "450 4.2.1 Peak SMTP relay limit", {"host": GOOGLE_RELAY}),
    (50, "ses-rate-limit", D, "454 Throttling failure: Maximum sending rate exceeded", {"host": SES}),
    (50, "ses-daily-quota", D, "454 Throttling failure: Daily message quota exceeded", {"host": SES}),
    (51, "microsoft-daily-recipients", D, "554 5.2.0 SubmissionQuotaExceededException", {"host": OFFICE}),
    (52, "microsoft-tenant-blocked", D, "550 5.7.705 tenant has exceeded threshold", {"host": OFFICE}),
    (53, "too-many-recipients", R, "452 4.5.3 too many recipients", {}),
    (54, "greylisted", R, "450 4.7.1 Greylisted", {}),
    (54, "greylisted", R, "451 4.7.1 Greylisted", {}),
    (55, "recipient-unknown", R, "550 5.1.1 user unknown", {}),
    (55, "mailbox-full", R, "452 4.2.2 over quota", {}),
    (56, "sender-not-authenticated", D, "550 5.7.26 unauthenticated mail", {}),
)
HTTP: tuple[tuple[int, str, Stage, str], ...] = (
    (59, "sendgrid-key", K, "401 authorization grant is invalid, expired, or revoked"),
    (60, "sendgrid-key-scope", D, "401 Authenticated user is not authorized to send mail"),
    (61, "sendgrid-credits", D, "401 Maximum credits exceeded"),
    (62, "sendgrid-sender-identity", D, "403 from address does not match a verified Sender Identity"),
    (63, "sent-not-delivered", A, "202 "),
    (64, "sendgrid-rate-limit", D, "429 too many requests"),
    (64, "sendgrid-outage", D, "503 Service Unavailable"),
)
# Known by the step or the settings around the words, which the line alone does not tell.
SURROUNDINGS = {
    "ses-sandbox",
    "ses-raw-iam-secret",
    "password-not-ascii",
    "address-blocked",
    "sender-malformed",
    "google-ehlo-name",
    "sendgrid-unauthenticated",
}
# What never reaches a reply: the reason that a session gives.
LOCAL: tuple[tuple[int, str, Stage, str, str], ...] = (
    (1, "host-not-found", Stage.RESOLVE, "name_not_found", "smtp"),
    (2, "connection-refused", C, "connection_refused", "smtp"),
    (3, "connect-timeout", C, "timed_out", "smtp"),
    (4, "network-unreachable", C, "unreachable", "smtp"),
    (5, "plain-on-tls-port", G, "timed_out", "smtp"),
    (9, "closed-before-greeting", G, "connection_lost", "smtp"),
    (11, "smtp-tls-on-plain-port", T, "not_tls", "smtp"),
    (12, "starttls-not-offered", T, "starttls_not_offered", "smtp"),
    (14, "certificate-self-signed", T, "certificate_self_signed", "smtp"),
    (15, "certificate-issuer-unknown", T, "certificate_unknown_issuer", "smtp"),
    (16, "certificate-wrong-name", T, "certificate_wrong_name", "smtp"),
    (17, "certificate-expired", T, "certificate_expired", "smtp"),
    (18, "tls-too-old", T, "tls_too_old", "smtp"),
    (26, "login-not-offered", L, "auth_not_offered", "smtp"),
    (47, "address-needs-smtputf8", R, "smtputf8_needed", "smtp"),
    (60, "sendgrid-key-scope", K, "scope_missing", "sendgrid"),
    (64, "proxy-inspects-tls", T, "certificate_unknown_issuer", "sendgrid"),
)
# The same as programs write it into their logs.
PASTED: tuple[tuple[int, str, str], ...] = (
    (1, "host-not-found", "gaierror -2 Name or service not known"),
    (2, "connection-refused", "ConnectionRefusedError 111"),
    (3, "connect-timeout", "smtp.example.com:587: connection timed out"),
    (4, "network-unreachable", "OSError: Network is unreachable"),
    (5, "plain-on-tls-port", "Connection unexpectedly closed: timed out"),
    (6, "mailbox-port", "SMTPConnectError (-1, 'Dovecot ready.')"),
    (6, "mailbox-port", "* OK [CAPABILITY IMAP4rev1] ready"),
    (7, "web-server-answered", "SMTPConnectError (-1, '/1.1 400 Bad Request')"),
    (11, "smtp-tls-on-plain-port", "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    (12, "starttls-not-offered", "STARTTLS extension not supported by server"),
    (14, "certificate-self-signed", "certificate verify failed: self-signed certificate"),
    (15, "certificate-issuer-unknown", "certificate verify failed: unable to get local issuer certificate"),
    (16, "certificate-wrong-name", "Hostname mismatch, certificate is not valid for 'x'"),
    (17, "certificate-expired", "certificate verify failed: certificate has expired"),
    (18, "tls-too-old", "[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol"),
    (18, "tls-too-old", "no shared cipher"),
    (26, "login-not-offered", "SMTP AUTH extension not supported by server"),
    (27, "login-method-not-shared", "No suitable authentication method found"),
    (28, "password-not-ascii", "login: UnicodeEncodeError: 'ascii' codec can't encode character in AUTH"),
    (38, "microsoft-send-as-denied", "ErrorSendAsDenied"),
    (42, "google-relay-domain", "relay denied: domain not registered gsmtp"),
    (57, "outcome-unknown", "timeout after end of data"),
    (58, "closed-after-accept", "lost connection while sending QUIT"),
    (63, "sendgrid-dropped", '{"event":"dropped","reason":"Bounced Address"}'),
)


# Rows that are no reply: by which tests of `test_over_sockets` a real server, or the machine, behaves so.
ACTED_OUT: dict[int, str] = {
    1: "test_a_name_without_an_address",
    2: "test_a_closed_port",
    3: "test_a_port_that_drops_packets",
    4: "test_ipv6_that_fails_where_ipv4_works_is_told_and_mail_leaves",
    5: "test_plain_words_to_a_port_that_waits_for_tls",
    6: "test_what_answers_is_no_mail_server",
    7: "test_what_answers_is_no_mail_server",
    9: "test_what_answers_is_no_mail_server",
    11: "test_tls_from_the_start_on_a_plain_port",
    12: "test_a_server_without_starttls",
    14: "test_certificates_that_vouch_for_nothing",
    15: "test_certificates_that_vouch_for_nothing",
    16: "test_a_certificate_for_another_name_names_those_it_is_for",
    17: "test_certificates_out_of_their_time_name_the_day",
    18: "test_a_server_with_unsafe_ciphers_only",
    57: "test_no_readable_answer_after_the_dot_leaves_the_outcome_unknown",
    58: "test_a_connection_that_breaks_at_quit_takes_nothing_back",
    63: "test_what_sendgrid_takes_is_accepted_and_not_called_delivered",
}


def test_every_row_comes_from_a_real_socket() -> None:
    answered = {row[0] for row in REPLIES} | {row[0] for row in HTTP if not row[3].startswith("202")}
    assert answered | set(ACTED_OUT) == set(range(1, 65))
    assert not answered & set(ACTED_OUT)
    assert all(callable(getattr(test_over_sockets, name)) for name in ACTED_OUT.values())


def test_every_row_has_a_rule() -> None:
    rows = [*REPLIES, *HTTP, *LOCAL, *PASTED]
    assert {row[0] for row in rows} == set(range(1, 65))
    assert {row[1] for row in rows} <= {rule.code for rule in ALL}


@pytest.mark.parametrize(("row", "rule", "stage", "reply", "context"), REPLIES)
def test_a_reply(
    row: int, rule: str, stage: Stage, reply: str, context: dict[str, Any], scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    server = scripted_smtp({Sample(rule, stage, reply).key: reply}, keywords=["AUTH PLAIN"])
    login = {"username": "ana", "password": SecretStr("hunter2-secret")} if stage is L else {}
    failure, steps = failure_of(SmtpSession(smtp(server.port, **login), policy=ANY))
    given = {"host": "mail.example.com", **context}
    told = explain(failure, context=Context(provider="smtp", learnt=learnt_from(steps), **given))
    assert told.code == rule
    assert (failure.stage, told.words) == (A if stage is D else stage, reply)


@pytest.mark.parametrize(
    ("row", "rule", "reply"),
    [(row, rule, reply) for row, rule, _, reply, context in REPLIES if rule not in SURROUNDINGS],
)
def test_the_same_reply_pasted_is_told_by_its_rule_among_the_first_two(row: int, rule: str, reply: str) -> None:
    assert rule in [told.code for told in explain_text(reply)][:2]


@pytest.mark.parametrize(("row", "rule", "stage", "answer"), HTTP)
def test_an_answer_of_the_api(row: int, rule: str, stage: Stage, answer: str, sendgrid_server: SendGridServer) -> None:
    code, _, text = answer.partition(" ")
    failure = Failure(stage, ErrorClass.HOST, "refused", Reply(int(code), text))
    if int(code) != 202:
        failure = refused_by(sendgrid_server, stage, int(code), text)
    assert explain(failure, context=Context(provider="sendgrid", host=API)).code == rule


@pytest.mark.parametrize(("row", "rule", "stage", "reason", "provider"), LOCAL)
def test_a_cause_of_our_own(row: int, rule: str, stage: Stage, reason: str, provider: str) -> None:
    context = Context(provider=provider, host="mail.example.com", port=587)
    assert explain(Failure(stage, ErrorClass.HOST, reason), context=context).code == rule


@pytest.mark.parametrize(("row", "rule", "text"), PASTED)
def test_a_line_of_a_log(row: int, rule: str, text: str) -> None:
    assert explain_text(text)[0].code == rule
