"""Streams over the sealed format: a sequential writer and a seekable reader.

`SealedReader` authenticates each segment before it hands out a byte of it. Reading to the end proves that
nothing is missing; a reader that skips the tail relies on the manifest for that (spark-io: container notes).
"""

import io
import os
from typing import BinaryIO

from ppml_ops.crypto.layout import (
    HEADER,
    SEGMENT,
    TAG,
    plain_span,
    plaintext_length,
    sealed_span,
    segment_of,
)
from ppml_ops.crypto.segments import Buffer, SegmentCipher
from ppml_ops.errors import IntegrityError


class SealedWriter(io.RawIOBase):
    """Seals what is written to it into `sink`. Close it to write the last segment.

    An unclosed or failed writer leaves a file without a last segment, which no reader takes for whole:
    leaving a `with` block by an exception aborts instead of closing. The sink stays open.

    Args:
        sink: receives the sealed bytes in order.
        data_key: 32 bytes, see `SegmentCipher`.
        associated_data: the data set id in UTF-8.
    """

    def __init__(self, sink: BinaryIO, data_key: bytes, associated_data: bytes) -> None:
        super().__init__()
        self._sink = sink
        self._cipher = SegmentCipher(data_key, associated_data)
        self._plain = bytearray(SEGMENT - TAG)
        self._sealed = bytearray(SEGMENT)
        self._index = 0
        self._filled = 0
        self._room = SEGMENT - TAG - HEADER
        self._aborted = False
        sink.write(self._cipher.header)

    @property
    def header(self) -> bytes:
        """The 40 bytes at the start of the file; with its random salt it names the content."""
        return self._cipher.header

    def writable(self) -> bool:
        """Always true."""
        return True

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]  # typeshed's ReadableBuffer is wider
        """Buffer `data`, sealing each segment as it fills; returns the number of bytes taken, all of them."""
        if self.closed:
            raise ValueError("write to a closed sealed file")
        view = memoryview(data).cast("B")
        taken = 0
        while taken < len(view):
            if self._filled == self._room:  # only now is it certain that this segment is not the last
                self._flush_segment(last=False)
            step = min(self._room - self._filled, len(view) - taken)
            self._plain[self._filled : self._filled + step] = view[taken : taken + step]
            self._filled += step
            taken += step
        return taken

    def _flush_segment(self, *, last: bool) -> None:
        plain = memoryview(self._plain)[: self._filled]
        sealed = memoryview(self._sealed)[: self._filled + TAG]
        self._cipher.seal_into(self._index, last, plain, sealed)
        self._sink.write(sealed)
        self._index += 1
        self._filled = 0
        self._room = SEGMENT - TAG

    def abort(self) -> None:
        """Close without a last segment: what lies in the sink can't be read as a whole file."""
        self._aborted = True
        self.close()

    def close(self) -> None:
        """Write the last segment and wipe the plaintext buffer."""
        if self.closed:
            return
        try:
            if not self._aborted:
                self._flush_segment(last=True)
        finally:
            self._plain[:] = bytes(len(self._plain))
            super().close()

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            self.abort()
        else:
            self.close()

    def __del__(self) -> None:
        """A forgotten writer must not turn a half-written file into a whole one."""
        if not self.closed:
            self.abort()


class SealedReader(io.RawIOBase):
    """Opens a sealed file for random access.

    Args:
        source: seekable; its length decides where the last segment lies. It stays open.
        data_key: 32 bytes.
        associated_data: the data set id in UTF-8.

    Raises:
        IntegrityError: too short, or not a sealed file; from reads: see `SegmentCipher.open_into`.
    """

    def __init__(self, source: BinaryIO, data_key: bytes, associated_data: bytes) -> None:
        super().__init__()
        self._source = source
        length = self.sealed_length = source.seek(0, os.SEEK_END)
        source.seek(0)
        self._cipher = SegmentCipher(data_key, associated_data, source.read(HEADER))
        try:
            self.length = plaintext_length(length)
        except ValueError as error:
            raise IntegrityError(str(error), next_step="restore the file from a good copy") from None
        self._last = segment_of(max(self.length - 1, 0))
        self._position = 0
        self._current = -1
        self._sealed = bytearray(SEGMENT)
        self._plain = bytearray(SEGMENT)
        self._load(0)  # a wrong key or data set fails here, not at the first read

    @property
    def header(self) -> bytes:
        """The 40 bytes at the start of the file that is being read."""
        return self._cipher.header

    def _load(self, index: int) -> None:
        if index == self._current:
            return
        offset, length = sealed_span(index, self.length)
        sealed = memoryview(self._sealed)[:length]
        self._source.seek(offset)
        got = 0
        while got < length:
            part = self._source.read(length - got)
            if not part:
                raise IntegrityError(
                    "the sealed file shrank while it was read",
                    next_step="read it again when nobody writes it",
                )
            sealed[got : got + len(part)] = part
            got += len(part)
        self._current = -1
        self._cipher.open_into(index, index == self._last, sealed, memoryview(self._plain)[: length - TAG])
        self._current = index

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """Plaintext position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a plaintext position; past the end reads as empty."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # as above
        """Fill `buffer` from one segment; returns 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._position >= self.length or not len(view):
            return 0
        index = segment_of(self._position)
        self._load(index)
        start, size = plain_span(index, self.length)
        within = self._position - start
        step = min(len(view), size - within)
        view[:step] = memoryview(self._plain)[within : within + step]
        self._position += step
        return step
