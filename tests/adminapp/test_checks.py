"""Versions with known holes are said."""

import email.policy
import ssl

import pytest

from adminapp.checks import version_floor


def test_an_old_openssl_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (1, 1, 1, 23, 15))
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "OpenSSL 1.1.1w")
    assert "OpenSSL 1.1.1w gets no security fixes any more." in [found.msg for found in version_floor()]


def test_a_python_without_the_header_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email.policy, "default", object())
    assert "adminapp.I001" in [found.id for found in version_floor()]


def test_a_python_with_the_header_fix_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        verify_generated_headers = True

    monkeypatch.setattr(email.policy, "default", Fixed())
    assert "adminapp.I001" not in [found.id for found in version_floor()]
