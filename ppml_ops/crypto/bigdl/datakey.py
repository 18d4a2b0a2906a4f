"""How BigDL PPML makes keys of a data key, which is always text: its characters are the key bytes."""

from typing import Final, NamedTuple

from ppml_ops.errors import ConfigError, IntegrityError

_SIGNING: Final = 16
#: With fewer characters the AES key ends in zero bytes: read, but never written.
FULL: Final = 32
MAX_TEXT: Final = 1024


class FileKeys(NamedTuple):
    """HMAC and AES keys, 16 bytes each."""

    signing: bytes
    aes: bytes


def file_keys(data_key: str) -> FileKeys:
    """Keys of the data key: characters 0..15 sign, 16..31 encrypt, missing ones are zero bytes.

    Raises:
        IntegrityError: not printable ASCII of 16 characters or more, so it was unwrapped by a wrong key.
    """
    if not (_SIGNING <= len(data_key) <= MAX_TEXT and data_key.isascii() and data_key.isprintable()):
        raise IntegrityError(
            "the data key is not one that BigDL PPML makes: it was wrapped by another primary key",
            next_step="check the key reference",
        )
    text = data_key.encode("ascii")
    return FileKeys(text[:_SIGNING], text[_SIGNING:FULL].ljust(16, b"\0"))


def check_full(data_key: str) -> str:
    """`data_key` if it fills both keys. Raises ConfigError for one that would leave zero bytes in them."""
    if len(data_key) < FULL:
        raise ConfigError(
            f"a data key of {len(data_key)} characters leaves zero bytes in the AES key",
            next_step="let the key service make the data key",
        )
    return data_key
