"""Amazon SES over SMTP: its endpoints, and the SMTP password that is derived from an IAM secret access key.

Source: docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html and smtp-connect.html.
"""

import base64
import hashlib
import hmac
import re

# Regions with an SMTP endpoint, named as AWS names them.
REGIONS = (
    ("us-east-1", "US East (N. Virginia)"),
    ("us-east-2", "US East (Ohio)"),
    ("us-west-1", "US West (N. California)"),
    ("us-west-2", "US West (Oregon)"),
    ("af-south-1", "Africa (Cape Town)"),
    ("ap-northeast-1", "Asia Pacific (Tokyo)"),
    ("ap-northeast-2", "Asia Pacific (Seoul)"),
    ("ap-northeast-3", "Asia Pacific (Osaka)"),
    ("ap-south-2", "Asia Pacific (Hyderabad)"),
    ("ap-south-1", "Asia Pacific (Mumbai)"),
    ("ap-southeast-1", "Asia Pacific (Singapore)"),
    ("ap-southeast-2", "Asia Pacific (Sydney)"),
    ("ap-southeast-3", "Asia Pacific (Jakarta)"),
    ("ca-central-1", "Canada (Central)"),
    ("eu-central-1", "Europe (Frankfurt)"),
    ("eu-north-1", "Europe (Stockholm)"),
    ("eu-south-1", "Europe (Milan)"),
    ("eu-west-1", "Europe (Ireland)"),
    ("eu-west-2", "Europe (London)"),
    ("eu-west-3", "Europe (Paris)"),
    ("il-central-1", "Israel (Tel Aviv)"),
    ("me-central-1", "Middle East (UAE)"),
    ("me-south-1", "Middle East (Bahrain)"),
    ("sa-east-1", "South America (São Paulo)"),
    ("us-gov-east-1", "AWS GovCloud (US-East)"),
    ("us-gov-west-1", "AWS GovCloud (US-West)"),
)
REGION_CODES = frozenset(code for code, _ in REGIONS)

# Public endpoints, dual-stack ones (api.aws), and those of a VPC, which carry an id of their own in front.
_HOST = re.compile(
    r"^(?:vpce-[a-z0-9-]+\.)?email-smtp(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:(?:vpce\.)?amazonaws\.com|api\.aws)$"
)
_SECRET_KEY = re.compile(r"^[A-Za-z0-9/+]{40}$")
_ACCESS_KEY_ID = re.compile(r"^(?:AKIA|ASIA)[A-Z0-9]{16}$")


def endpoint(region: str) -> str:
    """The SMTP host of a region."""
    return f"email-smtp.{region}.amazonaws.com"


def region_of(host: str) -> str | None:
    """The region that an SMTP host of SES names, or None when it is no such host."""
    match = _HOST.match(host.strip().rstrip(".").lower())
    return match.group(1) if match else None


def looks_like_aws_secret(text: str) -> bool:
    """Whether a text has the form of an IAM secret access key (40 characters of base64). An SMTP password of
    SES has 44."""
    return _SECRET_KEY.match(text.strip()) is not None


def looks_like_access_key_id(text: str) -> bool:
    """Whether a user name has the form of an access key id, which is what SES wants as the SMTP user name."""
    return _ACCESS_KEY_ID.match(text) is not None


def smtp_password(secret_access_key: str, region: str) -> str:
    """The SMTP password for a secret access key in one region: a chain of HMAC-SHA256 over fixed words, with
    the version byte 0x04 in front."""
    key = f"AWS4{secret_access_key.strip()}".encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return base64.b64encode(b"\x04" + key).decode()
