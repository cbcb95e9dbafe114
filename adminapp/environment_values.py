"""What a value of the environment may be: each function reads one, or raises ValueError with the rest of a sentence
that begins with the variable's name."""

import ipaddress
import math
import re
import ssl
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url

from emailcfg.network import Network


def path(text: str) -> Path:
    return Path(text).expanduser().resolve()


def paths(text: str) -> tuple[Path, ...]:
    return tuple(path(part) for part in entries(text))


def readable_file(text: str) -> Path | None:
    file = path(text)
    try:
        with file.open("rb"):
            return file
    except OSError as problem:
        raise ValueError(f"names {file}, which can't be read: {problem.strerror}.") from None


def trust_file(text: str) -> Path | None:
    file = readable_file(text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        raise ValueError(f"names {file}, which holds no certificates in PEM.") from None
    return file


def integer(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or not low <= int(text[:12]) <= high:
        raise ValueError(f"is “{text}”; it must be a whole number from {low} to {high}.")
    return int(text)


def port(text: str) -> int:
    return integer(text, 1, 65535)


def ports(text: str) -> frozenset[int] | None:
    return None if text == "*" else frozenset(port(part) for part in entries(text))


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 604800:
        raise ValueError(f"is “{text}”; it must be a number of seconds above 0, at most 604800 (a week).")
    return value


def in_doubt(text: str) -> str:
    if text not in ("retry", "hold"):
        raise ValueError(f"is “{text}”; it must be retry or hold.")
    return text


def megabytes(text: str) -> int:
    return integer(text, 1, 1_000_000)


def days(text: str) -> int:
    return integer(text, 1, 3650)


def ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError(f"is “{text}”; it must be an IP address such as 127.0.0.1, 0.0.0.0 or ::.") from None


def nets(text: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for part in entries(text):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(f"holds “{part}”; each entry must be a network such as 10.0.0.0/8 or fd00::/8.") from None
    return tuple(found)


def host_names(text: str) -> tuple[str, ...]:
    for part in entries(text):
        if any(character in part for character in "/ @") or "://" in part:
            raise ValueError(f"holds “{part}”; each entry must be a host name alone, such as mail.example.com.")
    return tuple(entries(text))


def base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.scheme not in ("http", "https") or parts.username or parts.password:
        raise ValueError(f"is “{_without_password(text)}”; it must be a URL such as https://mail.example.com.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"is “{text}”; it must end after the host and port, without a path or query.")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def database_url(text: str) -> str:
    scheme = text.partition(":")[0]
    if scheme not in ("sqlite", "postgres", "postgresql"):
        raise ValueError("must start with sqlite:/// or postgresql://.")
    try:
        parsed = dj_database_url.parse(text)
    except ValueError:
        raise ValueError("can't be read; it looks like postgresql://user:password@host:5432/name.") from None
    if not parsed.get("NAME"):
        raise ValueError("names no database; it looks like postgresql://user:password@host:5432/name.")
    return text


def broker_url(text: str) -> str:
    if text.partition("://")[0] not in ("amqp", "amqps", "sqs") or "://" not in text:
        raise ValueError("must start with amqp://, amqps:// (RabbitMQ) or sqs:// (Amazon SQS).")
    needed = ("celery", "boto3", "pycurl") if text.startswith("sqs:") else ("celery",)
    if any(find_spec(package) is None for package in needed):
        raise ValueError("needs packages that are not installed: install requirements-scale.txt, or unset it.")
    return text


def queue_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", text):
        raise ValueError(f"is “{text}”; it may have 1 to 80 letters, digits, hyphens and underscores.")
    return text


def entries(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"is “{text}”; it has an empty entry between its commas.")
    return parts


def _without_password(text: str) -> str:
    return "a URL with a user name or password" if "@" in text else text


def resolver(text: str) -> tuple[str, int]:
    """An address with an optional port: 192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53]:5353."""
    address, number = text, "53"
    if text.count(":") == 1 or (text.startswith("[") and not text.endswith("]")):
        address, _, number = text.rpartition(":")
    try:
        found = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"is “{text}”; it must be an IP address such as 192.0.2.53 or 192.0.2.53:5353.") from None
    return str(found), port(number)
