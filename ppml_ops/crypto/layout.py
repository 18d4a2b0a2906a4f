"""Layout of Tink's streaming AEAD `AES256_GCM_HKDF_1MB`, wire format unchanged.

    header   0x28 | salt (32) | nonce prefix (7)                                    = 40 bytes
    segment  AES-256-GCM(key, nonce = prefix | index u32 BE | last? 1 : 0, plaintext) | tag (16)

key = HKDF-SHA256(data key, salt, info = associated data, 32). A segment is 1 MiB of ciphertext with its tag;
the first is shorter by the header, so segment `i` starts at file offset `i` MiB. There is always a last
segment; it is empty only when the plaintext is. Source: Tink wire format, "Streaming AEAD: AES-GCM-HKDF".
"""

from typing import Final, NamedTuple

SEGMENT: Final = 1 << 20
HEADER: Final = 40
TAG: Final = 16
SALT: Final = 32
PREFIX: Final = 7
KEY: Final = 32
#: A sealed file is never shorter: header and the tag of one empty segment.
MIN_LENGTH: Final = HEADER + TAG
#: Segment indexes are 32 bits, so a file holds at most 4 PiB.
MAX_SEGMENTS: Final = 1 << 32

_FIRST = SEGMENT - HEADER - TAG
_OTHER = SEGMENT - TAG


class Span(NamedTuple):
    """Where one segment lies: `length` bytes at `offset`, in the sealed file or in the plaintext."""

    offset: int
    length: int


def segment_count(sealed_length: int) -> int:
    """Number of segments of a sealed file of `sealed_length` bytes.

    Raises:
        ValueError: no sealed file has this length (too short, or a last segment that can't hold data).
    """
    if sealed_length < MIN_LENGTH:
        raise ValueError(f"a sealed file has at least {MIN_LENGTH} bytes, this one has {sealed_length}")
    count = -(-sealed_length // SEGMENT)
    if count > 1 and sealed_length - (count - 1) * SEGMENT <= TAG:
        raise ValueError("the sealed file was cut inside a tag")
    return count


def plaintext_length(sealed_length: int) -> int:
    """Plaintext bytes of a sealed file, from its length alone. Raises ValueError as `segment_count`."""
    return sealed_length - HEADER - TAG * segment_count(sealed_length)


def sealed_length(plain_length: int) -> int:
    """Bytes of the sealed file for `plain_length` bytes of plaintext."""
    if plain_length <= _FIRST:
        return HEADER + plain_length + TAG
    return HEADER + plain_length + TAG * (1 + -(-(plain_length - _FIRST) // _OTHER))


def segment_of(plain_offset: int) -> int:
    """Index of the segment that holds plaintext byte `plain_offset`."""
    return 0 if plain_offset < _FIRST else 1 + (plain_offset - _FIRST) // _OTHER


def plain_span(index: int, plain_length: int) -> Span:
    """Which plaintext bytes segment `index` of a file of `plain_length` plaintext bytes holds."""
    offset = 0 if index == 0 else _FIRST + (index - 1) * _OTHER
    size = _FIRST if index == 0 else _OTHER
    return Span(offset, min(size, plain_length - offset))


def sealed_span(index: int, plain_length: int) -> Span:
    """Which bytes of the sealed file hold segment `index` with its tag."""
    return Span(HEADER if index == 0 else index * SEGMENT, plain_span(index, plain_length).length + TAG)
