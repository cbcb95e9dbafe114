"""Any text from a log, explained: the formats of several programs, junk around them, and no text that breaks it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailcfg.diagnosis.explain import Context
from emailcfg.diagnosis.pasted import LIMIT, explain_text
from tests.emailcfg.diagnosis import samples

PASTED = [
    # smtplib
    (
        "google-app-password",
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted. For more information, "
        "go to\\n5.7.8  https://support.google.com/mail/?p=BadCredentials a640c23a62f3a-ad - gsmtp')",
    ),
    ("host-not-found", "socket.gaierror: [Errno -2] Name or service not known"),
    ("connection-refused", "ConnectionRefusedError: [Errno 111] Connection refused"),
    ("smtp-tls-on-plain-port", "ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1007)"),
    ("starttls-not-offered", "smtplib.SMTPNotSupportedError: STARTTLS extension not supported by server."),
    ("plain-on-tls-port", "smtplib.SMTPServerDisconnected: Connection unexpectedly closed: timed out"),
    ("password-not-ascii", "AUTH: UnicodeEncodeError: 'ascii' codec can't encode character '\\u201c' in position 3"),
    (
        "relay-denied",
        "smtplib.SMTPRecipientsRefused: {'bob@example.org': (554, b'5.7.1 <bob@example.org>: Relay access denied')}",
    ),
    # Postfix
    (
        "relay-denied",
        "Nov 23 06:12:01 mx postfix/smtp[811]: 4ABC: to=<bob@example.org>, relay=mx.example.org[203.0.113.9]:25, "
        "delay=1, dsn=5.7.1, status=bounced (host mx.example.org[203.0.113.9] said: 554 5.7.1 <bob@example.org>: "
        "Relay access denied (in reply to RCPT TO command))",
    ),
    (
        "connect-timeout",
        "Nov 23 06:12:01 mx postfix/smtp[811]: connect to mx.example.org[203.0.113.9]:25: Connection timed out",
    ),
    # Exim
    (
        "recipient-unknown",
        "2026-11-23 06:12:01 1xYz ** bob@example.org R=dnslookup T=remote_smtp H=mx.example.org [203.0.113.9]: SMTP "
        "error from remote mail server after RCPT TO:<bob@example.org>: 550 5.1.1 <bob@example.org>: User unknown",
    ),
    ("greylisted", "H=mx.example.org [203.0.113.9]: SMTP error from remote mail server after RCPT TO: 451 Greylisted"),
    # Nodemailer
    (
        "microsoft-tenant-smtp-auth-off",
        "Error: Invalid login: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
        "Tenant.\n    at SMTPConnection._formatError\n  code: 'EAUTH',\n  responseCode: 535,\n  command: 'AUTH LOGIN'",
    ),
    ("connection-refused", "Error: connect ECONNREFUSED 127.0.0.1:587"),
    ("host-not-found", "Error: getaddrinfo ENOTFOUND smtp.exmaple.com"),
    ("certificate-self-signed", "Error: self-signed certificate in certificate chain\n  code: 'ESOCKET'"),
    # SendGrid
    (
        "sendgrid-key",
        'HTTP Error 401: Unauthorized\n{"errors":[{"message":"The provided authorization grant is invalid, expired, or '
        'revoked","field":null,"help":null}]}',
    ),
    ("sendgrid-credits", '{"errors":[{"message":"Maximum credits exceeded","field":null,"help":null}]}'),
    # a raw dialogue with a multi-line reply
    (
        "google-app-password-required",
        "S: 220 smtp.gmail.com ESMTP\nC: AUTH PLAIN\nS: 534-5.7.9 Application-specific password required. For more\n"
        "S: 534 5.7.9  information - gsmtp\n",
    ),
    ("ses-credentials", "  \x1b[31m535 Authentication Credentials Invalid\x1b[0m  "),
    ("sendgrid-dropped", samples.LINES[0][1]),
]


@pytest.mark.parametrize(("rule", "text"), [*PASTED, *samples.LINES])
def test_the_first_answer_is_the_rule_of_the_text(rule: str, text: str) -> None:
    found = explain_text(text)
    assert found[0].code == rule
    assert found[0].why.startswith("Recognised by")


@pytest.mark.parametrize("sample", samples.SMTP, ids=lambda sample: f"{sample.rule}-{sample.reply[:9]}")
def test_every_servers_reply_is_recognised_without_its_step_when_its_words_are_telling(sample: samples.Sample) -> None:
    """What depends on the configuration or on the step alone can't be told from the words; something true can."""
    found = explain_text(f"2026-11-23T06:12:01Z mailer[12]: error: {sample.reply}", context=Context(**sample.context))
    assert found
    assert all(told.words for told in found)


def test_a_long_log_gives_several_answers_the_surest_first() -> None:
    log = "\n".join(f"line {number}: nothing to see" for number in range(500))
    log += "\n450 4.2.0 Greylisted, see postgrey\n535 5.7.8 Username and Password not accepted - gsmtp\n"
    codes = [told.code for told in explain_text(log)]
    assert {"greylisted", "google-app-password"} <= set(codes)
    assert len(codes) <= 5


def test_an_unknown_code_falls_to_its_class_and_shows_its_line() -> None:
    (told,) = explain_text("559 xyzzy")
    assert told.code == "general-reply-5xx"
    assert told.words == "559 xyzzy"


@pytest.mark.parametrize("text", ["", "   ", "hello world", "it is 12:45 on port 587", "\x00\xff"])
def test_a_text_without_an_error_gets_no_answer(text: str) -> None:
    assert explain_text(text) == []


@given(st.text(max_size=500) | st.text("45.0 -\\n\r\n{}'\"b()<>@:x", max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    assert len(explain_text(text)) <= 5


def test_only_the_first_part_of_a_huge_text_is_read() -> None:
    assert explain_text("x" * LIMIT + "\n535 5.7.8 Username and Password not accepted") == []


@pytest.mark.parametrize(
    "text",
    [
        "account relay message limit exceeded domain exceeds sender " * 1200,
        "a." * 30_000 + "gmail.com",
        "\n".join(f"{number}: x 550 5.7.1 relay domain host account" for number in range(2000)),
        "5" * LIMIT,
    ],
    ids=["words", "dots", "lines", "digits"],
)
def test_a_hostile_text_is_read_in_pieces_and_does_not_hold_the_page(text: str) -> None:
    """Took minutes before lines were cut and counted; now each takes well under a second."""
    assert len(explain_text(text)) <= 5


def test_an_error_late_in_a_long_line_is_found() -> None:
    found = explain_text("junk " * 1000 + "smtplib: 534 5.7.9 Application-specific password required")
    assert found[0].code == "google-app-password-required"


def test_an_address_in_a_log_is_not_taken_for_ours() -> None:
    told = explain_text("to=<b@example.org>, relay=mx[203.0.113.9]:25, said: 554 5.7.1 Relay access denied")[0]
    assert told.code == "relay-denied"
    assert "203.0.113.9" not in told.cause
