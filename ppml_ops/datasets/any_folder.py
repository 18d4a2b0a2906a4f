"""What sealed data sets need of a folder, wherever it lies."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Checksum(NamedTuple):
    """SHA-256 of a file's bytes as they lie where they lie."""

    path: str
    length: int
    sha256: str


class AnyFolder(ABC):
    """Files below one place. Paths are relative, with `/`; a missing file raises FileNotFoundError."""

    #: Whether `local` gives paths of this machine.
    is_local = False

    @property
    @abstractmethod
    def uri(self) -> str:
        """With scheme."""

    @abstractmethod
    def at(self, path: str) -> "AnyFolder":
        """The folder `path` below this one."""

    def local(self, path: str = "") -> Path:
        """Local path of the file `path`; only where `is_local`."""
        raise ValueError(f"{self} is not a folder of this machine")

    @abstractmethod
    def is_file(self, path: str) -> bool:
        """Whether a file lies at `path`."""

    @abstractmethod
    def names(self, path: str = "") -> list[str]:
        """Names directly below `path`, sorted; none where it does not exist."""

    @abstractmethod
    def files(self) -> list[str]:
        """Paths of all files below, sorted, relative to this folder; includes hidden ones."""

    @abstractmethod
    def size(self, path: str) -> int:
        """Bytes of the file `path`. Raises FileNotFoundError."""

    @abstractmethod
    def open_read(self, path: str) -> BinaryIO:
        """The file `path`, seekable. Raises FileNotFoundError."""

    @abstractmethod
    def open_write(self, path: str) -> BinaryIO:
        """A new or replaced file `path`, its folders made."""

    @abstractmethod
    def create_only(self, path: str, data: bytes) -> None:
        """Publish `data` at `path`, whole and only if nothing is there. Raises FileExistsError."""

    @abstractmethod
    def rename(self, path: str, to: str) -> None:
        """Move a file within the folder, replacing what is there (one step where the store has such)."""

    @abstractmethod
    def sync(self, path: str) -> None:
        """Make the file `path` and its name survive a power cut, where that is for us to do."""

    @abstractmethod
    def remove(self, path: str = "") -> None:
        """Remove a file or a whole tree; nothing happens where there is none."""

    def read(self, path: str, limit: int) -> bytes:
        """At most `limit` bytes of the file `path`. Raises FileNotFoundError."""
        with self.open_read(path) as file:
            return file.read(limit)

    def chunks(self, path: str, size: int = 1 << 20) -> Iterator[bytes]:
        """The file `path` in pieces of at most `size` bytes. Raises FileNotFoundError."""
        with self.open_read(path) as file:
            while chunk := file.read(size):
                yield chunk

    def checksum(self, path: str) -> Checksum:
        """Read the file `path` again and hash it, where it lies if that can be. Raises FileNotFoundError."""
        digest, length = hashlib.sha256(), 0
        for chunk in self.chunks(path):
            digest.update(chunk)
            length += len(chunk)
        return Checksum(path, length, digest.hexdigest())
