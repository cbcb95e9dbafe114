"""The shape of a rule: what a failure looks like, and what to tell the administrator about it.

Texts may name facts in braces (`{host}`, `{sender}`, `{our_address}`); `facts.py` lists them. Texts are
written by us; whatever a server said reaches the page only as a fact or as raw words, never as a format.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from emailcfg.providers.base import Stage


@dataclass(frozen=True, slots=True)
class Match:
    """One look of a failure. Everything that is given must hold; within one field any value will do.

    `words` is a regular expression searched, without regard to case, in the server's text and the local
    cause. `hosts` is one searched in the configured host name. `facts` names facts that must be known. `pasted`
    looks are for texts out of a log only: a session of ours names the reason itself, and words would be a guess.
    """

    stages: tuple[Stage, ...] = ()
    codes: tuple[int, ...] = ()
    enhanced: tuple[str, ...] = ()
    words: str = ""
    reasons: tuple[str, ...] = ()
    hosts: str = ""
    facts: tuple[str, ...] = ()
    provider: str = ""
    pasted: bool = False

    def weight(self, words_found: int) -> int:
        """How much this look says when it holds; the heaviest wins. `words_found` is the length of what the
        words found: a longer phrase says more. Words and facts say more than codes: one code stands for many
        causes (535 above all)."""
        return (
            (10 + min(words_found // 3, 12)) * bool(self.words)
            + 8 * len(self.facts)
            + 5 * bool(self.enhanced)
            + 4 * bool(self.hosts)
            + 3 * bool(self.reasons)
            + 2 * bool(self.codes)
            + bool(self.stages)
            + bool(self.provider)
        )


@dataclass(frozen=True, slots=True)
class Service:
    """A mail service that rules are about. Where the server is known to be another one (not of `hosts`, nor set up
    by one of `presets`, nor reached as `provider`), its rules hold only when the text itself bears the service's
    `signature`: words that no other program says."""

    hosts: str
    signature: str
    presets: tuple[str, ...] = ()
    provider: str = "smtp"


@dataclass(frozen=True, slots=True)
class Rule:
    """An explanation with a stable `code`. `notes` are further sentences of the cause, each added when its
    fact is known. `help_page` names a page as plain text; the product never links to it or opens it. `service` is
    set for the rules of one mail service, None for those of any server."""

    code: str
    title: str
    cause: str
    next_step: str
    when: tuple[Match, ...]
    help_page: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    service: Service | None = None


def of(service: Service, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules as rules of this service."""
    return tuple(replace(rule, service=service) for rule in rules)


RESOLVE, CONNECT, GREETING, TLS = (Stage.RESOLVE,), (Stage.CONNECT,), (Stage.GREETING,), (Stage.TLS,)
EHLO, LOGIN, KEY, SENDER = (Stage.EHLO,), (Stage.LOGIN,), (Stage.KEY,), (Stage.SENDER,)
RECIPIENT, DATA = (Stage.RECIPIENT,), (Stage.DATA, Stage.ACCEPTED)
OPENING = (Stage.CONNECT, Stage.GREETING)
ENVELOPE = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ACCEPTED)
