"""Measures what composing one mail costs: `python -m bench.compose` prints microseconds, the best of five rounds."""

import os
import tempfile
import time
from collections.abc import Callable

import django

ROUNDS, MESSAGES = 5, 2_000


def microseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(MESSAGES):
            call()
        best = min(best, time.perf_counter() - start)
    return best / MESSAGES * 1e6


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "adminapp.settings")
    os.environ.setdefault("DATA_DIR", tempfile.mkdtemp())
    django.setup()
    from emailcfg.schema import General
    from outbound.compose import compose, sample_request
    from outbound.kinds import KINDS
    from outbound.requests import Recipient, Request

    general = General(sender_email="no-reply@acme.example", sender_name="Acme", support_email="help@acme.example")
    ana = Recipient("ana@example.com", "Ana Lima")
    for label, word in (("ASCII", "seventy"), ("some umlauts", "sübzig"), ("Cyrillic", "семьдесят")):
        line = f"Hello Ana, this is a line of text of about {word} characters.\n"
        if label == "Cyrillic":
            line = f"{word} " * 6 + "\n"
        request = Request(kind="raw", to=(ana,), subject=line.strip()[:60], text=line * 25, html=f"<p>{line}</p>" * 45)
        size = compose(request, general).size
        print(f"raw, {label:14} {size:6} bytes {microseconds(lambda r=request: compose(r, general)):8.1f} µs")  # type: ignore[misc]
    for name in KINDS:
        request = sample_request(name, ana)
        size = compose(request, general).size
        print(f"{name:19} {size:6} bytes {microseconds(lambda r=request: compose(r, general)):8.1f} µs")  # type: ignore[misc]


if __name__ == "__main__":
    main()
