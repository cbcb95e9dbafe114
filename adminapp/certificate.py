"""The self-signed certificate for HTTPS on machines that have no other."""

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adminapp.keys import locked

VALID_FOR = timedelta(days=397)  # browsers refuse certificates that live longer
RENEW_BEFORE = timedelta(days=30)


def ensure(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """The certificate and key files in `folder`, made when missing, unreadable, ending within 30 days, or when a
    name (host name or IP address) is not in it. Times and validity in UTC."""
    cert, key = folder / "certificate.pem", folder / "certificate.key"
    with locked(folder):
        if not _is_fit(cert, key, names):
            _make(cert, key, names)
    return cert, key


def _is_fit(cert: Path, key: Path, names: Sequence[str]) -> bool:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
        loaded = x509.load_pem_x509_certificate(cert.read_bytes())
        held = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ssl.SSLError, ValueError, x509.ExtensionNotFound):
        return False
    lasts = loaded.not_valid_after_utc - datetime.now(UTC) >= RENEW_BEFORE
    return lasts and all(_alternative(name) in held for name in names)


def _make(cert: Path, key: Path, names: Sequence[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Admin App on {names[0]}"[:64])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a browser's clock may be behind
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(key, pem)
    _replace(cert, made.public_bytes(serialization.Encoding.PEM))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
