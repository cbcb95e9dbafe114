"""Rules for Microsoft 365, Exchange Online and Exchange Server."""

from emailcfg.diagnosis.rules.rule import LOGIN, Match, Rule, Service

MICROSOFT = r"(?:^|\.)(?:office365|outlook|hotmail)\.(?:com|de)$"
# Exchange at any host says some of this too: its rules are here.
SERVICE = Service(
    hosts=MICROSOFT,
    signature=r"outlook\.com|office ?365|microsoft|exchange|smtpclientauthentication|storedrv|sendasdenied|"
    r"security defaults polic|submissionquotaexceeded|smtp; client|anonymous clients? does not have permission|"
    r"client (?:was )?not authenticated to send|basic authentication is not supported for client submission|"
    r"authentication unsuccessful, (?:basic authentication is disabled|the user credentials were incorrect)|"
    r"did not meet the criteria to be authenticated|tenant has exceeded|access denied, tenant|"
    r"5\.7\.3 authentication unsuccessful \[",
    presets=("microsoft365",),
)
SMTP_AUTH = (
    "Enable or disable authenticated client SMTP submission, "
    "learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"
)
LIMITS = (
    "Exchange Online limits, "
    "learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits"
)
NDR = (
    "Non-delivery reports in Exchange Online, "
    "learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online"
)
DATES = (
    " Microsoft leaves password login for SMTP as it is until the end of December 2026, then switches it off by "
    "default in existing organisations, where an administrator can switch it on again."
)

RULES = (
    Rule(
        "microsoft-tenant-smtp-auth-off",
        "Authenticated SMTP is switched off for the whole organisation.",
        "The Microsoft 365 organisation does not let any mailbox log in over SMTP, unless the mailbox itself allows it."
        + DATES,
        "In the Exchange admin centre open Settings, Mail flow, and clear “Turn off SMTP AUTH protocol for your "
        "organization”; wait about 15 minutes and test again.",
        (Match(words=r"smtpclientauthentication is disabled for the tenant"),),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-security-defaults",
        "Security defaults block the login.",
        "The organisation uses Microsoft's security defaults or a Conditional Access policy, which lock logins with "
        "a name and a password such as SMTP's.",
        "Ask the organisation's administrator to replace security defaults by Conditional Access policies that leave "
        "out {username}, or send through a relay connector or another service.",
        (Match(words=r"security defaults? policy|locked by your organization's security"),),
        "Security defaults in Microsoft Entra ID, learn.microsoft.com/entra/fundamentals/security-defaults",
    ),
    Rule(
        "microsoft-mailbox-smtp-auth-off",
        "Authenticated SMTP is switched off for this mailbox.",
        "Microsoft 365 knows {username} and refused the login because the request did not meet its criteria. Most "
        "often “Authenticated SMTP” is off for the mailbox, or a policy blocks it.",
        "In the Microsoft 365 admin centre open the user, Mail, Manage email apps, tick “Authenticated SMTP”, wait "
        "about 15 minutes and test again.",
        (
            Match(words=r"(?:the request )?did not meet the criteria(?: to be authenticated)?"),
            Match(words=r"smtpclientauthentication is disabled for the mailbox"),
            Match(stages=LOGIN, codes=(535,), enhanced=("5.7.139",)),
        ),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-login-refused",
        "Microsoft 365 refused the login.",
        "The password is wrong, the account uses a second factor, or login by password is switched off for SMTP. "
        "Microsoft gives the same answer to all three." + DATES,
        "Sign in as {username} in a browser to prove the password; then check “Authenticated SMTP” of the mailbox, "
        "of the organisation, and security defaults, in this order.",
        (
            Match(stages=LOGIN, codes=(535,), enhanced=("5.7.3",)),
            Match(stages=LOGIN, enhanced=("5.7.3",), words=r"authentication unsuccessful"),
            Match(stages=LOGIN, hosts=MICROSOFT, codes=(535,)),
            Match(words=r"5\.7\.3 authentication unsuccessful"),
        ),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-password-wrong",
        "Microsoft 365 says that user name or password are wrong.",
        "Password login is allowed for {username}, and the password that was entered is not the right one. Where the "
        "account uses a second factor, its own password is refused like a wrong one.",
        "Sign in as {username} in a browser to prove the password; with a second factor create an app password, where "
        "the organisation allows them, enter it and test again.",
        (Match(words=r"user credentials were incorrect"),),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-personal-retired",
        "Outlook.com no longer takes a password here.",
        "{username} is a personal account of Microsoft's. Since 16 September 2024 these take neither the account's "
        "password nor an app password over SMTP.",
        "Use a mailbox of Microsoft 365, or another mail service. There is no setting that allows it again.",
        (
            Match(words=r"basic authentication is disabled", facts=("microsoft_personal",)),
            Match(stages=LOGIN, words=r"authentication unsuccessful", facts=("microsoft_personal",)),
            Match(stages=LOGIN, hosts=MICROSOFT, facts=("microsoft_personal",)),
        ),
        "Modern authentication methods for Outlook, support.microsoft.com",
    ),
    Rule(
        "microsoft-basic-auth-off",
        "Login by password is switched off for this account.",
        "Microsoft knows the account and refuses logins by name and password: an authentication policy of the "
        "organisation forbids them, or it is a personal account, where they ended on 16 September 2024." + DATES,
        "Ask the organisation's administrator for an authentication policy that allows basic authentication for SMTP "
        "for {username}, or send through a relay connector or another service.",
        (Match(words=r"basic authentication is disabled"),),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-basic-auth-retired",
        "Microsoft no longer takes a password here.",
        "Microsoft has switched off login by name and password for this organisation's client submission."
        + DATES
        + " It will announce the final date in the second half of 2027.",
        "Ask the organisation's administrator to allow it again while that is possible; for the time after, use "
        "a relay "
        "connector, Azure Communication Services or another mail service.",
        (
            Match(words=r"basic authentication is not supported"),
            Match(enhanced=("5.7.30",), codes=(550, 535), hosts=MICROSOFT),
            Match(enhanced=("5.7.30",), codes=(550, 535), stages=LOGIN),
        ),
        "Exchange Online to retire basic authentication for client submission, techcommunity.microsoft.com",
    ),
    Rule(
        "microsoft-not-logged-in",
        "Microsoft 365 wants a login before mail.",
        "A mail was started without a successful login, which smtp.office365.com does not take. User name and "
        "password are missing, or the login was not possible.",
        "Enter user name and password, set Security to “STARTTLS, required” on port 587 and test again.",
        (
            Match(enhanced=("5.7.57",)),
            Match(words=r"client (?:was )?not authenticated to send|smtp; client was not authenticated"),
        ),
        SMTP_AUTH,
    ),
    Rule(
        "microsoft-send-as-denied",
        "{username} may not send as {sender}.",
        "The login worked, and Microsoft 365 lets this mailbox send only from its own address. The sender address is "
        "another one.",
        "Use {username} as the sender address, or give it “Send as” permission on {sender} in the Exchange admin "
        "centre; the change can take an hour.",
        (
            Match(words=r"sendasdenied|not allowed to send as|send ?as denied"),
            Match(enhanced=("5.2.252", "5.7.60")),
        ),
        NDR,
    ),
    Rule(
        "exchange-anonymous-sender",
        "The Exchange server does not let anonymous clients send as this sender.",
        "The receive connector of the Exchange server takes mail without login only from senders outside its own "
        "domains, and {sender} is inside them.",
        "Ask the Exchange administrator for a connector that allows this machine's address, or log in with a user.",
        (Match(words=r"anonymous clients? does not have permission"),),
        "Allow anonymous relay on Exchange servers, "
        "learn.microsoft.com/exchange/mail-flow/connectors/allow-anonymous-relay",
    ),
    Rule(
        "microsoft-daily-recipients",
        "The mailbox has reached its number of recipients for the day.",
        "Microsoft 365 lets a mailbox send to 10,000 recipients in 24 hours, and {username} has used them up.",
        "Nothing is lost: the queue waits and goes on by itself. For more mail use Azure Communication Services or "
        "another mail service.",
        (
            Match(words=r"submissionquotaexceeded"),
            Match(words=r"exceeded the (?:daily )?(?:recipient|submission) (?:rate )?(?:limit|quota)"),
        ),
        LIMITS,
    ),
    Rule(
        "microsoft-rate-limit",
        "Microsoft 365 asks for a slower pace.",
        "A mailbox may send 30 messages a minute and hold three connections; this client went beyond.",
        "Set “Messages per minute” to 30 and “Parallel connections” to 3; waiting mail is tried again by itself.",
        (
            Match(words=r"concurrent connections limit exceeded|submission rate limit|storedrv\.clientsubmit"),
            Match(hosts=MICROSOFT, codes=(432,)),
        ),
        LIMITS,
    ),
    Rule(
        "microsoft-tenant-blocked",
        "Microsoft has blocked mail from the whole organisation.",
        "The organisation sent more, or more suspicious, mail in a short time than Microsoft allows, often after an "
        "outage when much mail leaves at once.",
        "Ask the organisation's administrator to open a case with Microsoft, and set a lower number of messages per "
        "minute before the queue goes on.",
        (
            Match(enhanced=("5.7.705", "5.7.708", "5.7.750")),
            Match(words=r"tenant has exceeded (?:its )?threshold|access denied, tenant"),
        ),
        NDR,
    ),
)
