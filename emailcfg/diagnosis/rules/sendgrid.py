"""Rules for SendGrid: its HTTPS API, and its SMTP service where a relay points there."""

from emailcfg.diagnosis.rules.rule import DATA, KEY, LOGIN, Match, Rule, Service
from emailcfg.providers.base import Stage

SENDGRID = r"(?:^|\.)sendgrid\.net$"
SERVICE = Service(
    hosts=SENDGRID,
    signature=r"sendgrid|authorization grant|verified sender identity|maximum credits exceeded|\b60604\b|\b60222\b",
    provider="sendgrid",
)
ERRORS = "4XX API errors and troubleshooting, support.sendgrid.com/hc/en-us/articles/18322114821403"
SENDER_IDENTITY = "Sender identity, twilio.com/docs/sendgrid/for-developers/sending-email/sender-identity"
SMTP_API = (
    "Integrating with the SMTP API, twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api"
)
HTTP = (Stage.KEY, Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ACCEPTED)

RULES = (
    Rule(
        "sendgrid-smtp-user",
        "SendGrid's SMTP user name is the word apikey.",
        "SendGrid refused the login. Over SMTP the user name is literally “apikey”, and the password is an API "
        "key that "
        "may send mail.",
        "Enter apikey as the user name and an API key as the password, or use the SendGrid section, and test again.",
        (
            Match(stages=LOGIN, hosts=SENDGRID, codes=(535,)),
            Match(words=r"bad username / password|the provided authorization grant is invalid", codes=(535,)),
        ),
        SMTP_API,
    ),
    Rule(
        "sendgrid-other-region",
        "The key belongs to the other region.",
        "{host} does not know the API key, and SendGrid's host of the other region accepts it.",
        "Switch Region in the SendGrid section, then test again.",
        (
            Match(codes=(401,), facts=("other_region_accepts",)),
            Match(words=r"authorization grant", facts=("other_region_accepts",)),
        ),
        ERRORS,
    ),
    Rule(
        "sendgrid-key",
        "SendGrid does not know this API key.",
        "{host} answered that the key is invalid, expired or revoked. It may have been copied only in part, "
        "deleted, or "
        "made for the other region: keys of EU subusers are used at api.eu.sendgrid.com.",
        "Create a new API key with the permission “Mail Send”, enter it, check Region and test again.",
        (
            Match(words=r"authorization grant is invalid"),
            Match(stages=HTTP, codes=(401,), provider="sendgrid"),
            Match(words=r"api key (?:is )?(?:invalid|revoked|expired)"),
        ),
        ERRORS,
    ),
    Rule(
        "sendgrid-key-scope",
        "The API key may not send mail.",
        "SendGrid knows the key, and the key lacks the permission mail.send.",
        "Create an API key with “Mail Send”, or give this one that permission in SendGrid's settings, and test again.",
        (
            Match(words=r"not authorized to send mail|60604"),
            Match(stages=KEY, reasons=("scope_missing",)),
            Match(words=r"access forbidden", codes=(403,)),
        ),
        "Error 60604, twilio.com/docs/api/errors/60604",
        notes=(("scopes", "The key's permissions are {scopes}."),),
    ),
    Rule(
        "sendgrid-credits",
        "The SendGrid plan's credits are used up.",
        "The key is right. The account has sent all the mail its plan or trial includes; SendGrid's trial lasts "
        "60 days "
        "with 100 messages a day, and the free plan ended in 2025.",
        "Open Billing in SendGrid, see when the credits are renewed or choose a larger plan; mail waits in the queue.",
        (
            Match(words=r"maximum credits exceeded"),
            Match(words=r"exceeded your messaging limits|credit limit", provider="sendgrid"),
        ),
        "Free plan changes, support.sendgrid.com/hc/en-us/articles/35270136965403",
    ),
    Rule(
        "sendgrid-sender-identity",
        "SendGrid has not verified this sender.",
        "{sender} matches no verified sender identity of the account, and its domain is not authenticated there.",
        "In SendGrid open Settings, Sender Authentication, and authenticate the domain {sender_domain} or verify this "
        "single sender; then test again.",
        (
            Match(words=r"does not match a verified sender identity|60222"),
            Match(provider="sendgrid", reasons=("sender_not_verified",)),
        ),
        SENDER_IDENTITY,
        notes=(("verified_found", "Verified senders and domains of the account: {verified_found}."),),
    ),
    Rule(
        "sendgrid-unauthenticated",
        "The server wants a login before mail.",
        "A mail was started without login, and the server takes mail only from known users.",
        "Enter user name and password (for SendGrid the user name apikey and an API key) and test again.",
        (Match(words=r"unauthenticated senders? not allowed"),),
        SMTP_API,
    ),
    Rule(
        "sendgrid-dropped",
        "SendGrid accepted the mail and then dropped it.",
        "The answer 202 means accepted, not delivered. SendGrid did not pass the mail on because the address stands on "
        "one of its suppression lists, is invalid, or bounced before.",
        "Look the address up in SendGrid under Suppressions and Activity, remove it there if it is right, and "
        "send again.",
        (Match(words=r"\"?event\"?\W{1,4}dropped|bounced address|unsubscribed address|spam reporting address"),),
        "Event Webhook reference, twilio.com/docs/sendgrid/for-developers/tracking-events/event",
    ),
    Rule(
        "sendgrid-rate-limit",
        "SendGrid asks for a slower pace.",
        "More requests came than SendGrid allows in this time.",
        "Nothing is lost: the queue waits as long as SendGrid asks and goes on by itself.",
        (
            Match(codes=(429,)),
            Match(words=r"too many requests|rate limit exceeded", provider="sendgrid"),
        ),
        ERRORS,
    ),
    Rule(
        "sendgrid-outage",
        "SendGrid has a problem of its own.",
        "The service answered with an internal error, so the request was not at fault.",
        "Nothing needs to change here; waiting mail is tried again. status.sendgrid.com tells about known outages.",
        (
            Match(codes=tuple(range(500, 600)), provider="sendgrid"),
            Match(
                codes=tuple(range(500, 600)),
                provider="sendgrid",
                words=r"service unavailable|internal (?:server )?error",
            ),
        ),
        "SendGrid status, status.sendgrid.com",
    ),
    Rule(
        "sendgrid-too-large",
        "The message is too large for SendGrid.",
        "SendGrid takes at most 30 MB in one message, attachments included.",
        "Send a link in place of the attachment, or a smaller one.",
        (Match(codes=(413,), provider="sendgrid"), Match(words=r"(?:payload|request entity) too large")),
        ERRORS,
    ),
    Rule(
        "sendgrid-request-refused",
        "SendGrid found a value in the message that it does not take.",
        "The key is right, and one part of the request, often an address, was refused. The raw words name the part.",
        "Correct the value that the raw words name and send again.",
        (Match(codes=(400,), provider="sendgrid"),),
        ERRORS,
    ),
    Rule(
        "sendgrid-forbidden",
        "SendGrid does not let this account do that.",
        "The key is known, and SendGrid forbids the request: the sender is not verified, the account is under "
        "review, or "
        "the key may be used only from certain addresses.",
        "Open SendGrid, look for a notice about the account, and check Sender Authentication and IP Access Management.",
        (Match(stages=(Stage.SENDER, *DATA), codes=(403,), provider="sendgrid"),),
        ERRORS,
    ),
    Rule(
        "sendgrid-request-wrong",
        "SendGrid does not understand this request.",
        "The service calls the request itself wrong. That is a defect of this product, or SENDGRID_API_URL points to "
        "something else.",
        "Check SENDGRID_API_URL; if it is not set, report this with the support bundle. Mail waits in the queue.",
        (Match(codes=(404, 405, 406, 415), provider="sendgrid"),),
        ERRORS,
    ),
)
