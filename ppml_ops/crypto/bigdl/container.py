"""Read and write the `.cbc` container in constant memory. Layout: `layout`, keys: `datakey`.

The tag stands at the end, so a reader has plaintext before it knows whether that is genuine. `CbcReader.pieces`
raises after its last piece then: whoever takes the pieces publishes nothing until the iteration has ended by
itself. One pass over the file, not two, because a file that changes between two passes would be checked in one
state and read in another.
"""

import hmac
import io
import os
from collections.abc import Iterator
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ppml_ops.crypto.bigdl.datakey import check_full, file_keys
from ppml_ops.crypto.bigdl.layout import (
    BLOCK,
    HEADER,
    TAG,
    Header,
    build_header,
    ciphertext_length,
    parse_header,
)
from ppml_ops.errors import IntegrityError

CHUNK: Final = 1 << 20
Buffer = bytes | bytearray | memoryview


class CbcReader:
    """One file, read once from its beginning.

    Args:
        source: positioned at the first byte; stays open.
        length: bytes of the file.

    Raises:
        IntegrityError: no file of this format has this header or length.
    """

    def __init__(self, source: BinaryIO, length: int) -> None:
        self._source = source
        head = bytearray(min(HEADER, length))
        read_exactly(source, memoryview(head))
        self.header: Header = parse_header(bytes(head))
        self._ciphertext = ciphertext_length(length)

    def pieces(self, data_key: str) -> Iterator[memoryview]:
        """The plaintext, of which nothing is authentic before the iteration has ended without an error.

        Each piece is valid until the next one is asked for.

        Raises:
            IntegrityError: after the last piece: wrong key, or the ciphertext was changed. Tag and padding give
                one error: which of them is wrong would tell a forger something.
        """
        keys = file_keys(data_key)
        mac = hmac.new(keys.signing, digestmod="sha256")
        last = b""
        for sealed, piece, end in decrypted(self._source, self._ciphertext, keys.aes, self.header.iv):
            mac.update(sealed)
            yield piece
            last = end
        tag = bytearray(TAG)
        read_exactly(self._source, memoryview(tag))
        if self._source.read(1) or not hmac.compare_digest(mac.digest(), tag):
            raise not_authentic()
        yield unpadded(last)


def decrypted(
    source: BinaryIO, length: int, key: bytes, iv: bytes
) -> Iterator[tuple[memoryview, memoryview, bytes]]:
    """AES-CBC over `length` bytes of `source`, chunk by chunk: (ciphertext, plaintext, last block).

    The last block, 16 bytes with the padding, is kept back from the last chunk's plaintext and stands in the
    third place, which is empty before. Raises IntegrityError when the source is shorter.
    """
    cipher = Cipher(AES(key), CBC(iv)).decryptor()
    sealed, plain = bytearray(min(CHUNK, length)), bytearray(min(CHUNK, length) + BLOCK)
    while length:
        size = min(CHUNK, length)
        view = memoryview(sealed)[:size]
        read_exactly(source, view)
        cipher.update_into(view, plain)
        length -= size
        end = size if length else size - BLOCK
        yield view, memoryview(plain)[:end], bytes(plain[end:size])


def unpadded(block: bytes) -> memoryview:
    """What is left of the last block without PKCS#7 padding. Raises IntegrityError when that is wrong."""
    count = block[-1]
    if not 1 <= count <= BLOCK or block[BLOCK - count :] != bytes([count]) * count:
        raise not_authentic()
    return memoryview(block)[: BLOCK - count]


def not_authentic() -> IntegrityError:
    """The one error for whatever does not decrypt as it was encrypted."""
    return IntegrityError(
        "the file does not open: wrong key, or it was changed",
        next_step="check the key reference; if it is right, restore the file from a good copy",
    )


def read_exactly(source: BinaryIO, into: memoryview) -> None:
    """Fill `into`. Raises IntegrityError at the end of `source`; a short read alone is no end."""
    got = 0
    while got < len(into):
        part = source.read(len(into) - got)
        if not part:
            raise IntegrityError(
                "the file shrank while it was read", next_step="read it again when nobody writes it"
            )
        into[got : got + len(part)] = part
        got += len(part)


class CbcWriter(io.RawIOBase):
    """Encrypts what is written to it into `sink`. Close it to write the padding and the tag.

    Leaving a `with` block by an exception aborts: the file then ends without a tag and opens nowhere.

    Args:
        sink: receives the file's bytes in order; stays open.
        data_key: 32 characters or more.
        wrapped: the same key as it goes into the header.
        iv: 16 bytes for tests with known answers; random otherwise.

    Raises:
        ConfigError: the data key is too short.
    """

    def __init__(self, sink: BinaryIO, data_key: str, wrapped: str, iv: bytes | None = None) -> None:
        super().__init__()
        iv = os.urandom(BLOCK) if iv is None else iv
        keys = file_keys(check_full(data_key))
        self._sink = sink
        self._cipher = Cipher(AES(keys.aes), CBC(iv)).encryptor()
        self._mac = hmac.new(keys.signing, digestmod="sha256")
        self._plain, self._sealed = bytearray(CHUNK), bytearray(CHUNK + BLOCK)
        self._filled = 0
        self._aborted = False
        sink.write(build_header(wrapped, iv))

    def writable(self) -> bool:
        """Always true."""
        return True

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]  # typeshed's ReadableBuffer is wider
        """Take all of `data`, encrypting each MiB as it fills; returns its number of bytes."""
        if self.closed:
            raise ValueError("write to a closed file")
        view = memoryview(data).cast("B")
        taken = 0
        while taken < len(view):
            step = min(CHUNK - self._filled, len(view) - taken)
            self._plain[self._filled : self._filled + step] = view[taken : taken + step]
            self._filled += step
            taken += step
            if self._filled == CHUNK:
                self._flush(CHUNK)
        return taken

    def _flush(self, size: int) -> None:
        count = self._cipher.update_into(memoryview(self._plain)[:size], self._sealed)
        sealed = memoryview(self._sealed)[:count]
        self._mac.update(sealed)
        self._sink.write(sealed)
        self._filled = 0

    def abort(self) -> None:
        """Close without a tag."""
        self._aborted = True
        self.close()

    def close(self) -> None:
        """Write padding and tag, and wipe the plaintext buffer."""
        if self.closed:
            return
        try:
            if not self._aborted:
                count = BLOCK - self._filled % BLOCK
                self._plain[self._filled : self._filled + count] = bytes([count]) * count
                self._flush(self._filled + count)
                self._sink.write(self._mac.digest())
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
        if hasattr(self, "_plain") and not self.closed:
            self.abort()
