"""What the form fills in for well-known SMTP services, and the two lines that explain each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emailcfg.providers import ses


@dataclass(frozen=True, slots=True)
class SmtpPreset:
    """`fills` are the values of the SMTP fields that choosing the preset enters; all stay editable.
    The hints say what belongs into these fields."""

    label: str
    explanation: str
    fills: Mapping[str, str] = field(default_factory=dict)
    username_hint: str = ""
    password_hint: str = ""
    ehlo_hint: str = ""


PRESETS: Mapping[str, SmtpPreset] = {
    "gmail": SmtpPreset(
        "Gmail",
        "Use an app password: Google refuses the account password for SMTP. Create one at "
        "myaccount.google.com/apppasswords; the account needs 2-Step Verification. About 2,000 mails a day.",
        {"host": "smtp.gmail.com", "port": "587", "security": "starttls"},
        username_hint="The full Gmail address.",
        password_hint="The 16 letters of the app password.",  # noqa: S106
    ),
    "google-relay": SmtpPreset(
        "Google Workspace SMTP relay",
        "Allow this machine's public address in the Google Admin console under Apps, Google Workspace, Gmail, "
        "Routing, SMTP relay service. Set the EHLO name, under Advanced, to a name in your domain.",
        {"host": "smtp-relay.gmail.com", "port": "587", "security": "starttls", "username": ""},
        username_hint="Empty when the relay allows this machine by its address.",
        ehlo_hint="Google's relay refuses “localhost”. Enter a name in your domain, such as mail.example.com.",
    ),
    "microsoft365": SmtpPreset(
        "Microsoft 365",
        "The mailbox needs “Authenticated SMTP” switched on, and the tenant must still allow SMTP AUTH with a "
        "password, which Microsoft is retiring. At most 30 mails a minute and 10,000 recipients a day.",
        {"host": "smtp.office365.com", "port": "587", "security": "starttls", "rate_limit_per_minute": "30"},
        username_hint="The full address of the mailbox.",
        password_hint="The password of the mailbox; an app password when it uses multi-factor authentication.",  # noqa: S106
    ),
    "ses": SmtpPreset(
        "Amazon SES",
        "Choose the region of your verified identity. The user name is an access key id; the password is the SMTP "
        "password made from its secret, not the AWS secret itself. Paste the secret, and it can be converted here.",
        {"host": "", "port": "465", "security": "tls"},
        username_hint="An access key id; it begins with AKIA.",
        password_hint="The SMTP password of 44 characters.",  # noqa: S106
    ),
    "relay": SmtpPreset(
        "Relay without login",
        "A mail server in your own network that accepts mail from this machine by its address. Ask its administrator "
        "to allow this machine. Without encryption, mail crosses the network in clear.",
        {"port": "25", "security": "none", "username": ""},
        username_hint="Empty: this relay asks for no login.",
    ),
    "relay-login": SmtpPreset(
        "Relay with login",
        "Any other SMTP server that asks for a user name and password. Its documentation names host and port: "
        "587 goes with STARTTLS, 465 with TLS from the start.",
        {"port": "587", "security": "starttls"},
    ),
}

SES_REGIONS = tuple((code, f"{label} · {code}") for code, label in ses.REGIONS)
