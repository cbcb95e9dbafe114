"""What DNS needs to say for each known mail service, and which sender domains belong to mailbox providers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailService:
    """`spf_include` is the domain whose SPF record names the service's addresses. `own_return_path`: the
    service puts a return path of its own into mail, so SPF is checked there and not at the sender's domain.
    `selectors` are the DKIM selectors it uses for every customer; empty where they differ. `dkim_where` says
    where its DKIM records are shown. `own_domains` are the service's: nobody else may send or publish for them."""

    name: str
    spf_include: str
    selectors: tuple[str, ...]
    own_return_path: bool
    dkim_where: str
    hosts: tuple[str, ...] = ()
    own_domains: tuple[str, ...] = ()


SENDGRID = MailService(
    "SendGrid",
    "sendgrid.net",
    ("s1", "s2"),
    True,
    "SendGrid shows the records under Settings, Sender Authentication, Authenticate Your Domain.",
    ("sendgrid.net",),
)
_SERVICES = (
    SENDGRID,
    MailService(
        "Google",
        "_spf.google.com",
        ("google",),
        False,
        "The Admin console shows the record under Apps, Google Workspace, Gmail, Authenticate email.",
        ("gmail.com", "google.com", "googlemail.com"),
        ("gmail.com", "googlemail.com"),
    ),
    MailService(
        "Microsoft 365",
        "spf.protection.outlook.com",
        ("selector1", "selector2"),
        False,
        "The Microsoft Defender portal shows the records under Email authentication settings, DKIM.",
        ("office365.com", "outlook.com"),
        ("outlook.com", "hotmail.com", "live.com", "msn.com", "outlook.de", "hotmail.de", "hotmail.co.uk"),
    ),
    MailService(
        "Amazon SES",
        "amazonses.com",
        (),  # random for each identity
        True,
        "The SES console shows the three records under Identities, your domain, Authentication.",
        ("amazonaws.com", "api.aws"),
    ),
    # The services below are known for their SPF domain; each shows its DKIM records beside the domain it sends for.
    MailService("Mailgun", "mailgun.org", (), False, "Mailgun shows them under Domain settings, DNS records.",
                ("mailgun.org",)),
    MailService("Postmark", "spf.mtasv.net", (), True, "Postmark shows them under Sender Signatures, DNS settings.",
                ("postmarkapp.com",)),
    MailService("Mailjet", "spf.mailjet.com", ("mailjet",), True, "Mailjet shows them under Sender domains.",
                ("mailjet.com",)),
    MailService("Brevo", "spf.brevo.com", (), True, "Brevo shows them under Senders, Domains.",
                ("brevo.com", "sendinblue.com")),
    MailService("SMTP2GO", "spf.smtp2go.com", (), True, "SMTP2GO shows them under Sending, Verified Senders.",
                ("smtp2go.com",)),
    MailService("Fastmail", "spf.messagingengine.com", ("fm1", "fm2", "fm3"), False,
                "Fastmail shows them under Settings, Domains.", ("fastmail.com",), ("fastmail.com", "fastmail.fm")),
    MailService("Proton Mail", "_spf.protonmail.ch", ("protonmail", "protonmail2", "protonmail3"), False,
                "Proton shows them under Settings, Domain names.", ("protonmail.ch",),
                ("proton.me", "protonmail.com", "pm.me")),
    MailService("iCloud", "icloud.com", ("sig1",), False, "iCloud shows them under Custom Email Domain.",
                ("mail.me.com",), ("icloud.com", "me.com", "mac.com")),
)  # fmt: skip

# Mailbox providers that are no service above. Their domains publish strict policies for themselves.
_MAILBOXES = {
    "Yahoo": ("yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "ymail.com", "aol.com"),
    "GMX": ("gmx.de", "gmx.net", "gmx.com", "gmx.at", "gmx.ch"),
    "WEB.DE": ("web.de",),
    "Deutsche Telekom": ("t-online.de",),
    "Yandex": ("yandex.com", "yandex.ru"),
    "Mail.ru": ("mail.ru",),
    "Zoho": ("zohomail.com",),
}


def service_of(provider: str, host: str) -> MailService | None:
    """The known service behind a provider ("smtp" or "sendgrid") and its host, or None for any other relay."""
    if provider == "sendgrid":
        return SENDGRID
    name = host.lower().rstrip(".")
    for service in _SERVICES:
        if any(name == known or name.endswith("." + known) for known in service.hosts):
            return service
    return None


def owner_of(domain: str) -> str:
    """The mailbox provider that a sender domain belongs to, "" for a domain of anybody's own."""
    for service in _SERVICES:
        if domain in service.own_domains:
            return service.name
    return next((name for name, domains in _MAILBOXES.items() if domain in domains), "")
