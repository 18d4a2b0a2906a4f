"""A second reader and writer of BigDL PPML's files, whole files at once, made from the format's description.

It shares no code with the product. The reader is the correct one of the description: tag first.
"""

import base64
import hashlib
import hmac
import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bigdl"
VECTORS: dict[str, Any] = json.loads((FIXTURES / "vectors.json").read_text())
SETS: dict[str, dict[str, Any]] = {one["id"]: one for one in VECTORS["sets"]}
KEY_FILES = {one["id"]: FIXTURES / one["file"] for one in VECTORS["keys"]}


def data_key(primary: str, wrapped: str) -> str:
    """SimpleKMS: digit by digit, each result written as the two digits of its character code."""
    return "".join(f"{48 + (int(wrapped[i]) - int(primary[i]) + 10) % 10}" for i in range(16))


def plain_data_key(primary: str, wrapped: str) -> str:
    """Plaintext primary key: AES-ECB over text, PKCS#7."""
    cipher = Cipher(algorithms.AES(base64.b64decode(primary)), modes.ECB()).decryptor()
    padded = cipher.update(base64.b64decode(wrapped)) + cipher.finalize()
    return padded[: -padded[-1]].decode()


def key_pair(key: str) -> tuple[bytes, bytes]:
    """Signing key, AES key."""
    text = key.encode()
    return text[:16], (text[16:32] + bytes(16))[:16]


def make_file(key: str, wrapped: str, iv: bytes, plain: bytes) -> bytes:
    """A whole `.cbc` file."""
    signing, aes = key_pair(key)
    pad = 16 - len(plain) % 16
    cipher = Cipher(algorithms.AES(aes), modes.CBC(iv)).encryptor()
    body = cipher.update(plain + bytes([pad]) * pad) + cipher.finalize()
    head = struct.pack(">ii", len(wrapped), 16) + wrapped.encode() + iv
    return head + b"\x80" * (400 - len(head)) + body + hmac.digest(signing, body, "sha256")


def read_file(data: bytes, primary: str) -> bytes:
    """The plaintext of a `.cbc` file under a SimpleKMS or plaintext primary key; asserts that it is whole."""
    assert len(data) >= 448
    wrapped_length, iv_length = struct.unpack(">ii", data[:8])
    assert 0 <= wrapped_length <= 376
    assert iv_length == 16
    wrapped = data[8 : 8 + wrapped_length].decode()
    iv = data[8 + wrapped_length : 24 + wrapped_length]
    key = data_key(primary, wrapped) if len(primary) == 16 else plain_data_key(primary, wrapped)
    signing, aes = key_pair(key)
    body, tag = data[400:-32], data[-32:]
    assert hmac.compare_digest(tag, hmac.digest(signing, body, "sha256"))
    cipher = Cipher(algorithms.AES(aes), modes.CBC(iv)).decryptor()
    plain = cipher.update(body) + cipher.finalize()
    assert plain[-plain[-1] :] == plain[-1:] * plain[-1]
    return plain[: -plain[-1]]


def read_folder(folder: Path, primary: str) -> dict[str, bytes]:
    """Plaintexts by part name, as the original's reader finds them: `.meta`, then all visible `.cbc` files."""
    meta = json.loads((folder / ".meta").read_bytes())["encryptedDataKey"]
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name[0] in "._":
            continue
        assert path.suffix == ".cbc", path.name
        data = path.read_bytes()
        # The original finds a part's key under the wrapped key of its header, and loads only that of `.meta`.
        assert not data or data[8 : 8 + int.from_bytes(data[:4], "big")].decode() == meta
        found[path.name] = read_file(data, primary) if data else b""
    return found


def crc_file(data: bytes) -> bytes:
    """Hadoop's side file: magic, bytes per checksum, CRC-32 of each 512 bytes."""
    pieces: Iterable[bytes] = (data[at : at + 512] for at in range(0, len(data), 512))
    return b"crc\0" + struct.pack(">i", 512) + b"".join(struct.pack(">I", zlib.crc32(one)) for one in pieces)


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()
