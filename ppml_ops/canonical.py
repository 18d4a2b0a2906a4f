"""Canonical JSON (RFC 8785) and the digests taken over it."""

import base64
import binascii
import hashlib
from typing import Any

import rfc8785


def canonical_json(value: Any) -> bytes:
    """`value` as RFC 8785 JSON; one value has exactly one encoding, so digests and signatures agree."""
    return rfc8785.dumps(value)


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha384_hex(data: bytes) -> str:
    """SHA-384 of `data`, 96 hex digits."""
    return hashlib.sha384(data).hexdigest()


def b64e(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def b64d(text: str) -> bytes:
    """Strict standard base64.

    Raises:
        ValueError: a character outside the alphabet, or wrong padding.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not standard base64") from error
