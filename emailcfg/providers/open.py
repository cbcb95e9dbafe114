"""From a configuration to the session it describes: the one place that knows every provider."""

from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import Session
from emailcfg.providers.smtp import SmtpSession
from emailcfg.schema import EmailConfig


class NoProvider(ValueError):
    """The configuration lets no mail leave: no delivery service is selected, or the selected one is off."""


def session_for(
    config: EmailConfig,
    *,
    policy: NetworkPolicy,
    ehlo_default: str,
    deadline_s: float,
    sendgrid_api_url: str | None = None,
    trust_file: str | None = None,
) -> Session:
    """A session, not yet open, for the selected delivery service. Secrets must be resolved (SecretStr).

    `policy` bounds what SMTP may reach. Raises NoProvider."""
    if config.provider == "smtp":
        return SmtpSession(
            config.smtp, policy=policy, ehlo_default=ehlo_default, deadline_s=deadline_s, trust_file=trust_file
        )
    if config.provider == "sendgrid":
        from emailcfg.providers.sendgrid import SendGridSession  # here: its packages take 2 MB

        return SendGridSession(config.sendgrid, api_url=sendgrid_api_url, deadline_s=deadline_s, trust_file=trust_file)
    raise NoProvider("No delivery service is on.")
