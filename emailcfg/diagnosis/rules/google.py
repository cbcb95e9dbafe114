"""Rules for Gmail, Google Workspace and Google's SMTP relay, by the texts of Google's own list of SMTP errors."""

from emailcfg.diagnosis.rules.rule import EHLO, LOGIN, Match, Rule, Service

GOOGLE = r"(?:^|\.)(?:gmail|google|googlemail)\.com$"
SERVICE = Service(
    hosts=GOOGLE,
    signature=r"gsmtp|google|gmail|application-specific password|badcredentials|invalidsecondfactor|webloginrequired|"
    r"(?:daily|peak) smtp relay|the user you are trying to contact",
    presets=("gmail", "google-relay"),
)
ERRORS = "Gmail SMTP errors and codes, support.google.com/a/answer/3726730"
APP_PASSWORDS = "Sign in with app passwords, support.google.com/accounts/answer/185833"
RELAY = "Route outgoing SMTP relay messages through Google, support.google.com/a/answer/2956491"
LIMITS = "Gmail sending limits in Google Workspace, support.google.com/a/answer/166852"

RULES = (
    Rule(
        "google-app-password-refused",
        "Google refused this app password.",
        "The password has the form of an app password, and Google does not accept it for {username}. It was revoked, "
        "for instance by a change of the account's password, or it belongs to another account.",
        "Make sure the user name is the full address of the account, create a new app password there, enter it and "
        "test again.",
        (
            Match(stages=LOGIN, hosts=GOOGLE, codes=(535,), facts=("app_password",)),
            Match(words=r"username and password not accepted|badcredentials", facts=("app_password",)),
        ),
        APP_PASSWORDS,
    ),
    Rule(
        "google-app-password",
        "The password was refused.",
        "Google no longer accepts the account's own password for SMTP: personal accounts since 30 May 2022, Workspace "
        "accounts since 1 May 2025. It accepts app passwords of 16 letters, which need 2-Step Verification.",
        "Switch on 2-Step Verification for {username}, create an app password, enter it as the password and "
        "test again.",
        (
            Match(words=r"username and password not accepted|badcredentials"),
            Match(stages=LOGIN, hosts=GOOGLE, codes=(535,)),
        ),
        APP_PASSWORDS,
    ),
    Rule(
        "google-app-password-required",
        "Google asks for an app password.",
        "2-Step Verification is on for {username}, and the normal password of the account was entered. With 2-Step "
        "Verification Google takes only an app password for SMTP.",
        "Create an app password of 16 letters for this account, enter it as the password and test again.",
        (
            Match(words=r"application-specific password required|invalidsecondfactor"),
            Match(stages=LOGIN, codes=(534,), enhanced=("5.7.9",)),
        ),
        APP_PASSWORDS,
    ),
    Rule(
        "google-sign-in-blocked",
        "Google blocked this sign-in.",
        "Google found the sign-in unusual, for instance because it came from a new place, and wants the owner of "
        "{username} to confirm it in a browser.",
        "Sign in as that account in a browser, confirm that it was you, wait a few minutes and test again.",
        (
            Match(words=r"log ?in (?:via|with|using) your web browser|webloginrequired"),
            Match(stages=LOGIN, codes=(534,), enhanced=("5.7.14",)),
        ),
        ERRORS,
    ),
    Rule(
        "google-ehlo-name",
        "Google refuses the name by which this machine introduces itself.",
        "Google closed the connection at the EHLO command, which its relay does to machines that call themselves "
        "localhost or a bare address, or that open many connections.",
        "Enter a real host name of your domain as “EHLO name”, for instance one under {sender_domain}, and test again.",
        (
            Match(stages=EHLO, codes=(421,), enhanced=("4.7.0",), words=r"try again later"),
            Match(stages=EHLO, hosts=GOOGLE, codes=(421,)),
            Match(words=r"denial of service.*helo|helo stage"),
        ),
        ERRORS,
        notes=(("ehlo", "This machine introduces itself as {ehlo}."),),
    ),
    Rule(
        "google-relay-unknown-sender",
        "Google's relay does not know who this is.",
        "The relay smtp-relay.gmail.com recognises a customer by the registered network address, by the login, or by a "
        "domain of the customer in the EHLO name and the sender. None of these fitted.",
        "In the Admin console, open Apps, Google Workspace, Gmail, Routing, SMTP relay service, and add this machine's "
        "public address; use {sender_domain} for EHLO name and sender. A change can take an hour.",
        (
            Match(words=r"invalid credentials for relay|credentials for relay"),
            Match(words=r"ip (?:address )?not (?:in whitelist|registered).*relay"),
        ),
        RELAY,
        notes=(("our_address", "Google sees this machine as {our_address}."),),
    ),
    Rule(
        "google-relay-domain",
        "Google's relay is not allowed for this sender's domain.",
        "The domain of {sender} is not registered in the Google Workspace account that the relay belongs to, and the "
        "relay is set to accept only its own senders.",
        "Send from an address in the account's domain, or change “Allowed senders” of the SMTP relay service in the "
        "Admin console.",
        (
            Match(
                words=r"mail relay denied|relay(?:ing)? denied.*(?:gsmtp|google)|"
                r"domain (?:name )?(?:is )?not registered.*relay"
            ),
            Match(words=r"relay.*domain.*not registered"),
        ),
        RELAY,
    ),
    Rule(
        "google-relay-daily-limit",
        "The daily limit of Google's relay is reached.",
        "Google counts how many messages and recipients a user or a customer sends through the relay in 24 hours, and "
        "the count is full.",
        "Nothing is lost: the queue waits and goes on by itself. Spread large sendings over several days.",
        (
            Match(words=r"daily smtp relay (?:sending )?limit"),
            Match(words=r"smtp relay limit exceeded", codes=(550,)),
        ),
        RELAY,
    ),
    Rule(
        "google-relay-peak-limit",
        "Google's relay asks for a slower pace.",
        "More messages came in a short time than the relay allows for this customer. The limit is temporary.",
        "Enter a lower number in “Messages per minute”; waiting mail is tried again by itself.",
        (Match(words=r"peak smtp relay limit"),),
        RELAY,
    ),
    Rule(
        "google-daily-limit",
        "The daily sending limit of this Google account is reached.",
        "Google lets an account send a fixed number of messages in 24 hours, in Workspace 2,000 as a rule, and "
        "{username} has used them up.",
        "Nothing is lost: the queue waits and goes on by itself within a day. For more mail use Google's SMTP relay or "
        "a mail service.",
        (
            Match(words=r"daily (?:user )?sending (?:limit|quota)|daily (?:user )?(?:limit|quota) exceeded"),
            Match(hosts=GOOGLE, enhanced=("5.4.5",)),
        ),
        LIMITS,
    ),
    Rule(
        "google-unusual-rate",
        "Google slows down mail from this address.",
        "Google saw an unusual amount of mail, or mail that was reported as unwanted, from this machine's address and "
        "refuses more for a while.",
        "Send more slowly, and check that SPF, DKIM and DMARC of {sender_domain} are right.",
        (Match(words=r"unusual rate of (?:unsolicited )?mail"), Match(enhanced=("4.7.28", "5.7.28"))),
        ERRORS,
    ),
    Rule(
        "recipient-receives-too-fast",
        "This recipient gets mail too quickly.",
        "The mailbox of {recipient} receives more messages at the moment than its provider allows.",
        "Nothing needs to change: this recipient is tried again later.",
        (Match(words=r"receiving mail (?:too quickly|at a rate)"),),
        ERRORS,
    ),
)
