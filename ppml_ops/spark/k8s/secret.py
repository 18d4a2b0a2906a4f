"""The secret between driver and executors: each derives it from a key that only attested processes get."""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO = b"ppml-ops/rpc/1\0"


def rpc_secret(key: bytes, generation: str) -> bytes:
    """Base64 text, the same in all processes of one try.

    Args:
        key: data key of the job's first written data set.
        generation: one try; another one has another secret.
    """
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO + generation.encode("ascii")).derive(
        key
    )
    return base64.b64encode(derived)


def write_secret(path: Path, secret: bytes) -> None:
    """Write it for this user alone, to a folder in memory; the file must not be there yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
