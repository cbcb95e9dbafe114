"""The addresses of the product, read from the URL conf."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

# One value of each kind that an address may hold; nothing with it need exist.
EXAMPLES = {"number": "1", "a": "1", "b": "2", "pk": "1", "id": "1"}


@dataclass(frozen=True, slots=True)
class Address:
    """One route with example values, its name, and whether it has any."""

    path: str
    name: str
    has_values: bool


def addresses() -> list[Address]:
    return sorted(set(_walk(get_resolver(), "")), key=lambda address: address.path)


def pages() -> list[str]:
    """Paths that show a whole page to a logged-in administrator without any row in the database."""
    skipped = (
        "/api/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/setup/",
        "/omnibar/",
        "/status/live/",
        "/status/day/",
        "/accounts/login/",
        "/accounts/inactive/",
    )
    return [a.path for a in addresses() if not a.has_values and a.path != "/" and not a.path.startswith(skipped)]


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Address]:
    for entry in resolver.url_patterns:
        route = str(entry.pattern).lstrip("^").rstrip("$").replace("\\Z", "")
        if isinstance(entry, URLResolver):
            yield from _walk(entry, prefix + route)
        elif isinstance(entry, URLPattern):
            yield _filled(prefix + route, entry)


def _filled(route: str, entry: URLPattern) -> Address:
    converters = entry.pattern.converters
    path = "/" + route
    for name, converter in converters.items():
        example = EXAMPLES.get(name, "1" if "Int" in type(converter).__name__ else "x")
        path = path.replace(f"<{name}>", example)
        for kind in ("int", "str", "slug", "uuid", "path"):
            value = "00000000-0000-0000-0000-000000000001" if kind == "uuid" else example
            path = path.replace(f"<{kind}:{name}>", value)
    return Address(path, entry.name or "", "<" in route)
