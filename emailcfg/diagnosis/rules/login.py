"""Rules for EHLO and login at any SMTP server."""

from emailcfg.diagnosis.rules.rule import EHLO, ENVELOPE, LOGIN, Match, Rule

RULES = (
    Rule(
        "password-in-clear",
        "The password was not sent, for the connection is not encrypted.",
        "Security is set to “None”, and {host} is not this machine. Anybody on the way could read the password.",
        "Set Security to “STARTTLS, required” or “TLS from the start”, or clear user name and password.",
        (Match(reasons=("password_in_clear",)),),
    ),
    Rule(
        "ehlo-name-refused",
        "The server does not accept the name this machine gives.",
        "{host} wants a full host name, with a dot and without special characters, in the EHLO command.",
        "Enter a real host name of your domain as “EHLO name”, for instance one under {sender_domain}, and test again.",
        (
            Match(words=r"(?:helo|ehlo) (?:command|name|host|hostname)?.{0,30}(?:rejected|refused|invalid)"),
            Match(words=r"(?:need|requires?) (?:a )?fully[- ]qualified (?:hostname|host name|domain name)"),
            Match(stages=EHLO, codes=(501, 504, 550, 553, 554)),
        ),
        notes=(("ehlo", "This machine introduces itself as {ehlo}."),),
    ),
    Rule(
        "too-many-logins",
        "Too many logins in a short time.",
        "{host} refuses logins for a while, because many came or several failed in a row. The password may be right.",
        "Wait 15 minutes without testing, then test once.",
        (
            Match(
                words=r"too many (?:failed )?(?:login|auth\w*)(?: attempts?| failures?)?|login rate|authentication rate"
            ),
            Match(stages=LOGIN, codes=(454, 421, 451), enhanced=("4.7.0",)),
            Match(words=r"cannot authenticate due to temporary system problem"),
        ),
    ),
    Rule(
        "no-password-sent",
        "The server wants a login, and none was configured.",
        "{host} takes mail only after a login, and no user name and password were sent.",
        "Enter user name and password of the SMTP account and test again.",
        (
            Match(
                words=r"authentication (?:is )?required|auth(?:entication)? needed|must authenticate|"
                r"please authenticate"
            ),
            Match(words=r"smtp auth(?:entication)? is required|not authenticated"),
            Match(codes=(530,)),
        ),
    ),
    Rule(
        "login-not-offered",
        "The server offers no login here.",
        "{host} does not list AUTH among its abilities on port {port}. Many servers offer it only after encryption; a "
        "relay that knows this machine by its address needs none.",
        "Set Security to “STARTTLS, required” or “TLS from the start”, or clear user name and password if the relay "
        "needs no login.",
        (
            Match(reasons=("auth_not_offered", "auth_not_accepted")),
            Match(
                words=r"auth (?:command )?(?:used )?when not advertised|smtp auth extension not supported|"
                r"auth(?:entication)? (?:is )?not (?:enabled|supported|available|implemented|advertised)"
            ),
            Match(stages=LOGIN, codes=(500, 502, 503)),
        ),
    ),
    Rule(
        "login-method-not-shared",
        "Server and product share no way to log in.",
        "This product logs in by PLAIN or LOGIN, inside TLS. {host} offers neither, or has switched off the one that "
        "was tried.",
        "Ask the provider to allow PLAIN or LOGIN over TLS for this account, or use another service. XOAUTH2 and "
        "OAUTHBEARER need a registered application, NTLM and GSSAPI a Windows domain; this product has neither.",
        (
            Match(reasons=("auth_not_offered",), facts=("mechanisms",)),
            Match(
                words=r"no suitable authentication method|unrecognized authentication type|"
                r"(?:authentication )?mechanism (?:is )?(?:not supported|unsupported|not available)"
            ),
            Match(stages=LOGIN, codes=(504, 534)),
        ),
        notes=(
            ("mechanism_tried", "{mechanism_tried} was tried."),
            ("mechanisms", "The server offers {mechanisms}."),
        ),
    ),
    Rule(
        "login-method-not-offered",
        "The server does not offer the login method that is set.",
        "“Login method” is set to one method, and {host} offers another that this product speaks too.",
        "Choose “Automatic” as “Login method” under Advanced and test again.",
        (Match(reasons=("mechanism_not_offered",)),),
        notes=(
            ("mechanism_set", "It is set to {mechanism_set} only."),
            ("mechanisms", "The server offers {mechanisms}."),
        ),
    ),
    Rule(
        "password-not-ascii",
        "User name or password hold a character that the login can't carry.",
        "A typographic quotation mark, an umlaut or a hidden character was probably pasted. Not every server takes "
        "such a character in a login.",
        "Type the password by hand, or set one of plain letters, digits and signs at the provider.",
        (
            Match(words=r"'ascii' codec can't encode", stages=LOGIN),
            Match(stages=LOGIN, facts=("secret_not_ascii",), codes=(501, 535)),
        ),
        notes=(("secret_not_ascii", "Character {secret_not_ascii} of the password is not ASCII."),),
    ),
    Rule(
        "login-refused",
        "User name or password were refused.",
        "{host} does not accept this pair. The password may be mistyped or changed, the user name may have to "
        "be a full "
        "address, or the account needs a separate password for programs.",
        "Check the user name, enter the password of {username} again, look for “app password” in the provider's help, "
        "and test again.",
        (
            Match(stages=LOGIN, codes=(535, 536, 550, 553, 554, 501)),
            Match(reasons=("login_refused",)),
            Match(
                words=r"authentication (?:failed|failure|unsuccessful|credentials)|invalid (?:login|credentials)|"
                r"incorrect (?:username|password|authentication)|(?:bad|wrong) (?:username|password|credentials)|"
                r"eauth\b|smtpauthenticationerror"
            ),
            Match(codes=(535,)),
            Match(enhanced=("5.7.8",)),
        ),
    ),
    Rule(
        "password-change-needed",
        "The account wants a new password first.",
        "{host} knows the account and asks for another password or another login method before it goes on.",
        "Sign in at the provider as {username}, set a new password, enter it here and test again.",
        (Match(codes=(432,), stages=LOGIN), Match(enhanced=("4.7.12", "5.7.12"))),
    ),
    Rule(
        "login-broken",
        "The server could not check the login.",
        "{host} has a problem with its own user database and does not know whether the password is right.",
        "Nothing needs to change here; test again in a few minutes, and ask the server's operator if it lasts.",
        (Match(stages=LOGIN, codes=(421, 450, 451, 454)), Match(words=r"temporary authentication failure")),
    ),
    Rule(
        "account-suspended",
        "The account is switched off at the provider.",
        "The server says that the account {username} is suspended, disabled or locked.",
        "Sign in at the provider and clear up the reason; mail waits in the queue.",
        (
            Match(
                stages=(*LOGIN, *ENVELOPE),
                words=r"account (?:has been |is |was )?(?:\w+ )?(?:suspended|disabled|locked|deactivated)",
            ),
        ),
    ),
)
