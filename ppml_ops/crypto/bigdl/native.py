"""Read files of the `nativeaescbc` encrypter: IV (16) and AES-CBC, no key, no length, no tag.

Nothing in such a file is authenticated: whoever can change it changes the plaintext unnoticed. It is never
written here. Source: crypto/BigDLAESCBCEncrypt.scala.
"""

from collections.abc import Iterator
from typing import BinaryIO

from ppml_ops.crypto.bigdl.container import decrypted, read_exactly, unpadded
from ppml_ops.crypto.bigdl.layout import BLOCK
from ppml_ops.errors import IntegrityError


class NativeReader:
    """One file, read once from its beginning.

    Raises:
        IntegrityError: no such file has this length.
    """

    def __init__(self, source: BinaryIO, length: int) -> None:
        if length < 2 * BLOCK or length % BLOCK:
            raise IntegrityError(
                f"no file of the original's nativeaescbc has {length} bytes: it was cut or extended",
                next_step="restore the file from a good copy",
            )
        self._source = source
        self._ciphertext = length - BLOCK
        iv = bytearray(BLOCK)
        read_exactly(source, memoryview(iv))
        self.iv = bytes(iv)

    def pieces(self, key: bytes) -> Iterator[memoryview]:
        """The plaintext under an AES key of 16, 24 or 32 bytes; each piece is valid until the next.

        Raises:
            IntegrityError: after the last piece, when the padding is wrong. A right padding proves little.
        """
        last = b""
        for _sealed, piece, end in decrypted(self._source, self._ciphertext, key, self.iv):
            yield piece
            last = end
        yield unpadded(last)
