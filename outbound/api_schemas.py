"""The shapes of requests and answers of the API that sends mail and reads the log."""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from outbound import pauses
from outbound.models import Message, Priority, State
from outbound.requests import Attachment, Recipient, Request
from outbound.submit import Submission

_PRIORITIES = {"high": Priority.HIGH, "normal": Priority.NORMAL, "bulk": Priority.BULK}


class _Strict(BaseModel):
    """What comes in. Not ninja's Schema: its way to read objects of Django costs each request more than the rest."""

    model_config = ConfigDict(extra="forbid")


def _address_alone(value: Any) -> Any:
    return {"email": value} if isinstance(value, str) else value


class RecipientIn(_Strict):
    """An address with an optional display name; a bare string is an address."""

    email: str = Field(max_length=320)
    name: str = Field("", max_length=200)


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("base64", "Give the file's content in base64.")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "Give the file's content in base64.") from None


def _in_this_calendar(value: datetime) -> datetime:
    if value.year > 9000:  # with the time for retries, the end of what a date can hold
        raise PydanticCustomError("too_late", "Give a time before the year 9000.")
    return value


class AttachmentIn(_Strict):
    """A file; `content` is base64."""

    filename: str = Field(max_length=200)
    content_type: str = Field("application/octet-stream", max_length=127)
    content: Annotated[bytes, BeforeValidator(_decoded, json_schema_input_type=str)]


AddressIn = Annotated[RecipientIn, BeforeValidator(_address_alone, json_schema_input_type=RecipientIn | str)]


class MessageIn(_Strict):
    """One mail: a kind with its context, or `raw` with subject and text, html or both, which may be empty."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "confirm",
                "to": [{"email": "grace@example.com", "name": "Grace"}],
                "context": {"confirm_url": "https://app.acme.com/confirm/8f2d"},
                "idempotency_key": "signup-4711",
            }
        },
    )

    kind: str = Field("raw", max_length=32)
    to: list[AddressIn] = Field(max_length=100)
    cc: list[AddressIn] = Field(default_factory=list, max_length=100)
    bcc: list[AddressIn] = Field(default_factory=list, max_length=100)
    context: dict[str, str] = Field(default_factory=dict, max_length=50)
    subject: str | None = Field(None, max_length=998)
    text: str | None = Field(None, max_length=5_000_000)
    html: str | None = Field(None, max_length=5_000_000)
    reply_to: list[AddressIn] = Field(default_factory=list, max_length=10)
    reply_to_token: str = Field("", max_length=64)
    list_unsubscribe_url: str = Field("", max_length=900)
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    attachments: list[AttachmentIn] = Field(default_factory=list, max_length=50)
    not_before: Annotated[AwareDatetime, AfterValidator(_in_this_calendar)] | None = None
    priority: Literal["high", "normal", "bulk"] = "normal"
    idempotency_key: str = Field("", max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")

    def submission(self) -> Submission:
        key = self.idempotency_key
        content = self.__dict__ if key else {}
        return Submission(
            request=Request(
                kind=self.kind,
                to=tuple([Recipient(one.email, one.name) for one in self.to]),
                cc=tuple([Recipient(one.email, one.name) for one in self.cc]),
                bcc=tuple([Recipient(one.email, one.name) for one in self.bcc]),
                context=self.context,
                subject=self.subject,
                text=self.text,
                html=self.html,
                reply_to=tuple([Recipient(one.email, one.name) for one in self.reply_to]),
                reply_to_token=self.reply_to_token,
                list_unsubscribe_url=self.list_unsubscribe_url,
                headers=tuple(self.headers.items()),
                attachments=tuple(
                    [Attachment(one.filename, one.content_type, one.content) for one in self.attachments]
                ),
            ),
            not_before=self.not_before,
            priority=_PRIORITIES[self.priority],
            idempotency_key=key,
            body_hash=_hash_of(content) if key else "",
        )


def _hash_of(content: dict[str, Any]) -> str:
    """Of everything but the key itself, whatever the order in which the request wrote it, and whether it wrote what is
    empty."""
    digest = hashlib.sha256()
    for name in sorted(content):
        value = content[name]
        if value and name != "idempotency_key":
            if isinstance(value, dict):
                value = sorted(value.items())
            elif isinstance(value, list):  # of recipients or attachments
                value = [one.__dict__ for one in value]
            text = (value if isinstance(value, str) else repr(value)).encode("utf-8", "surrogatepass")
            digest.update(b"%b=%d:%b" % (name.encode(), len(text), text))
    return digest.hexdigest()


class AcceptedOut(BaseModel):
    """A message that is durably queued. `id` is for this API, `message_id` is the mail's Message-ID header."""

    id: str
    message_id: str


OneOrMany = Annotated[
    Annotated[MessageIn, Tag("one")] | Annotated[list[MessageIn], Tag("many")],
    Discriminator(lambda value: "many" if isinstance(value, list) else "one"),
]


class MessageOut(Schema):
    """A message of the log. `state` is derived from its recipients; `cause` is a stable word. `diverted` is a sentence
    that names the address, where a sent message went there because all mail was diverted; else it is empty."""

    id: str
    kind: str
    state: str
    cause: str
    subject: str
    message_id: str
    first_recipient: str
    recipient_count: int
    priority: str
    attempts: int
    copies_in_doubt: int
    diverted: str
    size: int
    created_at: datetime
    changed_at: datetime
    due_at: datetime | None

    @staticmethod
    def resolve_id(message: Message) -> str:
        return str(message.pk)

    @staticmethod
    def resolve_priority(message: Message) -> str:
        return Priority(message.priority).label

    @staticmethod
    def resolve_copies_in_doubt(message: Message) -> int:
        return message.doubts


class RecipientOut(Schema):
    address: str
    state: str
    code: int
    text: str


class AttemptOut(Schema):
    at: datetime
    revision: int | None
    generation: int | None
    server: str
    tls: str
    code: int
    enhanced: str
    reply: str
    provider_id: str
    stage: str
    error_class: str
    reason: str
    note: str
    ms: float


class PauseOut(Schema):
    """A time in which nothing was sent because somebody paused it; `until` is null while it lasts."""

    since: datetime
    until: datetime | None
    by: str
    reason: str


class MessageDetailOut(MessageOut):
    """A message with its recipients, every attempt, and the pauses it waited through, oldest first."""

    recipients: list[RecipientOut]
    attempt_log: list[AttemptOut]
    pauses: list[PauseOut]

    @staticmethod
    def resolve_recipients(message: Message) -> list[Any]:
        return list(message.recipients.all())

    @staticmethod
    def resolve_attempt_log(message: Message) -> list[Any]:
        return list(message.attempt_log.all())

    @staticmethod
    def resolve_pauses(message: Message) -> list[Any]:
        return list(pauses.of_message(message))


class MessagePageOut(Schema):
    """One page of the log, newest first. Give `next_cursor` as `cursor` for the next; null at the end."""

    messages: list[MessageOut]
    next_cursor: str | None


class PageIn(Schema):
    cursor: int | None = Field(None, ge=0, le=2**63 - 1)
    state: State | None = None
    kind: str = Field("", max_length=32)
    search: str = Field(
        "", max_length=320, description="An address, a subject or the beginning of one, a Message-ID, an id"
    )
    cause: str = Field("", max_length=48, description="Only messages that are not sent for this cause")
    in_doubt: bool = Field(False, description="Only messages of which a copy too many may exist")
    diverted: bool = Field(False, description="Only messages that went where all mail was diverted to")
    limit: int = Field(50, ge=1, le=500)


class InstanceOut(Schema):
    """A web or service process and the configuration generation it runs. `state` is also `lost`."""

    instance: str
    role: str
    host: str
    pid: int
    version: str
    state: str
    generation: int | None
    error: str
    started_at: datetime
    last_seen: datetime
