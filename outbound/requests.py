"""A request for one mail as a product states it, and the ways in which one is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outbound.mime import Attachment

__all__ = ["Attachment", "BadRequest", "MissingContext", "Recipient", "Request", "UnknownContext"]


class BadRequest(ValueError):
    """A request that can't become a mail. `fields` maps the path of each wrong field ("context.accept_url",
    "to.0.email") to a sentence for whoever sent it. No sentence repeats a value of the context."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{path}: {sentence}" for path, sentence in fields.items()))
        self.fields = dict(fields)


class MissingContext(BadRequest):
    """Values that the kind needs are not given. `names` holds their names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__({f"context.{name}": "This value is required for this kind of mail." for name in names})
        self.names = tuple(names)


class UnknownContext(BadRequest):
    """Values are given that the kind does not have. `names` holds their names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__({f"context.{name}": "This kind of mail has no such value." for name in names})
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who receives: a bare address, and a display name or ""."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One mail. Every kind but `raw` takes `context`; `raw` takes `subject` and at least one of `text` and `html`,
    each of which may be empty.

    `bcc` receives and stands in no header. `reply_to` is for raw mail and replaces what is configured; `reply_to_token`
    makes replies go to `<token>@<reply-to domain>` where that domain is configured. `list_unsubscribe_url` is for raw
    mail; a kind takes it from its context. `headers` adds fields to raw mail: `X-...` and the names in
    `checks.EXTRA_HEADERS`."""

    kind: str
    to: tuple[Recipient, ...]
    context: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    cc: tuple[Recipient, ...] = ()
    bcc: tuple[Recipient, ...] = ()
    reply_to: tuple[Recipient, ...] = ()
    reply_to_token: str = ""
    list_unsubscribe_url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
