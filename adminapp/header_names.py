"""Takes header names with an underscore out of a request: for a WSGI program `X_Forwarded_For` is `X-Forwarded-For`.

A proxy that sets the one lets the other through as its client wrote it, and the two would be joined: whoever asks could
choose the address that attempts are counted by. No client of ours needs such names; nginx drops them by default.
"""

from collections.abc import Callable
from typing import Any

from hypercorn.typing import AppWrapper


class PlainHeaderNames:
    """Wraps hypercorn's application."""

    def __init__(self, app: AppWrapper) -> None:
        self.app = app

    async def __call__(
        self, scope: Any, receive: Any, send: Any, sync_spawn: Callable[..., Any], call_soon: Callable[..., Any]
    ) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name]}
        await self.app(scope, receive, send, sync_spawn, call_soon)
