"""The part of the HTTP API that sends mail and reads the log."""

from typing import Any, cast

from django.http import HttpRequest
from ninja import Body, Query, Router, Status

from emailcfg.problems import Problem, answers, require_scope
from outbound import instances, log_pages, messages
from outbound.api_schemas import (
    AcceptedOut,
    InstanceOut,
    MessageDetailOut,
    MessageIn,
    MessageOut,
    MessagePageOut,
    OneOrMany,
    PageIn,
)
from outbound.auth import actor_of
from outbound.models import ApiToken, Message
from outbound.submit import MAX_BATCH, BatchRefused, DiskNearlyFull, KeyReused, NotConfigured, submit

router = Router(tags=["messages"])


@router.post(
    "/messages",
    response={
        202: AcceptedOut | list[AcceptedOut],
        **answers(409),
    },
    summary="Send one message, or up to 1,000 at once",
)
def send(request: HttpRequest, payload: Body[OneOrMany]) -> Status[Any]:
    """Answers 202 once everything is on disk; a list is accepted as a whole or refused as a whole."""
    token = _token(request)
    require_scope(token, "messages:send")
    many = isinstance(payload, list)
    items = cast(list[MessageIn], payload if many else [payload])
    if many and not 1 <= len(items) <= MAX_BATCH:
        raise Problem(400, "batch_size", f"Send 1 to {MAX_BATCH:,} messages at once; these are {len(items):,}.")
    try:
        accepted = submit([item.submission() for item in items], token=token)
    except BatchRefused as error:
        fields = (
            {f"0.{path}": text for path, text in error.fields.items()} if many and len(items) == 1 else error.fields
        )
        raise Problem(
            400, "invalid_request", "Some fields are not valid. Nothing was accepted.", errors=fields
        ) from None
    except KeyReused as error:
        raise Problem(409, "idempotency_key_reused", str(error), index=error.index) from None
    except NotConfigured as error:
        raise Problem(503, "not_configured", str(error), retry_after_s=60) from None
    except DiskNearlyFull as error:
        raise Problem(503, "disk_nearly_full", str(error), retry_after_s=300) from None
    done = [{"id": str(one.id), "message_id": one.message_id} for one in accepted]
    return Status(202, done if many else done[0])


@router.get("/messages", response={200: MessagePageOut, **answers()}, summary="Read the log")
def read_log(request: HttpRequest, page: Query[PageIn]) -> dict[str, Any]:
    require_scope(_token(request), "messages:read")
    found = log_pages.page(
        log_pages.Filter(
            state=page.state or "",
            kind=_text(page.kind),
            search=_text(page.search),
            cause=_text(page.cause),
            doubted=page.in_doubt,
            diverted=page.diverted,
        ),
        before=page.cursor,
        limit=page.limit,
    )
    return {"messages": found.messages, "next_cursor": str(found.next_cursor) if found.next_cursor else None}


def _text(value: str) -> str:
    """Without NUL, which PostgreSQL does not compare."""
    return value.replace("\x00", "")


@router.get("/messages/{message_id}", response={200: MessageDetailOut, **answers(404)}, summary="Read one message")
def read_message(request: HttpRequest, message_id: str) -> Message:
    require_scope(_token(request), "messages:read")
    message = _message(message_id)
    log_pages.mark_diverted([message])
    return message


_VERB_RESPONSES = {200: MessageOut, **answers(404, 409)}


@router.post("/messages/{message_id}/retry", response=_VERB_RESPONSES, summary="Try again now")
def retry(request: HttpRequest, message_id: str) -> Message:
    """For a message that waits, failed, is in doubt, held or suppressed. 409 when it is being sent or was sent. A token
    without `messages:read` reaches only the messages it sent itself."""
    return _verb(request, message_id, messages.retry)


@router.post("/messages/{message_id}/cancel", response=_VERB_RESPONSES, summary="Don't send")
def cancel(request: HttpRequest, message_id: str) -> Message:
    """For a message that waits or is held. 409 when it is being sent or has ended. A token without `messages:read`
    reaches only the messages it sent itself."""
    return _verb(request, message_id, messages.cancel)


def _verb(request: HttpRequest, message_id: str, verb: Any) -> Message:
    token = _token(request)
    require_scope(token, "messages:send")
    message = _message(message_id, of=None if "messages:read" in token.scopes else token)
    try:
        verb(message.pk, actor=actor_of(request))
    except messages.NotPossible as error:
        raise Problem(409, "not_possible", str(error), state=error.state) from None
    message.refresh_from_db()
    return message


@router.get("/instances", response={200: list[InstanceOut], **answers()}, summary="Running processes")
def read_instances(request: HttpRequest) -> list[dict[str, Any]]:
    token = _token(request)
    if "config:read" not in token.scopes:
        require_scope(token, "messages:read")
    return [
        {**{name: getattr(one, name) for name in InstanceOut.model_fields}, "state": instances.state_of(one)}
        for one in instances.recent()
        if one.state != one.State.STOPPED
    ]


def _token(request: HttpRequest) -> ApiToken:
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]


def _message(message_id: str, *, of: ApiToken | None = None) -> Message:
    """The message of this id; `of` a token only what it handed over itself, for a program that may send and not read
    the log is not to learn of the mail of others, nor to stop it."""
    number = int(message_id) if message_id.isascii() and message_id.isdigit() and len(message_id) < 20 else -1
    message = Message.objects.filter(pk=number).first() if number < 2**63 else None
    if message is None or (of is not None and message.token_id != of.pk):
        raise Problem(404, "message_not_found", "There is no message of this id. Old records are deleted.")
    return message
