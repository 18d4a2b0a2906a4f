"""Signed statements about a simulated platform: TCB info v3, QE identity v2, and a CRL per issuer.

Shapes: Intel, "PCS API v4". Each non-root certificate needs a CRL of its issuer, even an empty one: verifiers
refuse what no CRL covers.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ppml_ops.attestation.collateral import Collateral
from ppml_sim.faults import NONE, Faults
from ppml_sim.pki import CPU_SVN, PCE_SVN, Pki, pem_chain, raw_sign

LIFETIME = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)
EVAL_NUMBER = 18
TEE_TCB_SVN = bytes([5, 1, 2]) + bytes(13)
QE_MR_SIGNER = {"sgx": bytes.fromhex("51" * 32), "tdx": bytes.fromhex("54" * 32)}
QE_PROD_ID = {"sgx": 1, "tdx": 2}
QE_SVN = 7

_TCB_DATE = "2026-01-01T00:00:00Z"
_QE_NAMES = {"sgx": "QE", "tdx": "TD_QE"}


def make_collateral(
    pki: Pki, now: int, *, tee: Literal["sgx", "tdx"] = "tdx", faults: Faults = NONE
) -> Collateral:
    """A bundle issued at `now` (Unix seconds, less a little for other clocks), valid for `LIFETIME`."""
    issued = datetime.fromtimestamp(now, UTC).replace(microsecond=0) - CLOCK_SKEW
    tcb_info = _document(_tcb_info(pki, tee, faults), issued)
    qe_identity = _document(_qe_identity(tee, faults), issued)
    tcb_chain = pem_chain(pki.tcb_signer, pki.root).decode()
    revoked_by_root = [pki.pck_ca] if faults.revoked_pck_ca else []
    revoked_by_ca = [pki.pck] if faults.revoked_pck else []
    return Collateral(
        pck_crl_issuer_chain=pem_chain(pki.pck_ca, pki.root).decode(),
        root_ca_crl=_crl(pki.root, pki.root_key, issued, revoked_by_root),
        pck_crl=_crl(pki.pck_ca, pki.pck_ca_key, issued, revoked_by_ca),
        tcb_info_issuer_chain=tcb_chain,
        tcb_info=tcb_info,
        tcb_info_signature=raw_sign(pki.tcb_key, tcb_info.encode()).hex(),
        qe_identity_issuer_chain=tcb_chain,
        qe_identity=qe_identity,
        qe_identity_signature=raw_sign(pki.tcb_key, qe_identity.encode()).hex(),
    )


def _document(body: dict[str, Any], issued: datetime) -> str:
    times = {"issueDate": _iso(issued), "nextUpdate": _iso(issued + LIFETIME)}
    return json.dumps(body | times, separators=(",", ":"))


def _tcb_info(pki: Pki, tee: str, faults: Faults) -> dict[str, Any]:
    level: dict[str, Any] = {
        "sgxtcbcomponents": [{"svn": svn + (1 if faults.below_every_level else 0)} for svn in CPU_SVN],
        "pcesvn": PCE_SVN,
    }
    info: dict[str, Any] = {
        "id": tee.upper(),
        "version": 3,
        "fmspc": pki.fmspc.hex().upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": EVAL_NUMBER,
    }
    if tee == "tdx":
        level["tdxtcbcomponents"] = [{"svn": svn} for svn in TEE_TCB_SVN]
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        levels = [{"tcb": {"isvsvn": TEE_TCB_SVN[0]}, "tcbDate": _TCB_DATE, "tcbStatus": "UpToDate"}]
        info["tdxModule"] = module
        info["tdxModuleIdentities"] = [{"id": "TDX_01", **module, "tcbLevels": levels}]
    info["tcbLevels"] = [
        {
            "tcb": level,
            "tcbDate": _TCB_DATE,
            "tcbStatus": faults.tcb_status,
            "advisoryIDs": list(faults.advisories),
        }
    ]
    return info


def _qe_identity(tee: str, faults: Faults) -> dict[str, Any]:
    return {
        "id": _QE_NAMES[tee],
        "version": 2,
        "tcbEvaluationDataNumber": faults.qe_eval_number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_MR_SIGNER[tee].hex().upper(),
        "isvprodid": QE_PROD_ID[tee],
        "tcbLevels": [{"tcb": {"isvsvn": QE_SVN}, "tcbDate": _TCB_DATE, "tcbStatus": faults.qe_status}],
    }


def _crl(
    issuer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    issued: datetime,
    revoked: list[x509.Certificate],
) -> str:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(issued)
        .next_update(issued + LIFETIME)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for certificate in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(issued)
            .build()
        )
    crl = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return crl.public_bytes(serialization.Encoding.DER).hex()


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
