"""Master keys of the original's Parquet files, and pyarrow told how its mock key service wrapped with them.

The original wraps file keys by parquet-mr's `InMemoryKMS`, a mock of its test jar: AES-GCM with the key's id as
associated data. pyarrow is imported on first use, because only Parquet needs it.
"""

import os
from importlib.util import find_spec
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import ConfigError, IntegrityError

FOOTER_KEY: Final = "footerKey"
COLUMN_KEY: Final = "key1"
_NONCE: Final = 12
_HALF: Final = 16


def require_pyarrow() -> None:
    """Raise ConfigError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise ConfigError("Parquet needs pyarrow", next_step="pip install 'ppml-ops[parquet]'")


def master_keys(data_key: str) -> dict[str, bytes]:
    """Footer and column master key, the characters 0..15 and 16..31 of the data key.

    Raises:
        IntegrityError: the data key is too short for them, so it is not one of Parquet data.
    """
    if len(data_key) < 2 * _HALF or not data_key.isascii():
        raise IntegrityError(
            "the data key is not one of Parquet data", next_step="check the key reference and .meta"
        )
    text = data_key.encode("ascii")
    return {FOOTER_KEY: text[:_HALF], COLUMN_KEY: text[_HALF : 2 * _HALF]}


def crypto_factory(data_key: str) -> Any:
    """A `pyarrow.parquet.encryption.CryptoFactory` for one data set.

    One for each: pyarrow, like parquet-mr, caches unwrapped keys by the names of master keys, and those of the
    original are always the same two.
    """
    require_pyarrow()
    from pyarrow.parquet import encryption

    masters = master_keys(data_key)

    class InMemoryKms(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            nonce = os.urandom(_NONCE)
            sealed = AESGCM(masters[master_key_identifier]).encrypt(
                nonce, key_bytes, master_key_identifier.encode()
            )
            return b64e(nonce + sealed).encode("ascii")

        def unwrap_key(self, wrapped_key: bytes | str, master_key_identifier: str) -> bytes:
            return _unwrap(masters, wrapped_key, master_key_identifier)

    return encryption.CryptoFactory(lambda _configuration: InMemoryKms())


def _unwrap(masters: dict[str, bytes], wrapped: bytes | str, name: str) -> bytes:
    try:
        raw = b64d(wrapped if isinstance(wrapped, str) else wrapped.decode("ascii"))
        return AESGCM(masters[name]).decrypt(raw[:_NONCE], raw[_NONCE:], name.encode())
    except (InvalidTag, KeyError, ValueError):
        raise IntegrityError(
            "its keys do not open: wrong key, or it was changed",
            next_step="check the key reference and .meta; of tables that BigDL PPML wrote in one process, the "
            "later ones have the data key of the first",
        ) from None
