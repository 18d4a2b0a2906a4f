"""The cipher of one sealed file: header, derived key, and one AES-GCM call per segment."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ppml_ops.crypto.layout import HEADER, KEY, MAX_SEGMENTS, PREFIX, SALT
from ppml_ops.errors import IntegrityError

Buffer = bytes | bytearray | memoryview


class SegmentCipher:
    """Seals and opens the segments of one file. Safe to share between threads: it holds no position.

    Args:
        data_key: 32 bytes.
        associated_data: the data set id; a file of another data set does not open.
        header: the 40 bytes at the start of an existing file; None makes those of a new file.

    Raises:
        ValueError: the data key is not 32 bytes long.
        IntegrityError: `header` is not one of this format.
    """

    def __init__(self, data_key: bytes, associated_data: bytes, header: bytes | None = None) -> None:
        if len(data_key) != KEY:
            raise ValueError("a data key has 32 bytes")
        if header is None:
            header = bytes([HEADER]) + os.urandom(SALT + PREFIX)
        if len(header) != HEADER or header[0] != HEADER:
            raise IntegrityError(
                "the file does not begin with the header of a sealed file",
                next_step="check that this is a sealed file and restore it from a good copy",
            )
        self.header = header
        self._prefix = header[1 + SALT :]
        derive = HKDF(algorithm=SHA256(), length=KEY, salt=header[1 : 1 + SALT], info=associated_data)
        self._aead = AESGCM(derive.derive(data_key))

    def _nonce(self, index: int, last: bool) -> bytes:
        if not 0 <= index < MAX_SEGMENTS:
            raise ValueError("segment index out of range")
        return self._prefix + index.to_bytes(4, "big") + bytes([last])

    def seal_into(self, index: int, last: bool, plaintext: Buffer, out: Buffer) -> None:
        """Seal one segment; `out` has the length of `plaintext` + 16."""
        self._aead.encrypt_into(self._nonce(index, last), plaintext, None, out)

    def open_into(self, index: int, last: bool, sealed: Buffer, out: Buffer) -> None:
        """Open one segment; `out` has the length of `sealed` - 16 and holds nothing of use on failure.

        Raises:
            IntegrityError: wrong key, wrong data set, or the segment was changed, moved or cut.
        """
        try:
            self._aead.decrypt_into(self._nonce(index, last), sealed, None, out)
        except InvalidTag:
            raise IntegrityError(
                f"segment {index} does not open: wrong key or data set, or the file was changed or cut",
                next_step="check the key reference; if it is right, restore the file from a good copy",
            ) from None
