"""Byte layout of SGX and TDX quotes, as far as it is needed before anything is verified.

Source: Intel, "SGX ECDSA quote library reference" (v3) and "TDX DCAP quoting library API" (v4, v5).
"""

from dataclasses import dataclass

from ppml_ops.attestation.errors import UndecodableQuoteError

MAX_QUOTE_BYTES = 16 * 1024
REPORT_DATA_BYTES = 64

_HEADER = 48
_TEE_SGX = 0x00
_TEE_TDX = 0x81
_SGX_BODY = 384
_TD10_BODY = 584
_V5_BODIES = {1: _SGX_BODY, 2: _TD10_BODY, 3: 648}
_SGX_REPORT_DATA = 320
_TD_REPORT_DATA = 520


@dataclass(frozen=True)
class QuoteLayout:
    """What the structure of a quote says; nothing of it is verified."""

    quote: bytes
    """The quote itself, without the padding that drivers add."""
    version: int
    tee: str
    user_data: bytes
    """20 bytes of the header."""
    report_data: bytes
    """64 bytes of the body."""


def parse_layout(data: bytes) -> QuoteLayout:
    """Find the parts of a quote, and cut what follows it.

    The Linux driver pads quotes with zeros, and verifiers ignore bytes after the end: without the cut one quote
    would have many digests.

    Raises:
        UndecodableQuoteError: `data` is longer than `MAX_QUOTE_BYTES`, cut, or of an unknown kind.
    """
    if len(data) > MAX_QUOTE_BYTES:
        raise UndecodableQuoteError(f"the quote has {len(data)} bytes, more than {MAX_QUOTE_BYTES}")
    version = _uint(data, 0, 2)
    tee_type = _uint(data, 4, 4)
    body, size = _body(data, version, tee_type)
    end = body + size + 4 + _uint(data, body + size, 4)
    if end > len(data):
        raise UndecodableQuoteError(f"the quote is cut: {len(data)} bytes of {end}")
    tdx = tee_type == _TEE_TDX
    start = body + (_TD_REPORT_DATA if tdx else _SGX_REPORT_DATA)
    return QuoteLayout(
        quote=data[:end],
        version=version,
        tee="tdx" if tdx else "sgx",
        user_data=data[28:_HEADER],
        report_data=data[start : start + REPORT_DATA_BYTES],
    )


def _body(data: bytes, version: int, tee_type: int) -> tuple[int, int]:
    """Offset and size of the report body."""
    if version in (3, 4) and tee_type == _TEE_SGX:
        return _HEADER, _SGX_BODY
    if version == 4 and tee_type == _TEE_TDX:
        return _HEADER, _TD10_BODY
    if version == 5:
        kind, size = _uint(data, _HEADER, 2), _uint(data, _HEADER + 2, 4)
        if _V5_BODIES.get(kind) == size and (kind == 1) == (tee_type == _TEE_SGX):
            return _HEADER + 6, size
    raise UndecodableQuoteError(f"not a quote of a known kind (version {version}, TEE type {tee_type:#x})")


def _uint(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise UndecodableQuoteError(f"the quote is cut: {len(data)} bytes")
    return int.from_bytes(data[offset : offset + size], "little")
