"""A folder anywhere fsspec reaches, with the few operations that sealed data sets need."""

import os
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.errors import ConfigError
from ppml_ops.files import create_only

#: Object stores: a "folder" is there once something lies in it.
_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})


class Folder(AnyFolder):
    """Files below one URL (`file:`, `s3:`, `abfs:`, `memory:` …) or local path.

    Args:
        url: where the folder lies; it need not exist.

    Raises:
        ConfigError: the scheme is unknown, or its fsspec driver is not installed.
    """

    def __init__(self, url: str | Path) -> None:
        try:
            self._fs, root = fsspec.core.url_to_fs(str(url))
        except (ValueError, ImportError, OSError) as error:
            raise ConfigError(
                f"can't reach {url}: {error}", next_step="install the fsspec driver for this kind of URL"
            ) from None
        self.root = cast(str, root).rstrip("/")
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self._is_store = str(url).partition(":")[0] in _STORES

    @property
    def uri(self) -> str:
        """With scheme, as Spark and other processes want it."""
        return Path(self.root).as_uri() if self.is_local else cast(str, self._fs.unstrip_protocol(self.root))

    def __str__(self) -> str:
        return self.root if self.is_local else self.uri

    def at(self, path: str) -> "Folder":
        """The folder `path` below this one."""
        return Folder(f"{self.root}/{path}" if self.is_local else f"{self.uri}/{path}")

    def local(self, path: str = "") -> Path:
        """Local path of the file `path`; only where `is_local`."""
        return Path(self.root) / path

    def is_file(self, path: str) -> bool:
        """Whether a file lies at `path`."""
        return bool(self._fs.isfile(f"{self.root}/{path}"))

    def names(self, path: str = "") -> list[str]:
        """Names directly below `path`, sorted; none where it does not exist."""
        try:
            found = self._fs.ls(f"{self.root}/{path}".rstrip("/"), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found)

    def files(self) -> list[str]:
        """Paths of all files below, sorted, relative to this folder; includes hidden ones."""
        try:
            found = self._fs.find(self.root, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name[len(self.root) + 1 :] for name in found if len(name) > len(self.root))

    def size(self, path: str) -> int:
        """Bytes of the file `path`. Raises FileNotFoundError."""
        return int(self._fs.info(f"{self.root}/{path}", refresh=True)["size"])

    def open_read(self, path: str) -> BinaryIO:
        """The file `path`, seekable. Raises FileNotFoundError."""
        return cast(BinaryIO, self._fs.open(f"{self.root}/{path}", "rb"))

    def open_write(self, path: str) -> BinaryIO:
        """A new or replaced file `path`, its folders made."""
        target = f"{self.root}/{path}"
        if not self._is_store:  # they have no folders, and s3fs would make the bucket
            self._fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        return cast(BinaryIO, self._fs.open(target, "wb"))

    def create_only(self, path: str, data: bytes) -> None:
        """Publish `data` at `path`, whole and only if nothing is there. Raises FileExistsError."""
        if self.is_local:
            target = self.local(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            create_only(target, data)
        else:
            self._fs.pipe_file(f"{self.root}/{path}", data, mode="create")

    def rename(self, path: str, to: str) -> None:
        """Move a file within the folder, replacing what is there (one step where the store has such)."""
        self._fs.mv(f"{self.root}/{path}", f"{self.root}/{to}")

    def sync(self, path: str) -> None:
        """Make the local file `path` and its name survive a power cut; other stores see to that themselves."""
        if self.is_local:
            for place, flags in ((self.local(path), os.O_RDONLY), (self.local(path).parent, os.O_DIRECTORY)):
                descriptor = os.open(place, flags)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def remove(self, path: str = "") -> None:
        """Remove a file or a whole tree; nothing happens where there is none.

        Raises:
            ConfigError: an object store kept something.
        """
        target = f"{self.root}/{path}".rstrip("/")
        if self._fs.exists(target):
            self._fs.rm(target, recursive=True)
            if self._is_store and (left := self._fs.find(target, refresh=True)):  # s3fs passes refusals over
                raise ConfigError(
                    f"{len(left)} objects below {self.uri} could not be removed",
                    next_step="let these credentials delete objects there, then clear the task",
                )
