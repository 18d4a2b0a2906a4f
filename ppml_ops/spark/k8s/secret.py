"""The secret between driver and executors: each derives it from keys that only attested processes get."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO = b"ppml-ops/rpc/2\0"


def rpc_secret(keys: Mapping[str, bytes], generation: str) -> bytes:
    """Base64 text, the same in all processes of one try.

    Args:
        keys: data keys of all data sets of the job by name: who knows one of them only, such as the owner of
            another data set, can't derive it.
        generation: one try; another one has another secret.
    """
    material = b"".join(
        len(name.encode()).to_bytes(2) + name.encode() + key for name, key in sorted(keys.items())
    )
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO + generation.encode("ascii"))
    return base64.b64encode(derivation.derive(material))


def write_secret(path: Path, secret: bytes) -> None:
    """Write it for this user alone, to a folder in memory; the file must not be there yet."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
