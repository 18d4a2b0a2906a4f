"""Quotes of a simulated platform: SGX version 3 and TDX version 4, byte for byte as verifiers want them.

Layouts: Intel, "SGX ECDSA quote library reference" and "TDX DCAP quoting library API".
"""

import hashlib
import struct
from dataclasses import dataclass

from ppml_ops.attestation.trust import SIMULATED_USER_DATA
from ppml_sim.collateral import QE_MR_SIGNER, QE_PROD_ID, QE_SVN, TEE_TCB_SVN
from ppml_sim.faults import NONE, Faults
from ppml_sim.pki import CPU_SVN, Pki, raw_public, raw_sign

_INTEL_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")  # verifiers accept no other
_ECDSA_P256 = 2
_TEE_TYPES = {"sgx": 0x00, "tdx": 0x81}
_CERT_QE_REPORT = 6
_CERT_PCK_CHAIN = 5
_QE_AUTH_DATA = bytes(range(32))
_SGX_INIT_64BIT = 0x05
_SGX_DEBUG = 0x02
_TD_SEPT_VE_DISABLE = 1 << 28
_TD_DEBUG = 1


@dataclass(frozen=True)
class TdMeasurements:
    """The 48-byte registers of a TD."""

    mr_td: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes = bytes(48)
    mr_config_id: bytes = bytes(48)


@dataclass(frozen=True)
class EnclaveMeasurements:
    """The identity of an enclave; 32-byte measurement and signer."""

    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int = 0
    isv_svn: int = 0


def tdx_quote(pki: Pki, td: TdMeasurements, report_data: bytes, faults: Faults = NONE) -> bytes:
    """A TDX quote, version 4, that carries `report_data` (64 bytes)."""
    attributes = _TD_SEPT_VE_DISABLE | (_TD_DEBUG if faults.debug else 0)
    body = b"".join(
        (
            TEE_TCB_SVN,
            hashlib.sha384(b"ppml-sim/mr_seam").digest(),
            bytes(48),  # MRSIGNERSEAM: zero for Intel's own module
            bytes(8),  # SEAMATTRIBUTES
            attributes.to_bytes(8, "little"),
            bytes.fromhex("e702060000000000"),  # XFAM as real TDs have it
            td.mr_td,
            td.mr_config_id,
            bytes(96),  # MROWNER, MROWNERCONFIG
            td.rtmr0 + td.rtmr1 + td.rtmr2 + td.rtmr3,
            report_data,
        )
    )
    signed = _header("tdx", 4, faults) + body
    certification = _typed(_CERT_QE_REPORT, _qe_part(pki, "tdx"))
    return signed + _sized(_signature(pki, signed) + certification)


def sgx_quote(pki: Pki, enclave: EnclaveMeasurements, report_data: bytes, faults: Faults = NONE) -> bytes:
    """An SGX quote, version 3, that carries `report_data` (64 bytes)."""
    body = _sgx_report(
        attributes=_SGX_INIT_64BIT | (_SGX_DEBUG if faults.debug else 0),
        enclave=enclave,
        report_data=report_data,
    )
    signed = _header("sgx", 3, faults) + body
    return signed + _sized(_signature(pki, signed) + _qe_part(pki, "sgx"))


def _header(tee: str, version: int, faults: Faults) -> bytes:
    user_data = bytes(20) if faults.unmarked_header else SIMULATED_USER_DATA
    return struct.pack("<HHIHH16s20s", version, _ECDSA_P256, _TEE_TYPES[tee], 0, 0, _INTEL_QE_VENDOR, user_data)


def _signature(pki: Pki, signed: bytes) -> bytes:
    return raw_sign(pki.attestation_key, signed) + raw_public(pki.attestation_key)


def _qe_part(pki: Pki, tee: str) -> bytes:
    """The quoting enclave's report on the attestation key, signed by the PCK, and the PCK's chain."""
    vouched = hashlib.sha256(raw_public(pki.attestation_key) + _QE_AUTH_DATA).digest()
    report = _sgx_report(
        attributes=0x11 | _SGX_INIT_64BIT,
        enclave=EnclaveMeasurements(
            hashlib.sha256(b"ppml-sim/qe").digest(), QE_MR_SIGNER[tee], QE_PROD_ID[tee], QE_SVN
        ),
        report_data=vouched + bytes(32),
    )
    auth = struct.pack("<H", len(_QE_AUTH_DATA)) + _QE_AUTH_DATA
    return report + raw_sign(pki.pck_key, report) + auth + _typed(_CERT_PCK_CHAIN, pki.pck_chain)


def _sgx_report(*, attributes: int, enclave: EnclaveMeasurements, report_data: bytes) -> bytes:
    return b"".join(
        (
            CPU_SVN,
            bytes(4 + 28),  # MISCSELECT, reserved
            struct.pack("<QQ", attributes, 0xE7),
            enclave.mr_enclave + bytes(32) + enclave.mr_signer + bytes(96),
            struct.pack("<HH", enclave.isv_prod_id, enclave.isv_svn) + bytes(60),
            report_data,
        )
    )


def _typed(kind: int, data: bytes) -> bytes:
    return struct.pack("<H", kind) + _sized(data)


def _sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data
