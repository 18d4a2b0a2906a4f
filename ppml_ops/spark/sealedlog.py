"""The sealed log: all that user code and Spark print, sealed with the output data set's key as it comes."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError
from ppml_ops.spark.placement import Base

LOG_FOLDER = "_logs"


def log_path(base: Base, generation: str) -> Path:
    """Where the log of a generation lies in base 0 of the output data set; hidden from Spark by its name.

    Raises:
        ConfigError: the base is not on a file system of this host.
    """
    folder = Folder(base.uri)
    if not folder.is_local:
        raise ConfigError(
            f"the sealed log can't be written to {base.uri}: only file:// folders are supported in local mode",
            next_step="place the output data set on a local folder",
        )
    return folder.local(f"{LOG_FOLDER}/{generation}.log")


class SealedLog:
    """Append-only, used by several threads; whole once closed. A killed process leaves all but the last MiB.

    Raises:
        ConfigError: the generation has a log already, so it was started twice.
    """

    def __init__(self, path: Path, key: bytes, dataset: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            raise ConfigError(
                f"this generation has run before: {path} exists", next_step="begin a new generation of the job"
            ) from None
        self._file = os.fdopen(descriptor, "wb")
        self._writer = SealedWriter(self._file, key, dataset.encode("utf-8"))
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Seal `data`; after `close` it is dropped."""
        with self._lock:
            if not self._writer.closed:
                self._writer.write(data)

    def close(self) -> None:
        """Write the last segment and sync."""
        with self._lock:
            if self._writer.closed:
                return
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
