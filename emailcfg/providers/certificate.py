"""What a server's certificate says of itself, for the facts of the TLS stage."""

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emailcfg.providers.reply import words

if TYPE_CHECKING:
    from cryptography import x509


def facts_of(der: bytes, *, now: datetime | None = None) -> dict[str, object]:
    """Names, issuer, dates (UTC), days left and the SHA-256 fingerprint of a certificate in DER; empty when
    it can't be read. The text is the server's and is cleaned like any other."""
    from cryptography import x509  # here: it takes 8 MB, and a relay without TLS shows no certificate
    from cryptography.hazmat.primitives import hashes

    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
        not_after = certificate.not_valid_after_utc
        return {
            "names": [words(name) for name in names[:50]],
            "subject": words(certificate.subject.rfc4514_string()),
            "issuer": words(certificate.issuer.rfc4514_string()),
            "not_before": certificate.not_valid_before_utc.isoformat(),
            "not_after": not_after.isoformat(),
            "days_left": (not_after - (now or datetime.now(UTC))).days,
            "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        }
    except ValueError:
        return {}


def _names(certificate: "x509.Certificate") -> list[str]:
    from cryptography import x509

    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(name.value) for name in common]


def tls_facts(sock: ssl.SSLSocket) -> dict[str, object]:
    """The version, the cipher and the certificate of a connection."""
    cipher = sock.cipher()
    der = sock.getpeercert(binary_form=True)
    return {
        "version": sock.version() or "",
        "cipher": cipher[0] if cipher else "",
        "certificate": facts_of(der) if der else {},
    }


def in_words(facts: Mapping[str, object]) -> str:
    """What `tls_facts` found, in one line: the version, for whom the certificate is, and how long it is valid."""
    certificate = facts.get("certificate")
    told = [str(facts.get("version", ""))]
    if isinstance(certificate, Mapping) and certificate:
        names = certificate["names"]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        told += [f"certificate for {', '.join(names[:2])}{more}", f"{certificate['days_left']} days left"]
    return ", ".join(told)


def presented(sock: socket.socket, host: str, timeout_s: float) -> dict[str, object]:
    """The facts of the certificate that a server presents, trusted or not: a handshake to read it, after which
    nothing is ever sent. Closes `sock`; empty when there is nothing to learn."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        sock.settimeout(timeout_s)
        with context.wrap_socket(sock, server_hostname=host) as unverified:
            der = unverified.getpeercert(binary_form=True)
            return facts_of(der) if der else {}
    except OSError:
        return {}
    finally:
        sock.close()
