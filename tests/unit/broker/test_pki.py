"""The broker's certificates: made once, renewed in time, and for the names that were asked for."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ppml_ops.broker.limits import RateLimit
from ppml_ops.broker.pki import SERVER_LIFETIME, tls_files
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import private_dir

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A broker's folder."""
    return private_dir(tmp_path / "broker")


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())


def test_stays_until_it_is_due(folder: Path) -> None:
    tls_files(folder, [], NOW)
    first = certificate(folder)
    tls_files(folder, [], NOW + timedelta(days=59))
    assert certificate(folder) == first
    tls_files(folder, [], NOW + timedelta(days=61))
    renewed = certificate(folder)
    assert renewed.not_valid_after_utc == NOW + timedelta(days=61) + SERVER_LIFETIME
    renewed.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()))


def test_new_names_make_a_new_certificate(folder: Path) -> None:
    tls_files(folder, [], NOW)
    tls_files(folder, ["broker.example", "192.0.2.7"], NOW)
    names = certificate(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "broker.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
        "192.0.2.7",
    ]


def test_keys_are_private_and_the_ca_is_readable(folder: Path) -> None:
    files = tls_files(folder, [], NOW)
    assert files.ca.stat().st_mode & 0o777 == 0o644
    for name in ("ca-key.pem", "server.pem"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    (folder / "ca-key.pem").chmod(0o604)
    with pytest.raises(ConfigError, match="0604"):
        tls_files(folder, [], NOW)


def test_expired_and_damaged_authorities(folder: Path) -> None:
    tls_files(folder, [], NOW)
    with pytest.raises(ConfigError, match="CA expired"):
        tls_files(folder, [], NOW + timedelta(days=3700))
    (folder / "ca.pem").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="not the broker's CA"):
        tls_files(folder, [], NOW)


def test_a_damaged_server_certificate_is_replaced(folder: Path) -> None:
    tls_files(folder, [], NOW)
    (folder / "server.pem").write_bytes(b"x")
    tls_files(folder, [], NOW)
    assert certificate(folder)


def test_rate_limit_refills() -> None:
    moments = iter([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 60.0])
    limit = RateLimit(1, 2, clock=lambda: next(moments))
    assert [limit.allow() for _ in range(7)] == [True, True, False, False, True, False, True]
    assert time.monotonic() > 0
