"""Signed documents: flat JSON whose members `signer` and `signature` say who vouches for all the others.

The file is the RFC 8785 form of the document, the signature (hex) is Ed25519 over a label and the same form
without the member `signature`. So no byte of a file can change unseen: another spelling is refused, and hex,
unlike base64, has no spare bits.
"""

import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc.jwk import OKPKey

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import IntegrityError

#: A manifest of 100 000 parts is 16 MB, and a receipt holds two of them and the checksums of their parts.
MAX_DOCUMENT = 128 << 20


def sign_document(document: dict[str, Any], key: OKPKey) -> dict[str, Any]:
    """`document` with its members `signer` (RFC 7638 thumbprint of `key`) and `signature`.

    Args:
        document: JSON values; its member `ppml` names the format and is part of what is signed.
        key: Ed25519 with its private part.
    """
    raw = key.raw_value
    assert isinstance(raw, Ed25519PrivateKey)  # `signing_key` gives no other
    body = {name: value for name, value in document.items() if name != "signature"}
    body["signer"] = key.thumbprint()
    return {**body, "signature": raw.sign(_signed_bytes(body)).hex()}


def parse_document(data: bytes, what: str) -> dict[str, Any]:
    """The document in `data`, in canonical form; its signature is not looked at.

    Args:
        what: how error messages call it.

    Raises:
        IntegrityError: too large, not JSON, or another spelling of it.
    """
    problem = f"it is longer than {MAX_DOCUMENT} bytes" if len(data) > MAX_DOCUMENT else None
    document: Any = None
    if problem is None:
        try:
            document = json.loads(data)
            canonical = canonical_json(document)
        except (ValueError, RecursionError):
            problem = "it is not JSON"
        else:
            if not isinstance(document, dict):
                problem = "it is no JSON object"
            elif canonical != data:
                problem = "it is not in canonical form"
    if problem:
        raise untrue(what, problem)
    return dict(document)


def verify_document(document: Mapping[str, Any], keys: Mapping[str, OKPKey], what: str) -> str:
    """Check the signature; returns the thumbprint of the signer.

    Args:
        document: as `parse_document` gives it.
        keys: Ed25519 public keys that may have signed it, by thumbprint.
        what: how error messages call it.

    Raises:
        IntegrityError: unsigned, signed by somebody else, or changed since.
    """
    signer, signature = document.get("signer"), document.get("signature")
    if not isinstance(signer, str) or not isinstance(signature, str):
        raise untrue(what, "it is not signed")
    key = keys.get(signer)
    if key is None:
        raise untrue(what, f"its signer {signer[:43]} is none of those that are trusted")
    public = key.raw_value
    assert isinstance(public, Ed25519PublicKey | Ed25519PrivateKey)
    if isinstance(public, Ed25519PrivateKey):
        public = public.public_key()
    body = {name: value for name, value in document.items() if name != "signature"}
    try:
        public.verify(bytes.fromhex(signature), _signed_bytes(body))
    except (InvalidSignature, ValueError):
        raise untrue(what, "the signature does not verify") from None
    return signer


def untrue(what: str, problem: str) -> IntegrityError:
    """The error for a document that is not what it says it is."""
    return IntegrityError(
        f"{what} is not authentic: {problem}",
        next_step="do not rely on it; get it again from where it was written, and compare the trust anchors",
        who="whoever relies on it",
    )


def _signed_bytes(body: Mapping[str, Any]) -> bytes:
    return b"ppml-ops/signed/v1\0" + canonical_json(dict(body))
