"""How a primary key wraps a data key: one KEK per data set (RFC 5869), then AES key wrap (RFC 3394).

The context (data set id) goes into the KEK, so a wrapped key moved to another data set doesn't open. So does
the secret of the wrap, as HKDF's salt, where the key service keeps one: see `ppml_ops.keys.erasable`.
"""

import re

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.keys.model import (
    DATA_KEY_BYTES,
    DATASET_PATTERN,
    ERASABLE_ALGORITHM,
    WRAP_ALGORITHM,
    KeyRef,
    WrappedKey,
)

_WRAP_INFO = b"ppml-ops/wrap/v1\0"
_DATASET = re.compile(DATASET_PATTERN)


def derive(secret: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """HKDF-SHA256, 32 bytes."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def _kek(primary: bytes, context: str, secret: bytes) -> bytes:
    # `fullmatch`: "$" would let a final newline through.
    if not _DATASET.fullmatch(context):
        raise ConfigError(
            f"{context[:60]!r} is not a data set id", next_step="use 1 to 40 of a-z, 0-9 and inner '-'"
        )
    return derive(primary, _WRAP_INFO + context.encode("utf-8"), secret)


def wrap_data_key(
    primary: bytes, ref: KeyRef, data_key: bytes, context: str, secret: bytes = b""
) -> WrappedKey:
    """Wrap the 32-byte `data_key` under `primary`, which is the version that `ref` names.

    Args:
        secret: of this wrap, 32 bytes; empty: the wrap opens by the primary key alone.

    Raises:
        ConfigError: `context` is no data set id, or the data key has another length.
    """
    if len(data_key) != DATA_KEY_BYTES:
        raise ConfigError(
            f"a data key has {DATA_KEY_BYTES} bytes, not {len(data_key)}",
            next_step="make it with new_data_key()",
        )
    wrapped = aes_key_wrap(_kek(primary, context, secret), data_key)
    algorithm = ERASABLE_ALGORITHM if secret else WRAP_ALGORITHM
    return WrappedKey(key=str(ref), algorithm=algorithm, wrapped=b64e(wrapped))


def unwrap_data_key(primary: bytes, wrapped: WrappedKey, context: str, secret: bytes = b"") -> bytes:
    """The 32-byte data key in `wrapped`, whose secret is `secret` if it has one.

    Raises:
        IntegrityError: wrapped by another key or for another data set, or changed since.
        ConfigError: `context` is no data set id.
    """
    try:
        return aes_key_unwrap(_kek(primary, context, secret), b64d(wrapped.wrapped))
    except InvalidUnwrap:
        raise IntegrityError(
            f"the wrapped key of data set {context} does not open under {wrapped.key}: it was wrapped by "
            "another key or for another data set, or it was changed",
            next_step="compare the key reference with the manifest; if they agree, restore the manifest",
        ) from None
