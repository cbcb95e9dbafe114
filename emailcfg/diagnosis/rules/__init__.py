"""Every rule, the providers' own before the general ones: of two that fit equally well the first wins."""

from emailcfg.diagnosis.rules import envelope, google, login, message, microsoft, network, sendgrid, ses, tls
from emailcfg.diagnosis.rules.rule import Match, Rule, of

ALL: tuple[Rule, ...] = (
    *of(google.SERVICE, google.RULES),
    *of(microsoft.SERVICE, microsoft.RULES),
    *of(ses.SERVICE, ses.RULES),
    *of(sendgrid.SERVICE, sendgrid.RULES),
    *network.RULES,
    *tls.RULES,
    *login.RULES,
    *envelope.RULES,
    *message.RULES,
)

__all__ = ["ALL", "Match", "Rule"]
