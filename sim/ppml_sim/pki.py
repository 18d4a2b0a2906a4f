"""The certificates of a simulated platform: root → PCK CA → PCK, and root → TCB signer.

Everything follows from a seed (keys, serial numbers, fixed dates, deterministic ECDSA), so that two processes,
or one after a restart, make the same bytes and hence the same trust domain. Shapes: Intel, "SGX PCK certificate
and CRL profile specification".
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from ppml_ops.attestation.trust import SIMULATED_FMSPC, SIMULATED_ORGANIZATION
from ppml_sim.faults import NONE, Faults

SEED_BYTES = 32
CPU_SVN = bytes([3, 3, 2, 2, 4, 1, 0, 5]) + bytes(8)
PCE_SVN = 13

_SGX_OID = "1.2.840.113741.1.13.1"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)
_UNMARKED = "Some Other Corporation"


@dataclass(frozen=True)
class Pki:
    """Keys and certificates of one installation."""

    root: x509.Certificate
    pck_ca: x509.Certificate
    pck: x509.Certificate
    tcb_signer: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey
    pck_ca_key: ec.EllipticCurvePrivateKey
    pck_key: ec.EllipticCurvePrivateKey
    tcb_key: ec.EllipticCurvePrivateKey
    attestation_key: ec.EllipticCurvePrivateKey
    fmspc: bytes

    @property
    def root_der(self) -> bytes:
        """The trust anchor."""
        return self.root.public_bytes(serialization.Encoding.DER)

    @property
    def pck_chain(self) -> bytes:
        """PCK, PCK CA and root in PEM, as quotes carry them."""
        return pem_chain(self.pck, self.pck_ca, self.root)


def make_pki(seed: bytes, faults: Faults = NONE) -> Pki:
    """The PKI that follows from `seed` (32 bytes)."""
    keys = {label: _derive_key(seed, label) for label in ("root", "pck-ca", "pck", "tcb", "attestation")}
    fmspc = bytes.fromhex("b0c06f000000" if faults.unmarked_fmspc else SIMULATED_FMSPC)
    organization = _UNMARKED if faults.unmarked_subjects else SIMULATED_ORGANIZATION

    def name(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, common),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            ]
        )

    root_name, ca_name = name("Simulated Root CA"), name("Simulated PCK Platform CA")
    root = _certificate(root_name, keys["root"], root_name, keys["root"], ca_depth=1)
    pck_ca = _certificate(ca_name, keys["pck-ca"], root_name, keys["root"], ca_depth=0)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX_OID), _sgx_extension(seed, fmspc, faults))
    return Pki(
        root=root,
        pck_ca=pck_ca,
        pck=_certificate(name("Simulated PCK Certificate"), keys["pck"], ca_name, keys["pck-ca"], extension),
        tcb_signer=_certificate(name("Simulated TCB Signing"), keys["tcb"], root_name, keys["root"]),
        root_key=keys["root"],
        pck_ca_key=keys["pck-ca"],
        pck_key=keys["pck"],
        tcb_key=keys["tcb"],
        attestation_key=keys["attestation"],
        fmspc=fmspc,
    )


def raw_sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ECDSA over SHA-256 as r || s, 64 bytes."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_public(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public point as x || y, 64 bytes."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )[1:]


def pem_chain(*certificates: x509.Certificate) -> bytes:
    """PEM of the certificates, leaf first."""
    return b"".join(part.public_bytes(serialization.Encoding.PEM) for part in certificates)


def expand(seed: bytes, label: str, size: int) -> bytes:
    """`size` bytes that follow from the seed, different for each label."""
    return HKDF(hashes.SHA256(), size, b"", b"ppml-sim/v1/" + label.encode()).derive(seed)


def _derive_key(seed: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    # 48 bytes for a 256-bit order: the modulus then adds no bias worth naming (FIPS 186-5, A.2.1).
    scalar = int.from_bytes(expand(seed, f"key/{label}", 48), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.UnrecognizedExtension | None = None,
    *,
    ca_depth: int | None = None,
) -> x509.Certificate:
    ca = ca_depth is not None
    serial = hashlib.sha256(raw_public(key)).digest()[:16]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(serial, "big") | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=ca_depth), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=not ca, key_cert_sign=ca, crl_sign=ca,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _sgx_extension(seed: bytes, fmspc: bytes, faults: Faults) -> bytes:
    """Intel's PCK extension: PPID, TCB, PCEID, FMSPC, SGX type, platform instance, configuration."""
    tcb = [_member(f"2.{i}", _integer(svn)) for i, svn in enumerate(CPU_SVN, start=1)]
    tcb += [_member("2.17", _integer(PCE_SVN)), _member("2.18", _der(0x04, CPU_SVN))]
    flags = (faults.dynamic_platform, faults.cached_keys, faults.smt)
    configuration = [
        _member(f"7.{i}", _der(0x01, b"\xff" if flag else b"\x00")) for i, flag in enumerate(flags, start=1)
    ]
    return _der(
        0x30,
        _member("1", _der(0x04, expand(seed, "ppid", 16))),
        _member("2", _der(0x30, *tcb)),
        _member("3", _der(0x04, bytes(2))),
        _member("4", _der(0x04, fmspc)),
        _member("5", _der(0x0A, b"\x01")),
        _member("6", _der(0x04, expand(seed, "platform-instance", 16))),
        _member("7", _der(0x30, *configuration)),
    )


def _member(suffix: str, value: bytes) -> bytes:
    """SEQUENCE { OID, value }."""
    first, second, *rest = (int(part) for part in f"{_SGX_OID}.{suffix}".split("."))
    body = bytes([first * 40 + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return _der(0x30, _der(0x06, body), value)


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body
