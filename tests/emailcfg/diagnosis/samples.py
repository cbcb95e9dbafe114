"""What servers really answer, one row or more for each rule that is tied to a reply: the table all rule tests share."""

from dataclasses import dataclass, field

from emailcfg.providers.base import Reply, Stage

GMAIL, GOOGLE_RELAY = "smtp.gmail.com", "smtp-relay.gmail.com"
OFFICE, SES = "smtp.office365.com", "email-smtp.eu-central-1.amazonaws.com"
SENDGRID = "smtp.sendgrid.net"

_KEYS = {
    Stage.GREETING: "connect",
    Stage.EHLO: "EHLO",
    Stage.LOGIN: "AUTH",
    Stage.SENDER: "MAIL",
    Stage.RECIPIENT: "RCPT",
    Stage.DATA: ".",
    Stage.TLS: "STARTTLS",
}


@dataclass(frozen=True)
class Sample:
    """`reply` is what an SMTP server says at `stage`; `context` holds what the configuration says."""

    rule: str
    stage: Stage
    reply: str
    context: dict[str, str] = field(default_factory=dict)
    command: str = ""

    @property
    def key(self) -> str:
        """The command of the scripted server that the reply belongs to."""
        return self.command or _KEYS[self.stage]

    @property
    def as_reply(self) -> Reply:
        code, _, rest = self.reply.partition(" ")
        enhanced = rest.split(" ")[0] if rest[1:2] == "." and rest[0] == code[0] else ""
        return Reply(int(code), rest, enhanced)


def at(host: str, **more: str) -> dict[str, str]:
    return {"host": host, **more}


G, E, L, S, R, D = Stage.GREETING, Stage.EHLO, Stage.LOGIN, Stage.SENDER, Stage.RECIPIENT, Stage.DATA

SMTP = (
    # before login
    Sample("address-blocked", G, "554 5.7.1 Your address [203.0.113.9] may not send here"),
    Sample("address-blocked", G, "521 mail.example.com does not accept mail from you"),
    Sample("too-many-connections", G, "421 4.3.2 The maximum number of concurrent connections has exceeded a limit"),
    Sample("too-many-connections", G, "421 4.7.0 mx.example.com Error: too many connections from 203.0.113.9"),
    Sample("server-unavailable", G, "421 4.3.0 mail.example.com Service not available, closing channel"),
    Sample("server-unavailable", S, "421 4.3.0 Temporary System Problem. Try again later (10-3). - gsmtp"),
    Sample("starttls-refused", Stage.TLS, "454 4.7.0 TLS not available due to local problem"),
    Sample("starttls-required", S, "530 5.7.0 Must issue a STARTTLS command first. a640c23a62f3a - gsmtp"),
    Sample("starttls-required", S, "530 Must issue a STARTTLS command first"),
    Sample("starttls-required", S, "538 5.7.11 Encryption required for requested authentication mechanism"),
    Sample(
        "google-ehlo-name", E, "421 4.7.0 Try again later, closing connection. (EHLO) x12 - gsmtp", at(GOOGLE_RELAY)
    ),
    Sample("ehlo-name-refused", E, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    Sample("ehlo-name-refused", R, "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
    Sample("ehlo-name-refused", E, "501 Syntactically invalid EHLO argument(s)"),
    Sample(
        "address-without-name",
        D,
        "550 5.7.1 [2001:db8::25 12] Our system has detected that this message does not meet IPv6 sending guidelines "
        "regarding PTR records and authentication. For more information, go to support.google.com x - gsmtp",
        at(GMAIL),
    ),
    Sample(
        "address-without-name",
        D,
        "550 5.7.25 [203.0.113.9] The IP address sending this message does not have a PTR record setup. x - gsmtp",
    ),
    Sample("address-without-name", R, "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]"),
    Sample(
        "address-without-name", S, "554 5.7.1 Client host rejected: cannot find your reverse hostname, [2001:db8::1]"
    ),
    # login
    Sample(
        "google-app-password",
        L,
        "535 5.7.8 Username and Password not accepted. For more information, go to support.google.com x - gsmtp",
        at(GMAIL),
    ),
    Sample(
        "google-app-password-refused",
        L,
        "535 5.7.8 Username and Password not accepted. For more information, go to support.google.com x - gsmtp",
        at(GMAIL, secret_shape="app-password"),
    ),
    Sample("google-app-password-required", L, "534 5.7.9 Application-specific password required. - gsmtp", at(GMAIL)),
    Sample(
        "google-sign-in-blocked",
        L,
        "534 5.7.14 Please log in via your web browser and then try again. - gsmtp",
        at(GMAIL),
    ),
    Sample("too-many-logins", L, "454 4.7.0 Too many login attempts, please try again later. - gsmtp", at(GMAIL)),
    Sample("too-many-logins", L, "454 4.7.0 Cannot authenticate due to temporary system problem. - gsmtp", at(GMAIL)),
    Sample("no-password-sent", S, "530 5.7.0 Authentication Required. For more information, go to - gsmtp", at(GMAIL)),
    Sample("no-password-sent", R, "550 5.7.1 Authentication required"),
    Sample("login-not-offered", L, "503 5.5.1 Error: AUTH command used when not advertised"),
    Sample("login-method-not-shared", L, "504 5.7.4 Unrecognized authentication type"),
    Sample("login-refused", L, "535 5.7.8 Error: authentication failed: (reason unavailable)"),
    Sample("login-refused", L, "535 Incorrect authentication data"),
    Sample("login-broken", L, "454 4.3.0 Temporary authentication failure"),
    Sample("password-change-needed", L, "432 4.7.12 A password transition is needed"),
    Sample("account-suspended", L, "535 5.7.1 Your account has been suspended, contact support"),
    Sample("password-not-ascii", L, "535 5.7.8 Error", at("mail.example.com", secret_shape="not-ascii:3")),
    # Microsoft
    Sample(
        "microsoft-tenant-smtp-auth-off",
        L,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit aka.ms",
        at(OFFICE),
    ),
    Sample(
        "microsoft-security-defaults",
        L,
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        at(OFFICE),
    ),
    Sample(
        "microsoft-mailbox-smtp-auth-off",
        L,
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated.",
        at(OFFICE),
    ),
    Sample(
        "microsoft-password-wrong",
        L,
        "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [AM0PR01.PROD.OUTLOOK.COM]",
        at(OFFICE),
    ),
    Sample(
        "microsoft-basic-auth-off",
        L,
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [PN0PR01CA0024.PROD.OUTLOOK.COM]",
        at(OFFICE, username="ana@acme.example"),
    ),
    Sample(
        "microsoft-personal-retired",
        L,
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [PH7P220CA0132.PROD.OUTLOOK.COM]",
        at("smtp-mail.outlook.com", username="ana@outlook.com"),
    ),
    Sample(
        "microsoft-personal-retired",
        L,
        "535 5.7.3 Authentication unsuccessful [LO4P123CA0207.GBRP123.PROD.OUTLOOK.COM]",
        at(OFFICE, username="ana@hotmail.com"),
    ),
    Sample("microsoft-login-refused", L, "535 5.7.3 Authentication unsuccessful [FR0P281CA0001.PROD]", at(OFFICE)),
    Sample(
        "microsoft-basic-auth-retired",
        L,
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        at(OFFICE),
    ),
    Sample("microsoft-not-logged-in", S, "530 5.7.57 Client not authenticated to send mail. [X.PROD]", at(OFFICE)),
    Sample(
        "microsoft-send-as-denied",
        D,
        "554 5.2.252 SendAsDenied; ana@example.com not allowed to send as news@example.com; STOREDRV.Submission",
        at(OFFICE),
    ),
    Sample("microsoft-send-as-denied", D, "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    Sample(
        "exchange-anonymous-sender",
        S,
        "550 5.7.1 Anonymous client does not have permission to send as this sender",
    ),
    Sample("relay-denied", R, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
    Sample(
        "microsoft-daily-recipients",
        D,
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        at(OFFICE),
    ),
    Sample("microsoft-rate-limit", D, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", at(OFFICE)),
    Sample("microsoft-tenant-blocked", D, "550 5.7.705 Access denied, tenant has exceeded threshold", at(OFFICE)),
    # Amazon SES
    Sample("ses-credentials", L, "535 Authentication Credentials Invalid", at(SES)),
    Sample("ses-raw-iam-secret", L, "535 Authentication Credentials Invalid", at(SES, secret_shape="iam-secret")),
    Sample(
        "ses-identity-not-verified",
        D,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-CENTRAL-1: news@example.com",
        at(SES, sender="news@example.com", recipient="bob@example.org"),
    ),
    Sample(
        "ses-sandbox",
        D,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-CENTRAL-1: bob@example.org",
        at(SES, sender="news@example.com", recipient="bob@example.org"),
    ),
    Sample(
        "ses-region-mismatch",
        D,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "US-EAST-1: news@example.com",
        at(SES, sender="news@example.com", recipient="bob@example.org"),
    ),
    Sample(
        "ses-permission",
        D,
        "554 Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform `ses:SendRawEmail' on resource",
        at(SES),
    ),
    Sample("ses-rate-limit", D, "454 Throttling failure: Maximum sending rate exceeded.", at(SES)),
    Sample("ses-daily-quota", D, "454 Throttling failure: Daily message quota exceeded.", at(SES)),
    Sample(
        "ses-sending-paused", D, "554 Message rejected: Sending paused for this account. Check your email.", at(SES)
    ),
    # SendGrid over SMTP
    Sample("sendgrid-smtp-user", L, "535 Authentication failed: Bad username / password", at(SENDGRID)),
    Sample("sendgrid-unauthenticated", S, "550 Unauthenticated senders not allowed", at(SENDGRID)),
    Sample("sendgrid-credits", L, "451 Authentication failed: Maximum credits exceeded", at(SENDGRID)),
    # sender
    Sample("sender-not-owned", R, "553 5.7.1 <a@example.com>: Sender address rejected: not owned by user ana"),
    Sample("sender-not-owned", R, "553 5.7.1 <a@example.com>: Sender address rejected: not logged in"),
    Sample("sender-malformed", S, "501 5.1.7 Bad sender address syntax"),
    Sample("sender-malformed", S, "553 Invalid address"),
    Sample("sender-domain-unknown", R, "450 4.1.8 <a@nowhere.example>: Sender address rejected: Domain not found"),
    Sample("sender-refused", S, "550 Mail from this address is not taken"),
    Sample("google-relay-unknown-sender", S, "550 5.7.1 Invalid credentials for relay [203.0.113.9]. - gsmtp"),
    Sample("google-relay-domain", S, "550 5.7.1 Mail relay denied [203.0.113.9]. Invalid domain - gsmtp"),
    # recipient
    Sample("relay-denied", R, "554 5.7.1 <bob@example.org>: Relay access denied"),
    Sample("address-needs-smtputf8", R, "553 5.6.7 Address requires SMTPUTF8"),
    Sample("too-many-recipients", R, "452 4.5.3 Your message has too many recipients. - gsmtp"),
    Sample("greylisted", R, "450 4.2.0 <bob@example.org>: Recipient address rejected: Greylisted, see postgrey"),
    Sample("greylisted", R, "451 4.7.1 Come back in five minutes"),
    Sample("recipient-unknown", R, "550 5.1.1 The email account that you tried to reach does not exist. - gsmtp"),
    Sample("recipient-unknown", R, "550 No such user here"),
    Sample(
        "recipient-domain-unknown", R, "550 5.1.2 <bob@nowhere.example>: Recipient address rejected: Domain not found"
    ),
    Sample("mailbox-full", R, "452 4.2.2 The email account that you tried to reach is over quota. - gsmtp"),
    Sample("recipient-disabled", R, "550 5.2.1 The email account that you tried to reach is disabled. - gsmtp"),
    Sample(
        "recipient-receives-too-fast", R, "450 4.2.1 The user you are trying to contact is receiving mail too quickly."
    ),
    Sample("recipient-refused", R, "551 User not local"),
    Sample("recipient-later", R, "450 Requested action not taken"),
    Sample("listed-address", R, "554 5.7.1 Client host [203.0.113.9] blocked using zen.spamhaus.org"),
    # message and limits
    Sample(
        "sender-not-authenticated", D, "550 5.7.26 Your email has been blocked because the sender is unauthenticated."
    ),
    Sample("sender-not-authenticated", D, "550 5.7.30 Blocked because the sender has no DKIM. d9si1 - gsmtp"),
    Sample("sender-not-authenticated", D, "421 4.7.32 Rate limited because the From: header is not aligned. - gsmtp"),
    Sample(
        "sender-not-authenticated",
        D,
        "550 5.7.515 Access denied, sending domain acme.example doesn't meet the required authentication level.",
    ),
    Sample("google-daily-limit", S, "550 5.4.5 Daily user sending limit exceeded. - gsmtp", at(GMAIL)),
    Sample(
        "google-relay-daily-limit", S, "550 5.4.5 Daily SMTP relay limit exceeded for user. - gsmtp", at(GOOGLE_RELAY)
    ),
    Sample("google-relay-daily-limit", S, "550 5.7.1 Daily SMTP relay limit exceeded for customer. - gsmtp"),
    Sample("google-relay-peak-limit", S, "450 4.2.1 Peak SMTP relay limit exceeded for customer. - gsmtp"),
    Sample("google-unusual-rate", D, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail - gsmtp"),
    Sample("sending-limit", S, "450 4.7.1 Hourly sending limit exceeded for this account"),
    Sample("message-too-large", D, "552 5.3.4 Message size exceeds fixed limit"),
    Sample("message-looks-like-spam", D, "550 5.7.1 This message looks like spam"),
    Sample("virus-found", D, "554 5.7.0 Virus found: Eicar-Test-Signature"),
    Sample("line-too-long", D, "554 5.6.0 Line too long"),
    Sample("server-storage-full", D, "452 4.3.1 Insufficient system storage"),
    Sample("policy-refused", D, "550 5.7.0 Refused for policy reasons"),
)

# HTTP answers of SendGrid: rule, stage, status, message.
HTTP = (
    ("sendgrid-key", Stage.KEY, 401, "The provided authorization grant is invalid, expired, or revoked"),
    ("sendgrid-key-scope", Stage.DATA, 401, "Authenticated user is not authorized to send mail"),
    ("sendgrid-key-scope", Stage.DATA, 403, "access forbidden"),
    ("sendgrid-credits", Stage.DATA, 401, "Maximum credits exceeded"),
    (
        "sendgrid-sender-identity",
        Stage.DATA,
        403,
        "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.",
    ),
    ("sendgrid-forbidden", Stage.DATA, 403, "Your account is under review"),
    ("sendgrid-rate-limit", Stage.DATA, 429, "too many requests"),
    ("sendgrid-outage", Stage.DATA, 503, "Service Unavailable"),
    ("sendgrid-too-large", Stage.DATA, 413, "Payload too large"),
    ("sendgrid-request-refused", Stage.DATA, 400, "Does not contain a valid address."),
    ("sendgrid-request-wrong", Stage.DATA, 404, "not found"),
    ("sent-not-delivered", Stage.ACCEPTED, 202, ""),
)

# Lines of logs for what no server's reply to us shows: rule and text.
LINES = (
    ("sendgrid-dropped", '{"email":"bob@example.org","event":"dropped","reason":"Bounced Address"}'),
    ("mailbox-port", "smtplib.SMTPConnectError: (-1, b'Dovecot ready.')"),
    ("web-server-answered", "SMTPConnectError (-1, b'/1.1 400 Bad Request')"),
    ("closed-after-accept", "to=<bob@example.org>, status=sent; lost connection while sending QUIT"),
)

# Local causes: rule, stage, reason. The words of `reason` are those of the providers' sessions.
LOCAL = (
    ("host-not-found", Stage.RESOLVE, "name_not_found"),
    ("dns-unavailable", Stage.RESOLVE, "name_server_failed"),
    ("dns-unavailable", Stage.RESOLVE, "timed_out"),
    ("host-not-allowed", Stage.CONNECT, "address_not_allowed"),
    ("port-not-allowed", Stage.CONNECT, "port_not_allowed"),
    ("ip-version-missing", Stage.RESOLVE, "ip_version_missing"),
    ("connection-refused", Stage.CONNECT, "connection_refused"),
    ("connect-timeout", Stage.CONNECT, "timed_out"),
    ("network-unreachable", Stage.CONNECT, "unreachable"),
    ("plain-on-tls-port", Stage.GREETING, "timed_out"),
    ("not-a-mail-server", Stage.GREETING, "unreadable_reply"),
    ("closed-before-greeting", Stage.GREETING, "connection_lost"),
    ("connection-lost", Stage.SENDER, "connection_lost"),
    ("server-too-slow", Stage.EHLO, "timed_out"),
    ("smtp-tls-on-plain-port", Stage.TLS, "not_tls"),
    ("certificate-self-signed", Stage.TLS, "certificate_self_signed"),
    ("certificate-issuer-unknown", Stage.TLS, "certificate_unknown_issuer"),
    ("proxy-inspects-tls", Stage.TLS, "certificate_unknown_issuer"),
    ("certificate-wrong-name", Stage.TLS, "certificate_wrong_name"),
    ("certificate-expired", Stage.TLS, "certificate_expired"),
    ("certificate-not-yet-valid", Stage.TLS, "certificate_not_yet_valid"),
    ("tls-too-old", Stage.TLS, "tls_too_old"),
    ("tls-failed", Stage.TLS, "tls_failed"),
    ("starttls-not-offered", Stage.TLS, "starttls_not_offered"),
    ("login-not-offered", Stage.LOGIN, "auth_not_offered"),
    ("login-method-not-offered", Stage.LOGIN, "mechanism_not_offered"),
    ("password-in-clear", Stage.LOGIN, "password_in_clear"),
    ("trust-unreadable", Stage.TLS, "trust_unreadable"),
    ("address-needs-smtputf8", Stage.RECIPIENT, "smtputf8_needed"),
    ("sendgrid-key-scope", Stage.KEY, "scope_missing"),
)
