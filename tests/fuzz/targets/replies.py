"""What answers where a key broker or a TEE platform should be: replies over HTTP and over the device socket.

The first byte is the status; a NUL ends one reply and begins the next.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ppml_ops.attestation import socket_device
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.broker.client import BrokerClient
from ppml_ops.broker.rcar.client import attest, send
from ppml_ops.errors import PpmlError
from ppml_ops.keys.broker_http import BrokerHttp, error_from_reply
from ppml_ops.spark import platform_client

STATUS = (200, 200, 200, 401, 404, 429, 503)


class _Answers(BrokerHttp):
    """A connection on which everything is answered by the next of the replies."""

    def __init__(self, status: int, replies: list[bytes]) -> None:
        self._status = status
        self._replies = iter(replies)
        self._url = "https://stranger"

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        return self._status, next(self._replies, b"")


class _Quote:
    def quote(self, report_data: bytes) -> Evidence:
        return Evidence("tdx", report_data)


def _http(status: int, replies: list[bytes]) -> Iterator[Any]:
    yield lambda: attest(_Answers(status, replies), _Quote(), "tdx", {})
    yield lambda: send(_Answers(status, replies), "GET", "/resource/a/b/c")
    yield lambda: BrokerClient._info(_Answers(status, replies)).key


def run(data: bytes) -> None:
    """Let every client read it."""
    if not data:
        return
    status, replies = STATUS[data[0] % len(STATUS)], data[1:].split(b"\0")
    for call in _http(status, replies):
        with suppress(PpmlError):
            call()
    error_from_reply(status, data[1:], what="POST /keys")
    line = data[1:] + b"\n"
    with patch.object(socket_device, "request_line", lambda *_a, **_k: line), suppress(PpmlError):
        socket_device.SocketProvider(Path("/s")).quote(bytes(64))
    with patch.object(platform_client, "request_line", lambda *_a, **_k: line), suppress(PpmlError):
        platform_client.PlatformClient(Path("/s")).status()
