"""What a refusal is about: from stage, code, enhanced code and text to an error class and a reason.

Pure data and one function. Rules are tried in order and the first that fits decides; where none fits, the
stage and the first digit of the code do. Codes come before words, for providers change their words."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage


class Verdict(NamedTuple):
    error_class: ErrorClass
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Fits when every part that is given fits. `enhanced` is a prefix ("5.7.57", "4.7."), `text` a pattern
    searched in the reply without regard to case."""

    error_class: ErrorClass
    reason: str
    stages: frozenset[Stage]
    codes: frozenset[int] | range | None = None
    enhanced: str = ""
    text: re.Pattern[str] | None = None

    def fits(self, stage: Stage, code: int, enhanced: str, text: str) -> bool:
        return (
            stage in self.stages
            and (self.codes is None or code in self.codes)
            and enhanced.startswith(self.enhanced)
            and (self.text is None or self.text.search(text) is not None)
        )


LOGIN = frozenset({Stage.LOGIN})
SENDER = frozenset({Stage.SENDER})
RECIPIENT = frozenset({Stage.RECIPIENT})
ENVELOPE = frozenset({Stage.SENDER, Stage.RECIPIENT})
MAIL = frozenset({Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ACCEPTED})
DIALOGUE = MAIL | LOGIN
SOFT, HARD = range(400, 500), range(500, 600)

_CONFIGURATION, _SENDER, _RATE, _HOST = (
    ErrorClass.CONFIGURATION,
    ErrorClass.SENDER,
    ErrorClass.RATE,
    ErrorClass.HOST,
)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


RULES: tuple[Rule, ...] = (
    # The connection as a whole. A 421 4.7.x is a limit on us; any other 421 is the server going away. At EHLO it is
    # too: Google says 421 4.7.0 there of a name it does not like.
    Rule(_RATE, "rate_limited", DIALOGUE | {Stage.GREETING}, _codes(421), "4.7."),
    Rule(_HOST, "service_closing", frozenset(Stage), _codes(421)),
    # Limits of the account: Gmail, Workspace relay, SES, Microsoft 365.
    Rule(_RATE, "login_limited", LOGIN, _codes(432, 454)),
    Rule(_RATE, "too_many_connections", DIALOGUE, _codes(432)),
    Rule(_RATE, "rate_limited", MAIL, SOFT, "", _any(r"peak smtp relay limit")),
    Rule(_RATE, "quota_exceeded", MAIL, None, "5.4.5"),
    Rule(_RATE, "quota_exceeded", MAIL, None, "", _any(r"daily (message |user )?(sending )?(quota|limit)")),
    Rule(_RATE, "quota_exceeded", MAIL, None, "", _any(r"SubmissionQuotaExceeded", r"relay limit exceeded")),
    Rule(_RATE, "rate_limited", MAIL, None, "", _any(r"throttling failure", r"maximum sending rate")),
    Rule(_RATE, "tenant_blocked", MAIL, HARD, "5.7.705"),
    Rule(_RATE, "tenant_blocked", MAIL, HARD, "5.7.708"),
    # Encryption and login, whenever the server thinks of asking for them.
    Rule(
        _CONFIGURATION, "encryption_required", frozenset(Stage) - {Stage.GREETING}, _codes(530), "", _any(r"STARTTLS")
    ),
    Rule(_CONFIGURATION, "encryption_required", DIALOGUE, _codes(538)),
    # 5.7.30 is Microsoft's word for a retired login, and Google's for a mail without DKIM.
    Rule(_CONFIGURATION, "basic_auth_retired", LOGIN | SENDER, HARD, "5.7.30"),
    Rule(_CONFIGURATION, "basic_auth_retired", DIALOGUE, HARD, "5.7.30", _any(r"basic auth")),
    Rule(_CONFIGURATION, "auth_not_accepted", LOGIN, _codes(500, 502, 503, 504)),
    Rule(_CONFIGURATION, "login_refused", LOGIN, HARD),
    Rule(_CONFIGURATION, "auth_required", MAIL, _codes(530)),
    Rule(_CONFIGURATION, "login_refused", MAIL, _codes(534, 535)),
    Rule(_CONFIGURATION, "auth_required", MAIL, HARD, "5.7.57"),
    Rule(_CONFIGURATION, "auth_required", MAIL, HARD, "", _any(r"unauthenticated senders not allowed")),
    Rule(_CONFIGURATION, "auth_required", MAIL, _codes(503), "", _any(r"\bauth", r"\blog ?in\b")),
    # The server does not relay for us.
    Rule(
        _CONFIGURATION,
        "relay_denied",
        MAIL,
        HARD,
        "",
        _any(
            r"invalid credentials for relay",
            r"relay(ing)? (access )?(is )?(denied|not (permitted|allowed))",
            r"(unable|not (permitted|allowed)) to relay",
            r"do(es)? not relay",
        ),
    ),
    Rule(
        _CONFIGURATION, "not_permitted", MAIL, HARD, "", _any(r"access denied.*ses:Send", r"not authorized to perform")
    ),
    # Our address has no name in DNS (RFC 7372), or breaks Gmail's rules for IPv6: every mail would be refused so.
    Rule(_CONFIGURATION, "address_without_name", MAIL, HARD, "5.7.25"),
    Rule(_CONFIGURATION, "address_without_name", MAIL, HARD, "", _any(r"ipv6 sending guidelines")),
    # The sender address, at whatever stage the server looks at it.
    Rule(_SENDER, "sender_not_authenticated", MAIL, HARD, "5.7.26"),
    Rule(_SENDER, "sender_not_authenticated", MAIL, HARD, "5.7.30"),
    Rule(_SENDER, "sender_not_verified", MAIL, HARD, "", _any(r"(address|domain|identity) is not verified")),
    Rule(_SENDER, "sender_not_allowed", MAIL, HARD, "5.7.60"),
    Rule(_SENDER, "sender_not_allowed", MAIL, HARD, "5.2.252"),
    Rule(
        _SENDER,
        "sender_not_allowed",
        MAIL,
        HARD,
        "",
        _any(r"SendAsDenied", r"not owned by user", r"permission to send as", r"not logged in"),
    ),
    Rule(_SENDER, "sender_refused", MAIL, HARD, "5.1.7"),
    Rule(_SENDER, "sender_refused", MAIL, HARD, "5.1.8"),
    Rule(_SENDER, "sender_refused", MAIL, HARD, "", _any(r"sender (address )?(rejected|refused)")),
    # MAIL FROM: what is about the message or the server's state rather than the sender.
    Rule(ErrorClass.MESSAGE_HARD, "too_big", SENDER, _codes(552)),
    Rule(ErrorClass.MESSAGE_HARD, "too_big", MAIL, HARD, "5.3.4"),
    Rule(ErrorClass.DEFECT, "command_refused", SENDER, _codes(500, 502, 503)),
    Rule(_SENDER, "sender_refused", SENDER, HARD),
    Rule(_HOST, "server_full", SENDER, _codes(452), "4.3.1"),
    # Recipients. RFC 5321 4.5.3.1.10 wants an old server's 552 for "too many recipients" read as 452.
    Rule(ErrorClass.RECIPIENT_SOFT, "too_many_recipients", RECIPIENT, _codes(452), "4.5.3"),
    Rule(ErrorClass.RECIPIENT_SOFT, "too_many_recipients", RECIPIENT, _codes(452, 552), "", _any(r"too many recip")),
    Rule(ErrorClass.RECIPIENT_SOFT, "mailbox_full", RECIPIENT, SOFT, "4.2.2"),
    Rule(ErrorClass.RECIPIENT_SOFT, "greylisted", RECIPIENT, SOFT, "", _any(r"gr[ae]y.?list")),
    Rule(ErrorClass.RECIPIENT_SOFT, "recipient_deferred", RECIPIENT, SOFT),
    Rule(ErrorClass.RECIPIENT_HARD, "recipient_unknown", RECIPIENT, HARD, "5.1.1"),
    Rule(ErrorClass.RECIPIENT_HARD, "recipient_refused", RECIPIENT, HARD),
    # The message.
    Rule(ErrorClass.MESSAGE_HARD, "too_big", frozenset({Stage.DATA, Stage.ACCEPTED}), _codes(552)),
    Rule(ErrorClass.MESSAGE_SOFT, "message_deferred", MAIL, SOFT),
    Rule(ErrorClass.MESSAGE_HARD, "message_refused", MAIL, HARD),
    # Before any mail.
    Rule(_HOST, "greeting_deferred", frozenset({Stage.GREETING}), SOFT),
    Rule(_HOST, "greeting_refused", frozenset({Stage.GREETING}), HARD),
    Rule(_HOST, "ehlo_deferred", frozenset({Stage.EHLO}), SOFT),
    Rule(_CONFIGURATION, "ehlo_refused", frozenset({Stage.EHLO}), HARD),
    Rule(_CONFIGURATION, "starttls_refused", frozenset({Stage.TLS}), range(400, 600)),
    Rule(_HOST, "login_deferred", LOGIN, SOFT),
)


# Failures that concern every mail: a session stops after reporting one of these.
STOPS = frozenset({_CONFIGURATION, _RATE, _HOST, ErrorClass.DEFECT})


def classify(stage: Stage, code: int, enhanced: str, text: str) -> Verdict:
    """The class and the reason of a reply that is not the one hoped for.

    After the final dot anything but a 4xx or 5xx leaves the message in doubt; before it, such a reply is a
    server that does not keep to the protocol."""
    for rule in RULES:
        if rule.fits(stage, code, enhanced, text):
            return Verdict(rule.error_class, rule.reason)
    if stage is Stage.ACCEPTED:
        return Verdict(ErrorClass.IN_DOUBT, "unexpected_reply")
    return Verdict(ErrorClass.HOST, "unexpected_reply")


def refusal(stage: Stage, reply: Reply) -> Failure:
    """The Failure that a server's reply at `stage` stands for."""
    verdict = classify(stage, reply.code, reply.enhanced, reply.text)
    return Failure(stage, verdict.error_class, verdict.reason, reply)


# SendGrid's v3 API: status, words, verdict.
_HTTP: tuple[tuple[frozenset[int] | range, re.Pattern[str] | None, Verdict], ...] = (
    (_codes(401), _any(r"maximum credits exceeded"), Verdict(_RATE, "quota_exceeded")),
    (_codes(401), _any(r"not authorized to send"), Verdict(_CONFIGURATION, "key_not_permitted")),
    (_codes(401), None, Verdict(_CONFIGURATION, "key_refused")),
    (_codes(403), _any(r"sender identity", r"from address does not match"), Verdict(_SENDER, "sender_not_verified")),
    (_codes(403), None, Verdict(_CONFIGURATION, "key_not_permitted")),
    (_codes(429), None, Verdict(_RATE, "rate_limited")),
    (_codes(413), None, Verdict(ErrorClass.MESSAGE_HARD, "too_big")),
    (_codes(400), None, Verdict(ErrorClass.MESSAGE_HARD, "message_refused")),
    (_codes(407), None, Verdict(_CONFIGURATION, "proxy_login_required")),
    (range(300, 400), None, Verdict(_CONFIGURATION, "redirected")),
    (range(400, 500), None, Verdict(ErrorClass.DEFECT, "request_refused")),
    (range(500, 600), None, Verdict(ErrorClass.IN_DOUBT, "server_error")),
)


def classify_http(stage: Stage, status: int, text: str) -> Verdict:
    """The same for an HTTP status that is not the one hoped for. While the key is looked at (KEY) nothing can
    be in doubt: a server error is the host's."""
    fitting = (
        verdict
        for statuses, pattern, verdict in _HTTP
        if status in statuses and (pattern is None or pattern.search(text))
    )
    verdict = next(fitting, Verdict(ErrorClass.IN_DOUBT, "unexpected_reply"))
    if stage is Stage.KEY and verdict.error_class is ErrorClass.IN_DOUBT:
        return Verdict(_HOST, verdict.reason)
    return verdict
