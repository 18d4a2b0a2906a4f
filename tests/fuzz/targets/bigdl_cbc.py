"""`.cbc` files of BigDL PPML, `nativeaescbc` files, and Hadoop's checksum files beside them."""

import hmac
import io

from ppml_ops.crypto.bigdl.container import CbcReader
from ppml_ops.crypto.bigdl.layout import HEADER, TAG, build_header
from ppml_ops.crypto.bigdl.native import NativeReader
from ppml_ops.datasets.bigdl.checksums import CheckedSource
from ppml_ops.errors import PpmlError

KEY = "51544953485256515450524948565655"


def run(data: bytes) -> None:
    """As it is; under a tag that fits, which reaches the padding; as native file; as side file."""
    _opened(data)
    body = data[: len(data) // 16 * 16]
    tag = hmac.digest(KEY[:16].encode(), body, "sha256")
    _opened(build_header("4" * 32, bytes(16)) + body + tag)
    if len(data) > HEADER + TAG:
        _opened(data[:-TAG] + hmac.digest(KEY[:16].encode(), data[HEADER:-TAG], "sha256"))
    try:
        for _piece in NativeReader(io.BytesIO(data), len(data)).pieces(bytes(16)):
            pass
    except PpmlError:
        pass
    half = len(data) // 2
    try:
        source = CheckedSource(io.BytesIO(data[half:]), io.BytesIO(data[:half]), half, len(data) - half)
        while source.read(100):
            pass
    except PpmlError:
        pass


def _opened(file: bytes) -> None:
    try:
        reader = CbcReader(io.BytesIO(file), len(file))
        length = sum(len(piece) for piece in reader.pieces(KEY))
    except PpmlError:
        return
    assert HEADER + TAG + length < len(file) <= HEADER + TAG + length + 16
