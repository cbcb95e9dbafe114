"""What differs between two configurations, field by field. Pure; a secret is only ever "changed"."""

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from emailcfg.schema import SECRET_PATHS, EmailConfig, StoredSecret, walk

_CHOICES: dict[str, dict[str | None, str]] = {
    "smtp.security": {
        "starttls": "STARTTLS, required (587)",
        "tls": "TLS from the start (465)",
        "none": "None",
    },
    "smtp.preset": {
        "gmail": "Gmail",
        "google-relay": "Google Workspace SMTP relay",
        "microsoft365": "Microsoft 365",
        "ses": "Amazon SES",
        "relay": "Relay without login",
        "relay-login": "Relay with login",
    },
    "smtp.ip_version": {"any": "Both", "4": "IPv4 only", "6": "IPv6 only"},
    "smtp.auth_mechanism": {"auto": "Automatic", "plain": "PLAIN", "login": "LOGIN"},
    "sendgrid.region": {"global": "Global", "eu": "European Union"},
    "delivery.selected": {"smtp": "SMTP", "sendgrid": "SendGrid", None: "None: no mail leaves"},
}


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs. `before` and `after` are texts for people; `secret` says that they are words
    about a secret ("set", "not set", "changed"), never its value or length."""

    path: str
    title: str
    before: str
    after: str
    secret: bool = False

    @property
    def section(self) -> str:
        return self.path.split(".", 1)[0]


def compare(before: EmailConfig, after: EmailConfig) -> list[Change]:
    """The fields that differ, in the order of the schema."""
    changes = []
    implied = _switch_follows_selection(before) and _switch_follows_selection(after)
    for (path, title, old), (_, _, new) in zip(walk(before), walk(after), strict=True):
        if path in SECRET_PATHS:
            change = _secret_change(path, title, old, new)
            if change is not None:
                changes.append(change)
        elif path.endswith(".enabled") and implied:
            continue  # "Delivery service: SMTP" has said it
        elif old != new:
            changes.append(Change(path, _label(path, title), shown(path, old), shown(path, new)))
    return changes


def _switch_follows_selection(config: EmailConfig) -> bool:
    selected = config.delivery.selected
    return config.smtp.enabled == (selected == "smtp") and config.sendgrid.enabled == (selected == "sendgrid")


def _secret_change(path: str, title: str, old: Any, new: Any) -> Change | None:
    if _same_secret(old, new):
        return None
    before, after = ("not set" if old is None else "set"), ("not set" if new is None else "set")
    if before == after:
        before, after = "set", "changed"
    return Change(path, _label(path, title), before, after, secret=True)


def _same_secret(old: Any, new: Any) -> bool:
    if isinstance(old, StoredSecret) and isinstance(new, StoredSecret):
        return old.fingerprint == new.fingerprint
    if isinstance(old, SecretStr) and isinstance(new, SecretStr):
        return old.get_secret_value() == new.get_secret_value()
    return old is None and new is None


def _label(path: str, title: str) -> str:
    prefix = {"smtp": "SMTP", "sendgrid": "SendGrid"}.get(path.split(".", 1)[0])
    if prefix is None or title.startswith(prefix):
        return title
    is_abbreviation = title[:2].isupper()  # CA certificate, EHLO name
    return f"{prefix}: {title if is_abbreviation else title[0].lower() + title[1:]}"


def shown(path: str, value: Any) -> str:
    """A value as a person reads it."""
    if path in _CHOICES:
        return _CHOICES[path].get(value, str(value))
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None and path == "smtp.rate_limit_per_minute":
        return "no limit"
    if value is None or value == "":
        return "empty"
    return str(value)
