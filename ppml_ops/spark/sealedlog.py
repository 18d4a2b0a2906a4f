"""The sealed log: all that user code and Spark print, sealed with the output data set's key as it comes.

It lies in pieces `<generation>.log`, `<generation>.1.log`, `<generation>.2.log`, …, each a whole sealed file: a
sealed file can't be read before its last segment is written, so one file would be lost with a killed process.
An executor that is a process of its own has a log of its own, `<generation>-e<number>.log` and so on.
"""

import os
import re
import threading
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError
from ppml_ops.spark.placement import Binding

LOG_FOLDER = "_logs"
PIECE_BYTES = 1 << 20
PIECE_SECONDS = 10.0


def log_path(binding: Binding, generation: str, executor: str | None = None) -> Path:
    """Where the log of a generation lies in base 0 of the output data set; hidden from Spark by its name.

    Args:
        binding: of the output data set, as this process has it.
        generation: whose log.
        executor: number of the executor; None is the driver, and all of a job in local mode.

    Raises:
        ConfigError: that is not on a file system of this host.
    """
    uri = binding.logs or binding.bases[0].uri
    if not uri.startswith("file:"):
        raise ConfigError(
            f"the sealed log can't be written to {uri}: it needs a file:// folder",
            next_step="place the output data set on a local folder",
        )
    folder = Folder(uri)
    return folder.local(f"{LOG_FOLDER}/{generation}{'' if executor is None else f'-e{executor}'}.log")


def log_pieces(names: Iterable[str], generation: str) -> list[list[str]]:
    """Those names that are pieces of the generation's logs: one list for each process, the driver's first.

    The pieces of a process stand in the order in which they were written.
    """
    pattern = re.compile(re.escape(generation) + r"(?:-e([0-9]{1,9}))?(?:\.([1-9][0-9]{0,9}))?\.log")
    found = [(int(hit[1] or -1), int(hit[2] or 0), name) for name in names if (hit := pattern.fullmatch(name))]
    return [[name for _, _, name in pieces] for _, pieces in groupby(sorted(found), key=itemgetter(0))]


class SealedLog:
    """Append-only, used by several threads. A killed process loses what the piece it was writing holds: at most
    what came within `seconds`, and about a MiB.

    Args:
        path: of the first piece.
        key: data key of the output data set.
        dataset: its id.
        seconds: how often a piece that holds something is ended.

    Raises:
        ConfigError: the generation has a log already, so it was started twice.
    """

    def __init__(self, path: Path, key: bytes, dataset: str, *, seconds: float = PIECE_SECONDS) -> None:
        self._path = path
        self._key = key
        self._dataset = dataset.encode("utf-8")
        self._number = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._piece: _Piece | None = self._begin()
        threading.Thread(target=self._roll, args=(seconds,), name="sealed-log", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Seal `data`; after `close` it is dropped."""
        with self._lock:
            if self._closed.is_set():
                return
            if self._piece is None:
                self._piece = self._begin()
            self._piece.write(data)
            if self._piece.written >= PIECE_BYTES:
                self._end()

    def close(self) -> None:
        """End the last piece."""
        with self._lock:
            self._closed.set()
            self._end()

    def _roll(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            with self._lock:
                if self._piece is not None and self._piece.written:
                    self._end()

    def _begin(self) -> "_Piece":
        path = self._path.with_suffix(f".{self._number}.log") if self._number else self._path
        self._number += 1
        return _Piece(path, self._key, self._dataset)

    def _end(self) -> None:
        if self._piece is not None:
            self._piece.close()
            self._piece = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Piece:
    """One sealed file of the log."""

    def __init__(self, path: Path, key: bytes, associated_data: bytes) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise ConfigError(
                f"this generation has run before: {path} exists", next_step="begin a new generation of the job"
            ) from None
        self._file = os.fdopen(descriptor, "wb")
        self._writer = SealedWriter(self._file, key, associated_data)
        self.written = 0

    def write(self, data: bytes) -> None:
        self._writer.write(data)
        self.written += len(data)

    def close(self) -> None:
        """Write the last segment and sync."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
