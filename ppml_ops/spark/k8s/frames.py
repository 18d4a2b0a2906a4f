"""The framed protocol between orchestrator and node pod: one request, one reply. Standard library only.

A frame is 8 bytes (two big-endian lengths), a JSON object, and a payload. Both sides check every length.
While the server works on something long it sends frames with `{"busy": …}`, so that a stream without any
traffic is a dead one. Requests may come twice after a lost connection; each means the same when it does.
"""

import json
import struct
from collections.abc import Callable
from typing import Any

MAX_HEADER = 64 << 10
MAX_PAYLOAD = 4 << 20
VERSION = "nodepod/1"
_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]


class BadFrameError(Exception):
    """What came is not a frame of this protocol."""


def encode_frame(header: Header, payload: bytes = b"") -> bytes:
    """One frame. Raises BadFrameError when it is too large."""
    document = json.dumps(header, separators=(",", ":")).encode()
    if len(document) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        raise BadFrameError(f"a frame of {len(document)} and {len(payload)} bytes is too large")
    return _LENGTHS.pack(len(document), len(payload)) + document + payload


def read_frame(read: Callable[[int], bytes]) -> tuple[Header, bytes]:
    """The next frame; `read` returns exactly as many bytes as it is asked for, or raises.

    Raises:
        BadFrameError: too large, or its header is not a JSON object.
    """
    lengths = _LENGTHS.unpack(read(_LENGTHS.size))
    if lengths[0] > MAX_HEADER or lengths[1] > MAX_PAYLOAD:
        raise BadFrameError(f"a frame of {lengths[0]} and {lengths[1]} bytes is too large")
    try:
        header = json.loads(read(lengths[0]))
    except (ValueError, RecursionError):
        raise BadFrameError("the header is not JSON") from None
    if not isinstance(header, dict):
        raise BadFrameError("the header is not an object")
    return header, read(lengths[1]) if lengths[1] else b""
