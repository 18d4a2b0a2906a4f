"""Primary key files of BigDL PPML: one line of text, written with a line feed after it.

A SimpleKMS key has 16 characters; a plaintext primary key is base64 of 16, 24 or 32 bytes, so 24 and more.
"""

import binascii
from typing import Final, NamedTuple

from ppml_ops.canonical import b64d
from ppml_ops.crypto.bigdl.simplekms import PRIMARY_KEY
from ppml_ops.errors import ConfigError

MAX_BYTES: Final = 1024
_AES_KEYS: Final = (16, 24, 32)


class SimplePrimary(NamedTuple):
    """A key of SimpleKeyManagementService: 16 characters, the first 12 being the application id."""

    text: str


class PlainPrimary(NamedTuple):
    """An AES key: `spark.bigdl.primaryKey.<name>.plainText`."""

    key: bytes


PrimaryKey = SimplePrimary | PlainPrimary


def parse_key_file(data: bytes) -> PrimaryKey:
    """The key in a key file: its first line, as the original reads it.

    Raises:
        ConfigError: neither kind of key; the message shows nothing of the content.
    """
    if len(data) > MAX_BYTES:
        raise _no_key(f"it has more than {MAX_BYTES} bytes")
    line = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if not line.isascii() or not line.decode("latin-1").isprintable():
        raise _no_key("its first line is not printable text")
    text = line.decode("ascii")
    if len(text) == PRIMARY_KEY:
        return SimplePrimary(text)
    try:
        key = b64d(text)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) not in _AES_KEYS:
        raise _no_key(f"its first line has {len(text)} characters and is not base64 of an AES key")
    return PlainPrimary(key)


def encode_key_file(primary: SimplePrimary) -> bytes:
    """The bytes of a SimpleKMS key file."""
    return primary.text.encode("ascii") + b"\n"


def _no_key(why: str) -> ConfigError:
    return ConfigError(
        f"the file is not a primary key of BigDL PPML: {why}",
        next_step="name the file that GeneratePrimaryKey wrote (16 characters), or one with the base64 text of "
        "a plaintext primary key",
    )
