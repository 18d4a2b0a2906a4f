"""Hadoop's checksum side files: `.NAME.crc`, CRC-32 of each 512 bytes of NAME.

They find accidents, and also what the tag of `.cbc` leaves out: the header, the IV, parts that changed places.
Whoever tampers can write new ones, so they prove nothing.
"""

import zlib
from typing import BinaryIO, Final

from ppml_ops.datasets.bigdl.parts import damaged

_MAGIC: Final = b"crc\0"
_HEAD: Final = 8
_MIN_BLOCK, _MAX_BLOCK = 512, 1 << 20


class CheckedSource:
    """A source of bytes that is compared with its side file while it is read in order.

    Args:
        length: bytes of the source.

    Raises:
        IntegrityError: the side file is not one for so many bytes; from `read`: a checksum differs.
    """

    def __init__(self, source: BinaryIO, checksums: BinaryIO, checksums_length: int, length: int) -> None:
        self._source = source
        self._checksums = checksums
        head = checksums.read(_HEAD)
        self._block = int.from_bytes(head[4:], "big")
        if (
            len(head) != _HEAD
            or head[:4] != _MAGIC
            or not _MIN_BLOCK <= self._block <= _MAX_BLOCK
            or checksums_length != _HEAD + 4 * -(-length // self._block)
        ):
            raise damaged("the checksum file beside it is of a file of another length, or damaged")
        self._left = length
        self._crc = 0
        self._in_block = 0

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes of the source; only ever forward."""
        data = self._source.read(size)
        view = memoryview(data)
        while view:
            step = min(self._block - self._in_block, len(view))
            self._crc = zlib.crc32(view[:step], self._crc)
            self._in_block += step
            self._left -= step
            view = view[step:]
            if self._in_block == self._block or not self._left:
                self._compare()
        return data

    def _compare(self) -> None:
        if self._checksums.read(4) != self._crc.to_bytes(4, "big"):
            raise damaged("it differs from the checksum file beside it")
        self._crc = self._in_block = 0
