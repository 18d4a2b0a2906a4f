"""The broker's own TLS: a private CA that clients pin, and a short-lived server certificate."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import write_private
from ppml_ops.keys.store import require_private

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_BACKDATE = timedelta(hours=1)  # clocks of clients may run behind


@dataclass(frozen=True)
class TlsFiles:
    """Where the CA certificate (for clients) and the server's chain with its key lie."""

    ca: Path
    server: Path


def tls_files(folder: Path, names: Sequence[str], now: datetime) -> TlsFiles:
    """The broker's TLS files in `folder`; made when absent, the server's renewed before it expires.

    Args:
        folder: the broker's state folder.
        names: DNS names and IP addresses of the server, besides the loopback ones.
        now: with time zone.

    Raises:
        ConfigError: the CA has expired, or others could read a key.
        IntegrityError: a file is damaged.
    """
    files = TlsFiles(ca=folder / "ca.pem", server=folder / "server.pem")
    ca_key, ca = _authority(folder / "ca-key.pem", files.ca, now)
    wanted = list(dict.fromkeys([*LOCAL_NAMES, *names]))
    if not _is_current(files.server, ca, wanted, now):
        write_private(files.server, _server(ca_key, ca, wanted, now))
    return files


def _authority(
    key_path: Path, path: Path, now: datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if not key_path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(path, _pem(_sign_authority(key, now)), mode=0o644)
        write_private(key_path, _key_pem(key))
    require_private(key_path)
    try:
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
        ca = x509.load_pem_x509_certificate(path.read_bytes())
    except (ValueError, TypeError, OSError):
        loaded = None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or ca.public_key() != loaded.public_key():
        raise IntegrityError(
            f"{path} and {key_path} are not the broker's CA",
            next_step="restore both from a backup, or delete both and give clients the new ca.pem",
        )
    if now > ca.not_valid_after_utc:
        raise ConfigError(
            f"the broker's CA expired on {ca.not_valid_after_utc:%Y-%m-%d}",
            next_step=f"delete {path} and {key_path}, start again, and give clients the new ca.pem",
        )
    return loaded, ca


def _sign_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PPML Ops key broker CA")])
    builder = _builder(name, name, key.public_key(), now, now + CA_LIFETIME)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, names: Sequence[str], now: datetime
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PPML Ops key broker")])
    end = min(now + SERVER_LIFETIME, ca.not_valid_after_utc)
    certificate = (
        _builder(subject, ca.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _pem(certificate) + _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _BACKDATE)
        .not_valid_after(end.astimezone(UTC))
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_current(path: Path, ca: x509.Certificate, names: Sequence[str], now: datetime) -> bool:
    if not path.exists():
        return False
    require_private(path)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(ca)
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made
        return False
    remaining = certificate.not_valid_after_utc - now
    return remaining > RENEW_BEFORE and set(alternative) >= {_general_name(name) for name in names}


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
