"""The kinds of mail the service writes itself: what each is for and which values it takes.

The texts stand in `templates/mail/<kind>/{subject.txt,body.txt,body.html}`. Besides the values listed here every
template knows `product` (the sender's name) and `support_email`, both from the active configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from emailcfg import rules
from outbound.headers import encodable, text_line
from outbound.requests import BadRequest, MissingContext, UnknownContext

MAX_LINE_VALUE = 200  # characters
MAX_TEXT_VALUE = 50_000
MAX_URL = 900  # a List-Unsubscribe line may not be longer than 998

_URL = re.compile(
    r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#][a-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]{2,62})[A-Za-z0-9]")


class Form(StrEnum):
    """What a value may be."""

    LINE = "line"  # one line of text
    TEXT = "text"  # text of several lines
    URL = "url"  # an http or https URL in ASCII
    CODE = "code"  # letters and digits to type in


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a kind's context. A `live` value grants something to whoever holds it (a confirmation link,
    a code): it leaves in the mail and is not shown in the log."""

    name: str
    what: str
    sample: str
    form: Form = Form.LINE
    required: bool = True
    live: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of mail. `automatic` mail asks not to be answered by machines (RFC 3834). `unsubscribe` names the
    value that becomes List-Unsubscribe, or is ""."""

    name: str
    title: str
    purpose: str
    values: tuple[Value, ...] = ()
    automatic: bool = True
    unsubscribe: str = ""


_NAME = Value("name", "How the recipient is addressed", "Ana", required=False)
_EXPIRES = Value("expires_in", "How long the link or code works, in words", "24 hours", required=False)
_ORIGIN = Value("requested_from", "Where the request came from, in words", "Firefox on Linux", required=False)

_ALL = (
    Kind(
        "confirm",
        "Confirm an address",
        "Asks a person who signed up to confirm the address.",
        (
            Value(
                "confirm_url", "The confirmation link", "https://app.example.com/confirm/Zb3kQ9", Form.URL, live=True
            ),
            _NAME,
            _EXPIRES,
        ),
    ),
    Kind(
        "already_registered",
        "Address is already registered",
        "Tells a person who signs up again that there is an account, without telling anybody else.",
        (
            Value("login_url", "The login page", "https://app.example.com/login", Form.URL),
            Value(
                "reset_url",
                "Where a new password can be set",
                "https://app.example.com/reset/Vc4nB7",
                Form.URL,
                False,
                True,
            ),
            _NAME,
        ),
    ),
    Kind(
        "change_email",
        "Confirm a new address",
        "Asks the owner of an account to confirm its new address.",
        (
            Value("confirm_url", "The confirmation link", "https://app.example.com/change/7TqLm2", Form.URL, live=True),
            Value("new_email", "The new address", "ana.new@example.com"),
            Value("old_email", "The address until now", "ana@example.com", required=False),
            _NAME,
            _EXPIRES,
        ),
    ),
    Kind(
        "invite",
        "Invitation to a team",
        "Invites a person to join a team.",
        (
            Value("inviter_name", "Who invites", "Ben Okafor"),
            Value("team_name", "The team", "Berlin office"),
            Value("accept_url", "The invitation link", "https://app.example.com/join/p4XwRt", Form.URL, live=True),
            Value("message", "A personal message", "Good to have you with us.", Form.TEXT, required=False),
            _NAME,
            Value("expires_in", "How long the link works, in words", "7 days", required=False),
        ),
    ),
    Kind(
        "reset_password",
        "Set a new password",
        "Lets a person who forgot the password set a new one.",
        (
            Value(
                "reset_url", "The link to set a password", "https://app.example.com/reset/Kd81vF", Form.URL, live=True
            ),
            _NAME,
            Value("expires_in", "How long the link works, in words", "1 hour", required=False),
            _ORIGIN,
        ),
    ),
    Kind(
        "team_created",
        "Team created",
        "Tells the person who created a team that it is ready.",
        (
            Value("team_name", "The team", "Berlin office"),
            Value("team_url", "The team's page", "https://app.example.com/teams/berlin", Form.URL),
            _NAME,
        ),
    ),
    Kind(
        "notification",
        "Notification",
        "Tells a person what happened, with a link to it and a way to stop such mail.",
        (
            Value("title", "What happened, in a line", "Backup finished"),
            Value(
                "message", "What happened, in full", "The backup of 02:00 finished.\nNothing was skipped.", Form.TEXT
            ),
            Value(
                "action_url", "Where to look", "https://app.example.com/backups/812?k=h5Wn", Form.URL, False, live=True
            ),
            Value("action_label", "The words on the button", "Open the backup", required=False),
            Value(
                "unsubscribe_url",
                "Where such mail is stopped (one click, RFC 8058, when https)",
                "https://app.example.com/unsubscribe/9sYc3E",
                Form.URL,
                False,
                live=True,
            ),
            _NAME,
        ),
        unsubscribe="unsubscribe_url",
    ),
    Kind(
        "login_code",
        "Login code",
        "Carries a one-time code to log in with.",
        (
            Value("code", "The code", "481 516", Form.CODE, live=True),
            Value("expires_in", "How long the code works, in words", "10 minutes", required=False),
            _ORIGIN,
            _NAME,
        ),
    ),
    Kind(
        "raw", "Written by the product", "Carries the subject and the bodies that the request gives.", automatic=False
    ),
    Kind(
        "test",
        "Test message",
        "Proves a configuration: says which installation sent it, with which revision, through which server.",
        (
            Value("installation", "This installation's name or address", "mail.example.com"),
            Value("revision", "The revision, or “unsaved form”", "r42"),
            Value("server", "The server it went through", "smtp.example.com:587"),
            Value("sent_at", "When, with the time zone", "2 May 2026, 10:42 UTC"),
            Value("asked_by", "Who asked for it", "ana@example.com"),
            Value("receipt_code", "A code that proves receipt", "K7MP-42QX", Form.CODE, False, live=True),
            Value(
                "receipt_url",
                "A link that proves receipt",
                "https://mail.example.com/received/Uw2xJ6",
                Form.URL,
                False,
                live=True,
            ),
        ),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}


def kind_named(name: str) -> Kind:
    """The kind of this name. Raises BadRequest when there is none."""
    try:
        return KINDS[name]
    except (KeyError, TypeError):
        raise BadRequest({"kind": f"There is no such kind of mail. Use one of: {', '.join(KINDS)}."}) from None


def checked(kind: Kind, context: Mapping[str, str]) -> dict[str, str]:
    """The context with every optional value present ("" when not given).

    Raises MissingContext, UnknownContext or BadRequest, each with every field it concerns."""
    known = {value.name: value for value in kind.values}
    unknown = [str(name) for name in context if name not in known]
    if unknown:
        raise UnknownContext(unknown)
    missing = [value.name for value in kind.values if value.required and _is_blank(context.get(value.name))]
    if missing:
        raise MissingContext(missing)
    values, wrong = {}, {}
    for name, value in known.items():
        given = context.get(name)
        try:
            values[name] = "" if _is_blank(given) else _FORMS[value.form](given)
        except rules.Refused as refused:
            wrong[f"context.{name}"] = str(refused)
    if wrong:
        raise BadRequest(wrong)
    return values


def url(value: object) -> str:
    """An absolute http or https URL in ASCII without user name. Raises rules.Refused."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise rules.Refused("Give a whole http or https URL, with everything but ASCII percent-encoded.")
    if len(value) > MAX_URL:
        raise rules.Refused(f"This URL has {len(value)} characters. Use at most {MAX_URL}.")
    return value


def body(value: object, *, limit: int | None = None) -> str:
    """Text of several lines, line feeds as line ends. Raises rules.Refused."""
    if not isinstance(value, str):
        raise rules.Refused("Give text.")
    if limit is not None and len(value) > limit:
        raise rules.Refused(f"This has {len(value)} characters. Use at most {limit}.")
    if "\x00" in value:
        raise rules.Refused("This contains a NUL character, which a mail can't carry. Remove it.")
    if not value.isascii() and not encodable(value):
        raise rules.Refused("This contains half a character (a lone surrogate). Give complete Unicode text.")
    return value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise rules.Refused("Give text.")
    if len(value) > MAX_LINE_VALUE:
        raise rules.Refused(f"This has {len(value)} characters. Use at most {MAX_LINE_VALUE}.")
    return text_line(value)


def _text(value: object) -> str:
    return body(value, limit=MAX_TEXT_VALUE)


def _code(value: object) -> str:
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise rules.Refused("Give a code of 4 to 64 letters and digits; spaces and hyphens may stand between them.")
    return value


_FORMS = {Form.LINE: _line, Form.TEXT: _text, Form.URL: url, Form.CODE: _code}
