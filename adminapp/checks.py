"""The versions below which known holes are open in what the product stands on. They are said, and never stop a start:
where one matters here, a guard of our own covers it."""

import email.policy
import platform
import ssl
from typing import Any

from django.core.checks import CheckMessage, Info, register


@register("adminapp")
def version_floor(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not hasattr(email.policy.default, "verify_generated_headers"):
        found.append(
            Info(
                f"Python {platform.python_version()} lacks the fix for line breaks in mail headers (CVE-2024-6923).",
                hint="Mails are read back and compared before they leave. Update Python when you can.",
                id="adminapp.I001",
            )
        )
    if ssl.OPENSSL_VERSION_INFO < (3, 0):
        found.append(
            Info(
                f"{ssl.OPENSSL_VERSION} gets no security fixes any more.",
                hint="Update the system's OpenSSL to 3.0 or newer.",
                id="adminapp.I002",
            )
        )
    return found
