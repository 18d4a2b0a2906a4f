"""Layout of BigDL PPML's encrypted file (2.3, 2.4), the `common` encrypter.

    0      4         W, length of the wrapped data key, big endian        0..376
    4      4         length of the IV, big endian                         16
    8      W         wrapped data key, text
    8+W    16        IV
    24+W   376-W     filler, each byte 0x80
    400    16*k      AES-128-CBC, PKCS#7, k >= 1
    end    32        HMAC-SHA256 over the ciphertext only

No magic number and no version. Source: crypto/BigDLEncrypt.scala of BigDL PPML.
"""

from typing import Final, NamedTuple

from ppml_ops.errors import IntegrityError

HEADER: Final = 400
BLOCK: Final = 16
TAG: Final = 32
MAX_WRAPPED: Final = HEADER - 8 - BLOCK
FILLER: Final = 0x80
#: A container is never shorter: header, one block of padding, tag.
MIN_LENGTH: Final = HEADER + BLOCK + TAG
#: First byte of files of BigDL PPML 2.1 and 2.2, which have another header and carry no wrapped key.
_OLD_FIRST_BYTE: Final = 0x80
#: Buffer of the original's DataFrame reader under Spark (`spark.buffer.size`); see `is_unreadable_there`.
_THEIR_BUFFER: Final = 65_536
_RESTORE = "restore the file from a good copy"


class Header(NamedTuple):
    """The first 400 bytes of a file; none of it is authenticated.

    `regular_filler`: the rest is filled as the original fills it; a reader does not insist on that.
    """

    wrapped: str
    iv: bytes
    regular_filler: bool = True


def parse_header(data: bytes) -> Header:
    """The header in `data`, exactly 400 bytes.

    Raises:
        IntegrityError: not such a header; says so when it is one of 2.1/2.2.
    """
    if len(data) != HEADER:
        raise IntegrityError(
            f"a file of BigDL PPML begins with {HEADER} bytes of header, this one has {len(data)} bytes",
            next_step=_RESTORE,
        )
    if data[0] == _OLD_FIRST_BYTE:
        raise IntegrityError(
            "the file has the header of BigDL PPML 2.1 or 2.2, which does not carry its key",
            next_step="decrypt it with the version that wrote it",
        )
    length, iv_length = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    if length > MAX_WRAPPED or iv_length != BLOCK:
        raise IntegrityError("the file does not begin with a header of BigDL PPML", next_step=_RESTORE)
    wrapped, iv, filler = data[8 : 8 + length], data[8 + length : 24 + length], data[24 + length :]
    return Header(wrapped_text(wrapped), iv, filler.count(FILLER) == len(filler))


def wrapped_text(data: bytes) -> str:
    """A wrapped data key as text. Raises IntegrityError unless it is printable ASCII of at most 376 bytes."""
    text = data.decode("latin-1")
    if len(data) > MAX_WRAPPED or not text.isascii() or (text and not text.isprintable()):
        raise IntegrityError("the wrapped data key is not one that BigDL PPML writes", next_step=_RESTORE)
    return text


def build_header(wrapped: str, iv: bytes) -> bytes:
    """The 400 bytes for a wrapped key and a 16-byte IV. Raises as `wrapped_text`."""
    text = wrapped.encode("utf-8")
    wrapped_text(text)
    assert len(iv) == BLOCK
    head = len(text).to_bytes(4, "big") + BLOCK.to_bytes(4, "big") + text + iv
    return head.ljust(HEADER, bytes([FILLER]))


def ciphertext_length(length: int) -> int:
    """Bytes of ciphertext in a file of `length` bytes.

    Raises:
        IntegrityError: no container has this length: it was cut, extended or is something else.
    """
    between = length - HEADER - TAG
    if between < BLOCK or between % BLOCK:
        raise IntegrityError(
            f"no file of BigDL PPML has {length} bytes: it was cut or extended", next_step=_RESTORE
        )
    return between


def container_length(plain_length: int) -> int:
    """Bytes of the file for `plain_length` bytes of plaintext."""
    return HEADER + BLOCK * (plain_length // BLOCK + 1) + TAG


def is_unreadable_there(plain_length: int) -> bool:
    """Whether the original's DataFrame reader fails on a correct file of this much plaintext.

    Its last buffer overflows when the ciphertext is a multiple of its buffer, at least two of them, and the
    padding is shorter than a block. A writer for it avoids these lengths.
    """
    ciphertext = container_length(plain_length) - HEADER - TAG
    return ciphertext % _THEIR_BUFFER == 0 and ciphertext >= 2 * _THEIR_BUFFER and plain_length % BLOCK != 0
