"""DKIM records with real keys, for zones of tests."""

import base64
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@lru_cache
def public_key(bits: int = 2048) -> str:
    """An RSA key as the p of a DKIM record holds it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def dkim(bits: int = 2048, *, more: str = "v=DKIM1; k=rsa") -> dict[str, list[str]]:
    """The records of a name with a DKIM key."""
    return {"TXT": [f"{more}; p={public_key(bits)}"]}


def ed25519() -> dict[str, list[str]]:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"TXT": [f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"]}
