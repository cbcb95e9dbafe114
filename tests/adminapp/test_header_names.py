"""What a client writes under a name that a WSGI program can't tell from a proxy's."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypercorn.app_wrappers import WSGIWrapper

from adminapp.header_names import PlainHeaderNames


def seen(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """The environ of a request with these headers, through hypercorn's own wrapper for WSGI programs."""
    found: dict[str, Any] = {}

    def program(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found.update(environ)
        start_response("200 OK", [])
        return [b"ok"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    async def spawn(call: Callable[..., Any], *arguments: Any) -> None:
        call(*arguments)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1"}
    app = PlainHeaderNames(WSGIWrapper(program, 1000))  # type: ignore[arg-type]  # its types are narrower than it is
    call = app({**scope, "headers": list(headers)}, receive, send, spawn, lambda *_: None)
    with ThreadPoolExecutor(1) as thread:  # the tests' own thread may have Playwright's event loop running
        thread.submit(asyncio.run, call).result()
    return found


def test_a_client_can_not_add_to_what_the_proxy_says_of_it() -> None:
    environ = seen((b"x-forwarded-for", b"192.0.2.1"), (b"x_forwarded_for", b"127.0.0.1"), (b"host", b"a.example"))
    assert (environ["HTTP_X_FORWARDED_FOR"], environ["HTTP_HOST"]) == ("192.0.2.1", "a.example")


def test_other_headers_arrive_as_they_are() -> None:
    environ = seen((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"10.0.0.1"), (b"cookie", b"a_b=c_d"))
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1,10.0.0.1"
    assert environ["HTTP_COOKIE"] == "a_b=c_d"
