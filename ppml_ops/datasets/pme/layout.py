"""The ends of an encrypted Parquet file that can be read without a key: magic, footer length, algorithm.

    PARE | encrypted modules | FileCryptoMetaData, encrypted footer | length (4, little endian) | PARE

Source: Parquet modular encryption, section "File Format"; Thrift compact protocol for the two bytes below.
"""

from typing import Final, Literal

from ppml_ops.errors import IntegrityError

MAGIC: Final = b"PARE"
PLAIN_MAGIC: Final = b"PAR1"
#: Footer length and magic.
TAIL: Final = 8
#: With the authentication tag of the footer before them: two files that end alike are one.
IDENTITY: Final = 64
#: Magic at both ends, a footer that holds at least the algorithm, nonce and tag.
MIN_LENGTH: Final = 64
Algorithm = Literal["AES_GCM_V1", "AES_GCM_CTR_V1"]
#: FileCryptoMetaData begins with field 1 (struct), a union whose field number is the algorithm.
_ALGORITHMS: dict[bytes, Algorithm] = {b"\x1c\x1c": "AES_GCM_V1", b"\x1c\x2c": "AES_GCM_CTR_V1"}


def footer_length(length: int, head: bytes, tail: bytes) -> int:
    """Bytes of crypto metadata and footer before the tail.

    Args:
        length: bytes of the file.
        head: its first 4 bytes.
        tail: its last 8.

    Raises:
        IntegrityError: not an encrypted Parquet file with an encrypted footer, or cut.
    """
    if head == PLAIN_MAGIC:
        raise IntegrityError(
            "it is not encrypted, or its footer is not",
            next_step="remove it if it does not belong there; else restore it from a good copy",
        )
    if length < MIN_LENGTH or head != MAGIC or tail[4:] != MAGIC:
        raise _damaged("it does not begin and end as an encrypted Parquet file, so it was cut or is none")
    footer = int.from_bytes(tail[:4], "little")
    if not 2 <= footer <= length - TAIL - len(MAGIC):
        raise _damaged("its footer is longer than the file")
    return footer


def algorithm_of(footer: bytes) -> Algorithm:
    """The algorithm from the first two bytes of the crypto metadata. Raises IntegrityError for others."""
    try:
        return _ALGORITHMS[footer[:2]]
    except KeyError:
        raise _damaged("its crypto metadata name no algorithm that is known") from None


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(what, next_step="restore the file from a good copy")
