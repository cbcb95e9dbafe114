"""What DNS needs to say for each known mail service: its SPF domain, its DKIM selectors, who the return path is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailService:
    """`spf_include` is the domain whose SPF record names the service's addresses. `own_return_path`: the
    service puts a return path of its own into mail, so SPF is checked there and not at the sender's domain.
    `dkim_where` says where its DKIM records are shown."""

    name: str
    spf_include: str
    selectors: tuple[str, ...]
    own_return_path: bool
    dkim_where: str
    hosts: tuple[str, ...] = ()


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
    ),
    MailService(
        "Microsoft 365",
        "spf.protection.outlook.com",
        ("selector1", "selector2"),
        False,
        "The Microsoft Defender portal shows the records under Email authentication settings, DKIM.",
        ("office365.com", "outlook.com"),
    ),
    MailService(
        "Amazon SES",
        "amazonses.com",
        (),  # random for each identity
        True,
        "The SES console shows the three records under Identities, your domain, Authentication.",
        ("amazonaws.com", "amazonaws.com.cn"),
    ),
)


def service_of(provider: str, host: str) -> MailService | None:
    """The known service behind a provider ("smtp" or "sendgrid") and its host, or None for any other relay."""
    if provider == "sendgrid":
        return SENDGRID
    name = host.lower().rstrip(".")
    for service in _SERVICES:
        if any(name == known or name.endswith("." + known) for known in service.hosts):
            return service
    return None
