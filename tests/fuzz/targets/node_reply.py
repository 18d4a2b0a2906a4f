"""What a node pod answers: frames that the orchestrator reads."""

from collections.abc import Callable
from contextlib import suppress

from ppml_ops.errors import PpmlError
from ppml_ops.spark.k8s.frames import VERSION, encode_frame
from ppml_ops.spark.k8s.nodesession import NodeSession
from ppml_ops.spark.k8s.podfolder import PodFolder

_CALLS: tuple[Callable[[PodFolder], object], ...] = (
    lambda folder: folder.size("a"),
    lambda folder: folder.read("a", 100),
    lambda folder: folder.names(),
    lambda folder: folder.files(),
    lambda folder: folder.checksum("a"),
    lambda folder: folder.create_only("a", b"1"),
)


class _Stream:
    def __init__(self, data: bytes) -> None:
        self._data = encode_frame({"ok": True, "version": VERSION}) + data

    def send(self, data: bytes) -> None:
        pass

    def receive(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        if len(data) < size:
            raise ConnectionResetError
        return data

    def close(self) -> None:
        pass


def run(data: bytes) -> None:
    """Let every operation read it."""
    for call in _CALLS:
        folder = PodFolder(NodeSession("n", lambda: _Stream(data), sleep=lambda _s: None), "run")
        with suppress(PpmlError, FileNotFoundError, FileExistsError):
            call(folder)
