"""Why something failed, in plain words: the best rule for a failure, or the honest explanation of its class."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from emailcfg.diagnosis.facts import Context, context_of, known, learnt_from, secret_shape
from emailcfg.diagnosis.rules import ALL, Match, Rule
from emailcfg.diagnosis.rules.general import general, general_http
from emailcfg.diagnosis.rules.rule import Service
from emailcfg.providers.base import Failure, Stage

__all__ = ["Context", "Explanation", "Seen", "best", "context_of", "explain", "learnt_from", "secret_shape", "tell"]

# What a sentence says where a fact is not known.
_UNKNOWN = {
    "host": "the server",
    "port": "this port",
    "username": "this account",
    "sender": "the sender address",
    "sender_domain": "your domain",
    "recipient": "the recipient",
    "code": "with an error",
    "region": "another region",
    "host_region": "another region",
    "version_fails": "IPv6",
    "version_works": "IPv4",
}
_TWICE = re.compile(r"\b(?:the )?(port|recipient|account|domain) (this|the|your) \1\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the administrator reads. `code` is stable, for machines; `help_page` is plain text, never a link;
    `facts` are the values the sentences used; `why` says what the rule was recognised by; `words` are the raw
    words of the server or of the local cause."""

    code: str
    title: str
    cause: str
    next_step: str
    help_page: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    words: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "title": self.title,
            "cause": self.cause,
            "next_step": self.next_step,
            "help_page": self.help_page,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What rules are matched against. None means: not known (a pasted line tells no stage). `host` is where the
    text comes from when `host_sure`, else one that the text mentions."""

    text: str
    code: int | None = None
    enhanced: str = ""
    reason: str = ""
    stage: Stage | None = None
    host: str = ""
    provider: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    preset: str = ""
    host_sure: bool = False


def explain(failure: Failure, *, context: Context) -> Explanation:
    """Never raises and never says nothing: a failure no rule knows is explained by its class."""
    facts = known(failure, context)
    reply = failure.reply
    seen = Seen(
        text=" ".join(filter(None, (reply.text if reply else "", failure.detail))),
        code=reply.code if reply else None,
        enhanced=reply.enhanced if reply else "",
        reason=failure.reason,
        stage=failure.stage,
        host=context.host,
        provider=context.provider or "smtp",
        facts=facts,
        preset=context.preset,
        host_sure=bool(context.host),
    )
    found = best(seen)
    if found:
        return tell(found[0].rule, facts, why=found[0].why, words=failure.words)
    if context.provider == "sendgrid" and reply is not None:
        rule = general_http(failure.stage, reply.code)
    else:
        rule = general(failure.stage, reply.code if reply else None)
    return tell(rule, facts, why="The class of the answer.", words=failure.words)


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that fits, how much what it was recognised by says, and that in words."""

    rule: Rule
    weight: int
    why: str


def best(seen: Seen, *, rules: Iterable[Rule] = ALL) -> list[Found]:
    """The rules that fit, the most telling first; of equals the first in the list."""
    found = []
    for rule in rules:
        if rule.service is not None and _is_elsewhere(rule.service, seen):
            continue
        fitting = [match for match in rule.when if _fits(match, seen)]
        if fitting:
            weight, match = max(((_weight(match, seen), match) for match in fitting), key=lambda pair: pair[0])
            found.append(Found(rule, weight, _why(match, seen)))
    return sorted(found, key=lambda item: -item.weight)


def tell(rule: Rule, facts: Mapping[str, str], *, why: str = "", words: str = "") -> Explanation:
    """A rule's sentences with the facts in their places."""
    cause = " ".join([rule.cause, *(sentence for fact, sentence in rule.notes if fact in facts)])

    def filled(text: str) -> str:
        return _without_unknown(text, facts).format_map(facts)

    return Explanation(
        code=rule.code,
        title=filled(rule.title),
        cause=filled(cause),
        next_step=filled(rule.next_step),
        help_page=rule.help_page,
        facts=dict(facts),
        why=why,
        words=words,
    )


def _is_elsewhere(service: Service, seen: Seen) -> bool:
    """Whether the server is known to be another one, and the text does not bear the service's own words."""
    if not seen.host_sure or seen.provider == service.provider == "sendgrid":
        return False
    at_home = seen.preset in service.presets or _pattern(service.hosts).search(seen.host) is not None
    return not at_home and _pattern(service.signature).search(seen.text) is None


def _without_unknown(text: str, facts: Mapping[str, str]) -> str:
    """A sentence in which the facts that are not known are words: "port {port}" becomes "this port"."""
    for name, words in _UNKNOWN.items():
        if name not in facts:
            text = text.replace(f"{{{name}}}", words)
    text = _TWICE.sub(lambda found: found.group(2) + " " + found.group(1).lower(), text)
    return text[:1].upper() + text[1:] if text[:1] != "{" else text


def _fits(match: Match, seen: Seen) -> bool:
    # Where a pasted text tells no stage or provider, only words or an enhanced code may decide without.
    telling = bool(match.words or match.enhanced)
    return (
        (not match.stages or seen.stage in match.stages or (seen.stage is None and telling))
        and (not match.provider or seen.provider == match.provider or (not seen.provider and bool(match.words)))
        and not (match.pasted and seen.reason)
        and (not match.codes or seen.code in match.codes)
        and (not match.enhanced or seen.enhanced in match.enhanced)
        and (not match.reasons or seen.reason in match.reasons)
        and all(fact in seen.facts for fact in match.facts)
        and (not match.hosts or _pattern(match.hosts).search(seen.host) is not None)
        and (not match.words or _pattern(match.words).search(seen.text) is not None)
    )


def _weight(match: Match, seen: Seen) -> int:
    hit = _pattern(match.words).search(seen.text) if match.words else None
    unsure = bool(match.stages and seen.stage is None) + bool(match.provider and not seen.provider)
    return match.weight(len(hit.group()) if hit else 0) - unsure


@lru_cache(maxsize=1024)
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def _why(match: Match, seen: Seen) -> str:
    parts = []
    if match.words and (hit := _pattern(match.words).search(seen.text)):
        parts.append(f"the words “{hit.group()[:80]}”")
    if match.enhanced:
        parts.append(f"the enhanced code {seen.enhanced}")
    if match.codes:
        parts.append(f"the code {seen.code}")
    if match.reasons:
        parts.append(f"the cause {seen.reason}")
    if match.hosts:
        parts.append(f"the host {seen.host}")
    if match.stages and seen.stage:
        parts.append(f"the step {seen.stage}")
    return f"Recognised by {', '.join(parts)}." if parts else "Recognised by what is known of the settings."
