"""The honest general explanation of a failure no rule knows: its stage, and whether it is for now or for good."""

from emailcfg.diagnosis.rules.rule import Rule
from emailcfg.providers.base import Stage

_WHAT = {
    Stage.RESOLVE: ("The host name could not be turned into an address.", "looking up {host}"),
    Stage.CONNECT: ("The server could not be reached.", "connecting to {host} on port {port}"),
    Stage.GREETING: ("The server did not let us in.", "waiting for the greeting of {host}"),
    Stage.TLS: ("The encrypted connection could not be set up.", "setting up TLS with {host}"),
    Stage.EHLO: ("The server did not take our introduction.", "the EHLO command"),
    Stage.LOGIN: ("The login failed.", "the login as {username}"),
    Stage.KEY: ("The API key could not be checked.", "checking the API key with {host}"),
    Stage.SENDER: ("The sender was not accepted.", "naming the sender {sender}"),
    Stage.RECIPIENT: ("The recipient was not accepted.", "naming the recipient {recipient}"),
    Stage.DATA: ("The message was not accepted.", "handing over the message"),
    Stage.ACCEPTED: ("The message was not confirmed.", "waiting for the confirmation of {host}"),
}
_SETTINGS = {
    Stage.RESOLVE: "Check the host name and the DNS settings of this machine, then test again.",
    Stage.CONNECT: "Check host name and port with your provider's instructions, then test again.",
    Stage.GREETING: "Ask the operator of {host} whether this machine's address may connect, and read the raw words.",
    Stage.TLS: "Check port and Security with your provider's instructions, then test again.",
    Stage.EHLO: "Enter a real host name of yours as “EHLO name”, then test again.",
    Stage.LOGIN: "Check user name and password with your provider's instructions, then test again.",
    Stage.KEY: "Create a new API key that may send mail, enter it, and test again.",
    Stage.SENDER: "Check the sender address, and whether this account may send as it.",
    Stage.RECIPIENT: "Check the recipient's address; other recipients are not concerned.",
    Stage.DATA: "Read the raw words for the reason; size, content and sender are the usual ones.",
    Stage.ACCEPTED: "Look for the mail at the recipient before you send it again.",
}


def general(stage: Stage | None, code: int | None) -> Rule:
    """The explanation of a class: 4xx and 5xx of a stage, another code, or no code (a local cause)."""
    title, doing = _WHAT.get(stage, ("The server refused.", "the dialogue")) if stage else _UNPLACED
    name = f"general-{stage or 'reply'}"
    advice = _SETTINGS[stage] if stage else "Read the raw words, and ask the operator of the server what they mean."
    if code is None:
        cause = f"{_start(doing)} went wrong, and the product has no closer explanation for the raw words below."
        return Rule(name, title, cause, advice, ())
    if 400 <= code < 500:
        cause = f"The server answered {{code}} to {doing}. A code from 400 to 499 means: not now, perhaps later."
        return Rule(f"{name}-4xx", title, cause, "Wait and test again. " + advice, ())
    if 500 <= code < 600:
        cause = f"The server answered {{code}} to {doing}. A code from 500 to 599 means: no, and no again as it stands."
        return Rule(f"{name}-5xx", title, cause, advice, ())
    cause = f"The server answered {{code}} to {doing}, which does not belong there."
    return Rule(f"{name}-other", title, cause, advice, ())


def general_http(stage: Stage, code: int) -> Rule:
    """The same for an HTTP API, whose codes mean something else: 4xx is about the request."""
    title, doing = _WHAT[stage]
    if 400 <= code < 500:
        cause = f"The service answered HTTP {{code}} to {doing}. A code from 400 to 499 refuses the request as it is."
        return Rule(f"general-{stage}-http-4xx", title, cause, _SETTINGS[stage], ())
    if 500 <= code < 600:
        cause = f"The service answered HTTP {{code}} to {doing}. A code from 500 to 599 is a trouble of the service."
        return Rule(f"general-{stage}-http-5xx", title, cause, "Nothing needs to change; test again later.", ())
    cause = f"The service answered HTTP {{code}} to {doing}, which is not an answer of SendGrid's interface."
    return Rule(f"general-{stage}-http-other", title, cause, "Check the address of the service and proxies.", ())


_UNPLACED = ("The server refused.", "the dialogue")


def _start(doing: str) -> str:
    return doing[0].upper() + doing[1:]
