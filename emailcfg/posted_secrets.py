"""Secrets as the form posts them: masks refused, and what providers hand out in another form reworked.

Pure. A reworked secret (an AWS secret key, an app password with spaces) is never sent back to the page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from emailcfg.forms import name_of
from emailcfg.providers import ses
from emailcfg.schema import SECRET_PATHS
from emailcfg.typed import Values

SES_WANTS_ANOTHER = (
    "This looks like an AWS secret access key. Amazon SES wants the SMTP password derived from it. Convert it here; "
    "the key itself is not kept."
)
CHOOSE_A_REGION = (
    "This looks like an AWS secret access key. The SMTP password made from it belongs to one region: choose the "
    "region above, then convert it here."
)
# As Google shows it: four groups of four letters. The spaces are no part of it.
_GOOGLE_APP_PASSWORD = re.compile(r"\s*[a-z]{4}(?:[\s\u00a0][a-z]{4}){3}\s*")


@dataclass(frozen=True, slots=True)
class PostedSecrets:
    """By schema path: the secrets to take in, those refused with the reason, and a sentence for each that was
    taken in another form than it was typed."""

    typed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    reworked: dict[str, str] = field(default_factory=dict)


def read(posted: Mapping[str, str], values: Values) -> PostedSecrets:
    """The secrets of a posted form, whose other values (tidied) are `values`. An empty field says nothing."""
    found = PostedSecrets()
    for path in SECRET_PATHS:
        text = posted.get(name_of(path), "")
        text = text if path == "smtp.password" else text.strip()
        if not text:
            continue
        if set(text) == {"•"}:
            found.refused[path] = "Enter the secret itself, or leave the field empty to keep it."
        elif path == "smtp.password":
            _password(text, values, found, convert=posted.get("convert") == "ses")
        else:
            found.typed[path] = text
    return found


def _password(text: str, values: Values, found: PostedSecrets, *, convert: bool) -> None:
    path, region = "smtp.password", ses.region_of(values["smtp.host"])
    if (values["smtp.preset"] == "ses" or region is not None) and ses.looks_like_aws_secret(text):
        if not convert or region is None:
            found.refused[path] = SES_WANTS_ANOTHER if region is not None else CHOOSE_A_REGION
            return
        found.typed[path] = ses.smtp_password(text, region)
        found.reworked[path] = f"Converted to the SMTP password for {region}. The AWS key was not kept."
    elif _is_google(values) and _GOOGLE_APP_PASSWORD.fullmatch(text):
        found.typed[path] = re.sub(r"\s", "", text)
        found.reworked[path] = "Taken without its spaces: Google shows an app password in four groups of letters."
    else:
        found.typed[path] = text


def _is_google(values: Values) -> bool:
    return values["smtp.preset"] in ("gmail", "google-relay") or values["smtp.host"].endswith(
        (".gmail.com", ".google.com")
    )
