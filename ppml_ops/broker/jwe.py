"""The RCAR secret envelope: flattened JWE, ECDH-ES+A256KW and A256GCM (RFC 7516, 7518), on P-256.

Written here because Trustee's client re-serialises the protected header to get the AAD: `alg`, `enc`, then
the rest, every object with sorted members, compact. JOSE libraries order `epk` otherwise, and then its tag
check fails.
"""

import base64
import binascii
import json
import os
import struct
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ppml_ops.errors import IntegrityError

ALGORITHM: Final = "ECDH-ES+A256KW"
ENCRYPTION = "A256GCM"
_COORDINATE = 32


def b64url(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """Strict unpadded base64url; ValueError for anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if b64url(data) != text:
        raise ValueError("not unpadded base64url")
    return data


def ec_public_key(x: str, y: str) -> ec.EllipticCurvePublicKey:
    """The P-256 key with these base64url coordinates of exactly 32 bytes.

    Raises:
        ValueError: other lengths or alphabet, or no point of the curve.
    """
    raw = unb64url(x), unb64url(y)
    if any(len(part) != _COORDINATE for part in raw):
        raise ValueError("a P-256 coordinate has 32 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw[0] + raw[1])


def ec_coordinates(key: ec.EllipticCurvePublicKey) -> tuple[str, str]:
    """x and y of a P-256 key, each 32 bytes in base64url."""
    numbers = key.public_numbers()
    return b64url(numbers.x.to_bytes(_COORDINATE, "big")), b64url(numbers.y.to_bytes(_COORDINATE, "big"))


def _wrapping_key(private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> bytes:
    name = ALGORITHM.encode("ascii")
    # RFC 7518 4.6.2: AlgorithmID, empty PartyUInfo and PartyVInfo, key length in bits.
    other = struct.pack(">I", len(name)) + name + struct.pack(">III", 0, 0, 256)
    return ConcatKDFHash(SHA256(), 32, other).derive(private.exchange(ec.ECDH(), public))


def encrypt(plaintext: bytes, recipient: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """`plaintext` for the holder of `recipient`'s private key, as a flattened JWE."""
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    x, y = ec_coordinates(ephemeral.public_key())
    header = {"alg": ALGORITHM, "enc": ENCRYPTION, "epk": {"crv": "P-256", "kty": "EC", "x": x, "y": y}}
    protected = b64url(json.dumps(header, separators=(",", ":")).encode("ascii"))
    content_key, iv = os.urandom(32), os.urandom(12)
    sealed = AESGCM(content_key).encrypt(iv, plaintext, protected.encode("ascii"))
    return {
        "protected": protected,
        "encrypted_key": b64url(aes_key_wrap(_wrapping_key(ephemeral, recipient), content_key)),
        "iv": b64url(iv),
        "ciphertext": b64url(sealed[:-16]),
        "tag": b64url(sealed[-16:]),
    }


def decrypt(envelope: Any, private: ec.EllipticCurvePrivateKey) -> bytes:
    """The plaintext of a flattened JWE made for `private`.

    Raises:
        IntegrityError: malformed, other algorithms, another recipient, or changed bytes.
    """
    try:
        header = json.loads(unb64url(envelope["protected"]))
        epk = header["epk"]
        if (header["alg"], header["enc"], epk["kty"], epk["crv"]) != (ALGORITHM, ENCRYPTION, "EC", "P-256"):
            raise ValueError("other algorithms")
        iv, tag = unb64url(envelope["iv"]), unb64url(envelope["tag"])
        if len(iv) != 12 or len(tag) != 16:
            raise ValueError("wrong lengths")
        wrapping_key = _wrapping_key(private, ec_public_key(epk["x"], epk["y"]))
        content_key = aes_key_unwrap(wrapping_key, unb64url(envelope["encrypted_key"]))
        if len(content_key) != 32:
            raise ValueError("wrong key length")
        sealed = unb64url(envelope["ciphertext"]) + tag
        return AESGCM(content_key).decrypt(iv, sealed, envelope["protected"].encode("ascii"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidUnwrap, InvalidTag):
        raise IntegrityError(
            "the broker's reply does not open with the key that was attested",
            next_step="repeat the attestation; if it fails again, something between changes the replies",
            who="the operator",
        ) from None
