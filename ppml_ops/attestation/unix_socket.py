"""Unix sockets at paths of any length (the address itself is limited to about 107 bytes)."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_QUEUE_SECONDS = 0.01


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for `path` that fits, valid inside the block: through the folder's open descriptor (Linux)."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def _connect(client: socket.socket, address: str, deadline: float) -> None:
    """Connect, and wait while the listener's queue is full: unix(7) says EAGAIN then, where TCP would wait."""
    while True:
        try:
            return client.connect(address)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("the listener's queue stays full") from None
            time.sleep(_QUEUE_SECONDS)


def request_line(path: Path, line: bytes, *, limit: int, timeout: float) -> bytes:
    """Send one line to the stream socket at `path` and return the one line that comes back.

    Raises:
        OSError: no such socket, nobody listens, or `timeout` seconds without progress (TimeoutError).
        ValueError: the answer is longer than `limit` bytes or does not end with a line feed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        with short_address(path) as address:
            _connect(client, address, time.monotonic() + timeout)
        client.sendall(line + b"\n")
        with client.makefile("rb") as stream:
            answer = stream.readline(limit + 1)
    if len(answer) > limit or not answer.endswith(b"\n"):
        raise ValueError("the answer is not one line of the allowed length")
    return answer
