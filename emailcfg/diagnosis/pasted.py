"""Explain an error from any pasted text: lines of a mail server's or program's log, with junk around them."""

import re
from dataclasses import dataclass, replace

from emailcfg.diagnosis.explain import Context, Explanation, Seen, best, tell
from emailcfg.diagnosis.facts import known
from emailcfg.diagnosis.rules.general import general
from emailcfg.providers.base import ErrorClass, Failure, Reply, Stage

LIMIT = 64 * 1024  # characters of a paste that are looked at
_LINES = 400  # different lines that rules are tried on; those with a code first
_LINE = 1000  # characters; a longer line is read in pieces
_FINDINGS = 5

_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.:/\[-])([245][0-5]\d)(?=[ \-#,:;)\"'\]}]|$)")
_BYTES_REPLY = re.compile(r"\((\d{3}), ?b['\"]")
_HTTP = re.compile(
    r"\bHTTP(?:/\d(?:\.\d)?| status| error)?:? (\d{3})\b|\bstatus(?:_?code)?\W{1,4}(\d{3})\b", re.IGNORECASE
)
_KNOWN_DOMAIN = re.compile(r"(?:gmail|google|office365|outlook|sendgrid|amazonaws)\.(?:com|net)\b", re.IGNORECASE)
_LABELS_BEFORE = re.compile(r"[a-z0-9.-]{0,80}$", re.IGNORECASE)
# What a log says about the step, the surest first.
_STAGES = (
    (
        re.compile(r"in reply to (?:end of DATA|DATA)|end of data|SMTPDataError|command: DATA|after DATA", re.I),
        Stage.DATA,
    ),
    (re.compile(r"RCPT TO|SMTPRecipientsRefused|RCPT from|NOQUEUE|recipients? rejected", re.I), Stage.RECIPIENT),
    (re.compile(r"MAIL FROM|SMTPSenderRefused|MAIL command", re.I), Stage.SENDER),
    (re.compile(r"SMTPAuthenticationError|\bAUTH\b|SASL|EAUTH|Invalid login", re.I), Stage.LOGIN),
    (re.compile(r"SMTPHeloError|\b(?:EHLO|HELO)\b", re.I), Stage.EHLO),
    (re.compile(r"STARTTLS|SSLError|SSL_|\bTLS\b|certificate", re.I), Stage.TLS),
    (re.compile(r"initial (?:server )?greeting|banner|SMTPConnectError", re.I), Stage.GREETING),
    (re.compile(r"\bconnect(?:ion)?\b", re.I), Stage.CONNECT),
)


@dataclass(frozen=True, slots=True)
class _Clue:
    """One stretch of the paste that reads like an error."""

    line: str
    code: int | None
    enhanced: str
    stage: Stage | None
    provider: str


def explain_text(text: str, *, context: Context | None = None) -> list[Explanation]:
    """The best explanations for a pasted text, the surest first, at most five; empty when nothing in it looks
    like an error. Each one says by what it was recognised. Never raises; looks at the first 64 KB."""
    context = context or Context()
    scored: dict[str, tuple[int, Explanation]] = {}
    host_of_all = _host_in(text[:LIMIT])
    for clue in _clues(text[:LIMIT]):
        failure = _as_failure(clue)
        facts = known(failure, context)
        facts.pop("our_address", None)  # in a log the address may be the other side's
        seen = Seen(
            text=clue.line,
            code=clue.code,
            enhanced=clue.enhanced,
            stage=clue.stage,
            host=context.host or _host_in(clue.line) or host_of_all,
            provider=context.provider or clue.provider,
            facts=facts,
            preset=context.preset,
            host_sure=bool(context.host),
        )
        found = best(seen)
        for rank, item in enumerate(found[:2]):
            weight = item.weight - 10 * rank
            told = tell(item.rule, facts, why=item.why, words=clue.line.strip()[:1024])
            if told.code not in scored or scored[told.code][0] < weight:
                scored[told.code] = (weight, told)
        if clue.code and clue.code >= 400 and not found:
            told = tell(general(clue.stage, clue.code), facts, why="The class of the answer.", words=clue.line[:1024])
            scored.setdefault(told.code, (0, told))
    ranked = sorted(scored.values(), key=lambda item: -item[0])
    return [told for _, told in ranked[:_FINDINGS]]


def _clues(text: str) -> list[_Clue]:
    """Each line by itself, and multi-line replies ("535-5.7.8 ..." then "535 5.7.8 ...") as one."""
    clues: list[_Clue] = []
    for line in _joined(text):
        http = _HTTP.search(line)
        number = _BYTES_REPLY.search(line) or _REPLY.search(line)
        code = int(next(filter(None, http.groups()))) if http else int(number.group(1)) if number else None
        enhanced = _ENHANCED.search(line)
        stage = next((stage for pattern, stage in _STAGES if pattern.search(line)), None)
        clues.append(
            _Clue(
                line=line,
                code=code,
                enhanced=enhanced.group(1) if enhanced else "",
                stage=stage,
                provider="sendgrid" if http else "",
            )
        )
    clues.sort(key=lambda clue: not (clue.code or clue.enhanced))  # stable: else the order of the text
    return clues[:_LINES]


def _host_in(text: str) -> str:
    """The first host name in a text that belongs to a known mail service."""
    domain = _KNOWN_DOMAIN.search(text)
    if domain is None:
        return ""
    before = _LABELS_BEFORE.search(text[max(0, domain.start() - 80) : domain.start()])
    return ((before.group() if before else "") + domain.group()).lower()


def _joined(text: str) -> list[str]:
    lines: list[str] = []
    continued = ""
    for raw in re.split(r"\r\n|\r|\n|\\r\\n|\\n", text):
        line = raw.strip()
        if not line:
            continue
        reply = re.match(r"(?:.*?\s)?([245][0-5]\d)([ -])", line)
        if reply and continued == reply.group(1) and lines and len(lines[-1]) < _LINE:
            lines[-1] += " " + line
        elif raw[:1] in " \t" and lines and len(lines[-1]) < _LINE:
            lines[-1] += " " + line  # a folded line
        else:
            lines.append(line)
        continued = reply.group(1) if reply and reply.group(2) == "-" else ""
    pieces = [line[start : start + _LINE] for line in lines for start in range(0, len(line), _LINE)]
    return list(dict.fromkeys(pieces))


def _as_failure(clue: _Clue) -> Failure:
    reply = Reply(clue.code, clue.line, clue.enhanced) if clue.code else None
    failure = Failure(clue.stage or Stage.DATA, ErrorClass.HOST, "", reply)
    return failure if reply else replace(failure, detail=clue.line)
