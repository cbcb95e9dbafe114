"""What is decided before any other code sees a request: over what it came, from whom, and by which cookies.

- The client: `X-Forwarded-For` and `X-Forwarded-Proto` count only when a trusted proxy sent them.
- The way: plain HTTP from another machine is sent to HTTPS, so that no password crosses a network in clear. A form
  posted over it is refused instead of repeated: its content has crossed already, and a redirect would hide that.
- The cookies: over TLS they are named `__Host-…` (no other host and no plain page can set them); over loopback HTTP,
  where browsers refuse that prefix, they keep their bare names and lose `Secure`.
"""

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect

PREFIX = "__Host-"
# Answers that hold nothing private and that a load balancer asks for over plain HTTP.
PLAIN_PATHS = ("/healthz",)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class EdgeMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        proxied = _settle_client(request)
        if not (request.is_secure() or proxied or _is_loopback(_client(request)) or request.path in PLAIN_PATHS):
            return _to_https(request)
        _take_cookies(request)
        response = self.get_response(request)
        _give_cookies(response, secure=request.is_secure())
        if getattr(request, "user", None) is not None and request.user.is_authenticated:
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _settle_client(request: HttpRequest) -> bool:
    """Sets REMOTE_ADDR to the client's address and tells whether a trusted proxy stands between."""
    peer = _client(request)
    if peer is not None:  # in one form: with BIND=:: an IPv4 client comes as ::ffff:192.0.2.1
        request.META["REMOTE_ADDR"] = str(peer)
    forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
    if not _is_trusted(peer):
        request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return False
    # Read from the right: what stands left of the first address that is no proxy of ours, a client may have written.
    for part in reversed([part.strip() for part in forwarded.split(",")]):
        address = _address(part)
        if address is None:
            break
        request.META["REMOTE_ADDR"] = str(address)
        if not _is_trusted(address):
            break
    return True


def _client(request: HttpRequest) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return _address(request.META.get("REMOTE_ADDR", ""))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    return address is not None and any(address in net for net in settings.TRUSTED_PROXIES)


def _is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    return address is not None and address.is_loopback


def _to_https(request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(
            "This was sent over plain HTTP and is refused, because it crossed the network unencrypted. "
            f"Use HTTPS on port {settings.HTTPS_PORT}, and change any password it held.\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    host = f"[{host}]" if ":" in host else host
    return HttpResponseRedirect(f"https://{host}:{settings.HTTPS_PORT}{request.get_full_path()}", status=307)


def _take_cookies(request: HttpRequest) -> None:
    if not request.is_secure():
        return
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        request.COOKIES.pop(name, None)
        if PREFIX + name in request.COOKIES:
            request.COOKIES[name] = request.COOKIES[PREFIX + name]


def _give_cookies(response: HttpResponseBase, *, secure: bool) -> None:
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        morsel = response.cookies.get(name)
        if morsel is None:
            continue
        if not secure:
            morsel["secure"] = ""
            continue
        del response.cookies[name]
        response.cookies[PREFIX + name] = morsel.value
        given = response.cookies[PREFIX + name]
        for attribute in ("expires", "max-age", "httponly", "samesite"):
            given[attribute] = morsel[attribute]
        given["path"] = "/"
        given["secure"] = True
