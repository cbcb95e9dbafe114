"""After a refused login or key: what else would have taken it. The counter-probes that use the secret.

Each goes only where the secret was entered for: to the same host and port with the same encryption, or to SendGrid's
own other host. Each tries once, for servers lock accounts that log in too often, and sends no mail.
"""

from collections.abc import Mapping

from emailcfg.diagnosis.counterprobe import Alternative
from emailcfg.network import NetworkPolicy
from emailcfg.providers.base import Failure, SessionError, Stage
from emailcfg.providers.sendgrid import BASE_URLS, SendGridSession
from emailcfg.providers.smtp import SmtpSession
from emailcfg.providers.smtp_dialogue import MECHANISMS
from emailcfg.schema import AuthMechanism, Region, SendGrid, Smtp

# Refusals after which another login method may be taken. A limit (454, 421 4.7.x) is none: another attempt prolongs it.
_REFUSED = {"login_refused", "auth_not_accepted", "mechanism_not_offered"}
# Explanations that leave it open why. Where the server has said what it wants (an app password, a switched-off
# mailbox, a suspended account), another attempt would only count against the account.
_OPEN = {
    "login-refused",
    "login-method-not-shared",
    "login-method-not-offered",
    "login-not-offered",
    "password-not-ascii",
    "general-login-5xx",
}


def other_mechanism(
    smtp: Smtp,
    failure: Failure,
    *,
    explained: str,
    learnt: Mapping[str, object],
    policy: NetworkPolicy,
    ehlo_name: str = "",
    trust_file: str | None = None,
    deadline_s: float = 8.0,
) -> Alternative | None:
    """Whether the server takes the same login by the other method that it offers: one attempt, on a connection of its
    own. `explained` is the code of the failure's explanation, `learnt` the facts of its steps.

    None without an attempt when nothing else is offered, both were tried, or the reason is known to be another."""
    other = _untried(failure, learnt) if explained in _OPEN else None
    if other is None or smtp.password is None:
        return None
    method: AuthMechanism = "plain" if other == "PLAIN" else "login"
    session = SmtpSession(
        smtp.model_copy(update={"auth_mechanism": method}),
        policy=policy,
        ehlo_default=ehlo_name,
        deadline_s=deadline_s,
        trust_file=trust_file,
    )
    try:
        session.open()
    except SessionError:
        return None
    finally:
        session.close()
    # What "auto" would choose by itself needs no fixed method.
    change: AuthMechanism = "auto" if other == _first_offered(learnt) else method
    sentence = f"{smtp.host} takes the same user name and password by {other}, another login method that it offers."
    return Alternative({"smtp.auth_mechanism": change}, Stage.LOGIN, sentence)


def _untried(failure: Failure, learnt: Mapping[str, object]) -> str | None:
    if failure.stage is not Stage.LOGIN or failure.reason not in _REFUSED or learnt.get("mechanism_refused"):
        return None
    tried = learnt.get("mechanism") or learnt.get("mechanism_set")
    return next((name for name in _offered(learnt) if name != tried), None)


def _offered(learnt: Mapping[str, object]) -> list[str]:
    offered = learnt.get("mechanisms")
    return [name for name in MECHANISMS if isinstance(offered, list) and name in offered]


def _first_offered(learnt: Mapping[str, object]) -> str:
    return _offered(learnt)[0]


def other_region(
    config: SendGrid,
    failure: Failure,
    *,
    base_urls: Mapping[str, str] = BASE_URLS,
    deadline_s: float = 8.0,
    trust_file: str | None = None,
) -> Alternative | None:
    """Whether SendGrid's host of the other region knows a key that was refused as unknown: `GET /v3/scopes`.

    Unlike SMTP's probes this does send the key, for nothing else could tell: to SendGrid's own other host and to
    no other, over verified TLS. Not for an installation whose API address the operator has replaced."""
    if failure.reply is None or failure.reply.code != 401 or "credits" in failure.reply.text.lower():
        return None
    other: Region = "global" if config.region == "eu" else "eu"
    session = SendGridSession(
        config.model_copy(update={"region": other}),
        api_url=base_urls[other],
        deadline_s=deadline_s,
        trust_file=trust_file,
    )
    try:
        session.open()
    except SessionError as error:
        if error.failure.reason != "scope_missing":  # a key that may not send is known all the same
            return None
    finally:
        session.close()
    name = {"eu": "EU", "global": "global"}[other]
    sentence = f"The key is known in SendGrid's {name} region. Switch Region to “{name}”."
    return Alternative({"sendgrid.region": other}, Stage.KEY, sentence)
