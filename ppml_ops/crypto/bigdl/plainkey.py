"""The original's plaintext primary key: AES-ECB over the data key's text. No integrity.

Source: kms/common/KeyLoader.scala.
"""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import IntegrityError

_BLOCK_BITS = 128


def plain_wrap(primary: bytes, data_key: str) -> str:
    """`data_key` (ASCII) under an AES key of 16, 24 or 32 bytes, base64."""
    pad = PKCS7(_BLOCK_BITS).padder()
    cipher = Cipher(AES(primary), ECB()).encryptor()  # noqa: S305  # the original's format
    return b64e(cipher.update(pad.update(data_key.encode("ascii")) + pad.finalize()) + cipher.finalize())


def plain_unwrap(primary: bytes, wrapped: str) -> str:
    """The data key in `wrapped`: base64 of 16 bytes from the original, of 32 from us.

    Raises:
        IntegrityError: wrapped by something else. ECB notices a wrong key by luck only, the tag does for sure.
    """
    unpad = PKCS7(_BLOCK_BITS).unpadder()
    cipher = Cipher(AES(primary), ECB()).decryptor()  # noqa: S305  # the original's format
    try:
        padded = cipher.update(b64d(wrapped)) + cipher.finalize()
        text = (unpad.update(padded) + unpad.finalize()).decode("ascii")
        b64d(text)
    except ValueError:
        raise IntegrityError(
            "the data key was not wrapped by this plaintext primary key",
            next_step="check the key reference: another primary key or key service wrapped it",
        ) from None
    return text
