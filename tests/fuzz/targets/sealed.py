"""A sealed file of strangers, or one that somebody changed."""

import io
from contextlib import suppress

from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.errors import PpmlError

KEY, DATASET = bytes(32), b"sim-people"


def run(data: bytes) -> None:
    """Read it to the end, and from places inside."""
    with suppress(PpmlError):
        reader = SealedReader(io.BytesIO(data), KEY, DATASET)
        while reader.read(1 << 16):
            pass
        reader.seek(max(reader.length - 1, 0))
        reader.read(2)
