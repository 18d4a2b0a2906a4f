"""Small file operations with the modes and guarantees that state folders need (POSIX)."""

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
#: A file that a writer of this module has not finished: `.<name>.<16 hex digits>`.
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{16}")


def private_dir(path: Path) -> Path:
    """Make `path` (and parents) and give it mode 0700; returns it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def _write_hidden(path: Path, data: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        _write_through(file, data)
    return temporary


def _write_through(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def remove_abandoned(folder: Path, older_than: float = 600.0) -> int:
    """Remove what killed writers of this module left in `folder`, once it is `older_than` seconds old.

    Returns how many files those were.
    """
    abandoned = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if _HIDDEN.fullmatch(path.name):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - older_than:
                    path.unlink()
                    abandoned += 1
    return abandoned


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data` in one step: readers see the old or the new content, never a part."""
    temporary = _write_hidden(path, data, mode)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise
    _sync_dir(path.parent)


def create_only(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Publish `data` at `path` unless something is there; whole when it appears, one winner in a race.

    A hard link, because neither rename nor Hadoop's local create refuses to overwrite; to a file without a
    name, so that a kill leaves no second copy of what may be a key. open(2), O_TMPFILE.

    Raises:
        FileExistsError: `path` exists already; it is left as it was.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        descriptor = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE, mode)
        with os.fdopen(descriptor, "wb") as file:
            _write_through(file, data)
            os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        _create_only_by_name(path, data, mode)
    finally:
        os.fsync(folder)
        os.close(folder)


def _create_only_by_name(path: Path, data: bytes, mode: int) -> None:
    """For file systems without nameless files, such as NFS."""
    temporary = _write_hidden(path, data, mode)
    try:
        os.link(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made when absent); waits for other holders, released by the kernel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
