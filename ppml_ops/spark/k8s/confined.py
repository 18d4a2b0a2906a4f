"""File operations below one folder, from which no path and no link leads out. Standard library only (Linux).

Every folder on the way is opened by itself with O_NOFOLLOW, so that a link planted meanwhile ends in an error.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_PATH = 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20


def pieces_of(path: object) -> list[str]:
    """The names in a relative path; [] for the folder itself. Raises ValueError for any other."""
    if not isinstance(path, str) or len(path) > MAX_PATH:
        raise ValueError("not a path")
    pieces = path.split("/") if path else []
    if any(piece in ("", ".", "..") or "\0" in piece or len(piece.encode()) > 255 for piece in pieces):
        raise ValueError("not a relative path")
    return pieces


class ConfinedFolder:
    """The folder `root`; paths are relative to it. Raises ValueError for a path that is none, and OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def _parent(self, path: object, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Descriptor of the folder in which `path` lies, and its last name."""
        pieces = pieces_of(path)
        if not pieces:
            raise ValueError("the folder itself")
        with self._folder(pieces[:-1], make=make) as folder:
            yield folder, pieces[-1]

    @contextmanager
    def _folder(self, pieces: list[str], *, make: bool = False) -> Iterator[int]:
        current = os.open(self._root, _FOLDER)
        try:
            for piece in pieces:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(piece, 0o770, dir_fd=current)
                inner = os.open(piece, _FOLDER, dir_fd=current)
                os.close(current)
                current = inner
            yield current
        finally:
            os.close(current)

    def make_folder(self, path: object) -> None:
        """Make a folder with those above it; nothing happens where it is."""
        with self._folder(pieces_of(path), make=True):
            return

    def size(self, path: object) -> int | None:
        """Bytes of the regular file; None where there is none."""
        try:
            with self._parent(path) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def names(self, path: object) -> list[str]:
        """Names directly in a folder, sorted; [] where there is none."""
        try:
            with self._folder(pieces_of(path)) as folder:
                return sorted(os.listdir(folder))  # noqa: PTH208  # a descriptor
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, path: object) -> list[str]:
        """Paths of all regular files below a folder, relative to it, sorted; links are left out."""
        found: list[str] = []
        try:
            with self._folder(pieces_of(path)) as folder:
                for top, _folders, names, descriptor in os.fwalk(".", dir_fd=folder):
                    for name in names:
                        with suppress(FileNotFoundError):
                            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                            if stat.S_ISREG(status.st_mode):
                                found.append(f"{top}/{name}"[2:])
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def read(self, path: object, offset: int, length: int) -> tuple[bytes, int]:
        """At most `length` bytes from `offset` on, and the size of the file."""
        with self._open(path, os.O_RDONLY) as file:
            size = os.fstat(file).st_size
            return os.pread(file, length, offset), size

    def write(self, path: object, offset: int, data: bytes) -> None:
        """Put `data` at `offset`, not beyond the end; from 0 on it begins anew. Again the same."""
        with self._parent(path, make=True):
            pass
        flags = os.O_WRONLY | (os.O_CREAT | os.O_TRUNC if offset == 0 else 0)
        with self._open(path, flags) as file:
            if os.fstat(file).st_size < offset:
                raise ValueError("a hole")
            view = memoryview(data)
            while view:
                done = os.pwrite(file, view, offset)
                view, offset = view[done:], offset + done

    def publish(self, hidden: object, path: object, length: int, sha256: str, *, replace: bool) -> None:
        """Make the finished file `hidden` appear at `path`, whole and durable. Again without effect.

        Raises:
            FileExistsError: not `replace`, and another file is there.
            ValueError: `hidden` has not `length` bytes.
        """
        if self.size(hidden) is None and self.checksum(path) == (sha256, length):
            return  # done before; the answer was lost
        with self._open(hidden, os.O_RDONLY) as file:
            if os.fstat(file).st_size != length:
                raise ValueError("not the bytes that were sent")
            os.fsync(file)
        with self._parent(hidden) as (source, old), self._parent(path, make=True) as (target, new):
            if replace:
                os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
            else:
                try:
                    os.link(old, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
                except FileExistsError:
                    if self.checksum(path) != (sha256, length):
                        raise
                os.unlink(old, dir_fd=source)
            os.fsync(target)

    def rename(self, path: object, to: object, *, again: bool) -> None:
        """Move a file, replacing what is there; asked `again`, it may have been moved already."""
        if again and self.size(path) is None and self.size(to) is not None:
            return
        with self._parent(path) as (source, old), self._parent(to, make=True) as (target, new):
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)

    def remove(self, path: object) -> None:
        """Remove a file or a whole tree; nothing happens where there is none."""
        with suppress(FileNotFoundError, NotADirectoryError), self._parent(path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    def checksum(
        self, path: object, busy: Callable[[int], None] = lambda _done: None
    ) -> tuple[str, int] | None:
        """SHA-256 and length of a file as it is read now; None where there is none."""
        digest, length = hashlib.sha256(), 0
        try:
            with self._open(path, os.O_RDONLY) as file:
                while chunk := os.read(file, _CHUNK):
                    digest.update(chunk)
                    length += len(chunk)
                    busy(length)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return digest.hexdigest(), length

    @contextmanager
    def _open(self, path: object, flags: int) -> Iterator[int]:
        """A regular file; a pipe or device planted there neither blocks nor is read."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with self._parent(path) as (folder, name):
            file = os.open(name, flags, 0o660, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileNotFoundError(name)
            yield file
        finally:
            os.close(file)
