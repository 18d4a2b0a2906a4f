"""A folder on a node, reached through the node's pod: what `datasets` does with folders works with it."""

import hashlib
import io
import secrets
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, cast

from ppml_ops.datasets.any_folder import AnyFolder, Checksum
from ppml_ops.spark.k8s.frames import MAX_PAYLOAD
from ppml_ops.spark.k8s.nodesession import NodeSession

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

#: Beside the data sets of a run: what is being uploaded. It goes with the run's folder.
UPLOADS = ".upload"
_MAX_NAMES = 1_000_000
_READ_AHEAD = 1 << 20


class PodFolder(AnyFolder):
    """The folder `root` below the node's folder; its first name is the run's key.

    Raises:
        TransientError, ConfigError, IntegrityError: from every call, see `NodeSession.ask`.
    """

    def __init__(self, session: NodeSession, root: str) -> None:
        self._session = session
        self.root = root.strip("/")

    @property
    def uri(self) -> str:
        """For people; no other process can open it."""
        return f"node-pod://{self._session.node}/{self.root}"

    def __str__(self) -> str:
        return self.uri

    def at(self, path: str) -> "PodFolder":
        """The folder `path` below this one."""
        return PodFolder(self._session, self._path(path))

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}".strip("/")

    def make(self) -> None:
        """Make this folder with those above it, writable for the jobs of its run."""
        self._session.ask("make", path=self.root)

    def is_file(self, path: str) -> bool:
        """Whether a file lies at `path`."""
        return self._session.ask("size", path=self._path(path))[0].get("size") is not None

    def names(self, path: str = "") -> list[str]:
        """Names directly below `path`, sorted; none where it does not exist."""
        names = self._list("names", self._path(path))
        if any("/" in name or name in ("", ".", "..") for name in names):
            raise self._session.untrue("a name that leads elsewhere")
        return [name for name in names if name != UPLOADS]

    def files(self) -> list[str]:
        """Paths of all files below, sorted, relative to this folder; includes hidden ones."""
        paths = self._list("files", self.root)
        if any(piece in ("", ".", "..") for path in paths for piece in path.split("/")):
            raise self._session.untrue("a path that leads elsewhere")
        return sorted(path for path in paths if not path.startswith(f"{UPLOADS}/"))

    def _list(self, op: str, path: str) -> list[str]:
        found: list[str] = []
        while True:
            header, data = self._session.ask(op, path=path, after=found[-1] if found else "")
            try:
                page = data.decode().split("\0")[:-1]
            except UnicodeDecodeError:
                raise self._session.untrue("a name that is not UTF-8") from None
            if page != sorted(page) or (found and page and page[0] <= found[-1]):
                raise self._session.untrue("a list that is not in order")
            found += page
            if not header.get("more"):
                return found
            if not page or len(found) > _MAX_NAMES:
                raise self._session.untrue("a list without end")

    def size(self, path: str) -> int:
        """Bytes of the file `path`. Raises FileNotFoundError."""
        header, _ = self._session.ask("size", path=self._path(path))
        if header.get("size") is None:
            raise FileNotFoundError(path)
        return self._session.number(header, "size")

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most `length` bytes (and one frame) from `offset` on. Raises FileNotFoundError."""
        wanted = min(length, MAX_PAYLOAD)
        header, data = self._session.ask("read", path=self._path(path), offset=offset, length=wanted)
        expected = max(0, min(wanted, self._session.number(header, "size") - offset))
        if len(data) != expected:
            raise self._session.untrue(f"{len(data)} bytes instead of {expected}")
        return data

    def open_read(self, path: str) -> BinaryIO:
        """The file `path`, seekable. Raises FileNotFoundError."""
        return cast(BinaryIO, io.BufferedReader(_Reader(self, path, self.size(path)), _READ_AHEAD))

    def chunks(self, path: str, size: int = MAX_PAYLOAD) -> Iterator[bytes]:
        """The file `path` in pieces of at most `size` bytes. Raises FileNotFoundError."""
        offset = 0
        while chunk := self.read_range(path, offset, size):
            offset += len(chunk)
            yield chunk

    def read(self, path: str, limit: int) -> bytes:
        """At most `limit` bytes of the file `path`. Raises FileNotFoundError."""
        data = self.read_range(path, 0, limit)
        while len(data) < limit and (more := self.read_range(path, len(data), limit - len(data))):
            data += more
        return data

    def checksum(self, path: str) -> Checksum:
        """Hashed on the node. Raises FileNotFoundError."""
        header, _ = self._session.ask("checksum", path=self._path(path))
        return Checksum(path, self._session.number(header, "length"), str(header.get("sha256"))[:64])

    def open_write(self, path: str) -> BinaryIO:
        """A new or replaced file `path`; it appears, whole, when it is closed without an exception."""
        return cast(BinaryIO, _Upload(self._session, self._hidden(), self._path(path), replace=True))

    def create_only(self, path: str, data: bytes) -> None:
        """Publish `data` at `path`, whole and only if nothing else is there. Raises FileExistsError."""
        with _Upload(self._session, self._hidden(), self._path(path), replace=False) as file:
            file.write(data)

    def _hidden(self) -> str:
        return f"{self.root.partition('/')[0]}/{UPLOADS}/{secrets.token_hex(16)}".lstrip("/")

    def rename(self, path: str, to: str) -> None:
        """Move a file within the folder, replacing what is there."""
        self._session.ask("rename", path=self._path(path), to=self._path(to))

    def sync(self, path: str) -> None:
        """Nothing to do: files and names are durable when they appear."""

    def remove(self, path: str = "") -> None:
        """Remove a file or a whole tree; nothing happens where there is none."""
        self._session.ask("remove", path=self._path(path))


class _Reader(io.RawIOBase):
    """A file on the node; each read is one request."""

    def __init__(self, folder: PodFolder, path: str, size: int) -> None:
        self._folder, self._path, self._size, self._at = folder, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        data = self._folder.read_range(self._path, self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Upload(io.BufferedIOBase):
    """A hidden file on the node, filled frame by frame, and published when closed.

    A request whose answer was lost is sent again with the same offset, so nothing is doubled.
    """

    def __init__(self, session: NodeSession, hidden: str, path: str, *, replace: bool) -> None:
        self._session, self._hidden, self._target, self._replace = session, hidden, path, replace
        self._digest, self._sent, self._buffer = hashlib.sha256(), 0, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        self._buffer += memoryview(data)
        while len(self._buffer) >= MAX_PAYLOAD:
            self._send(MAX_PAYLOAD)
        return memoryview(data).nbytes

    def _send(self, length: int) -> None:
        piece = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        self._session.ask("write", piece, path=self._hidden, offset=self._sent)
        self._digest.update(piece)
        self._sent += length

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._buffer or not self._sent:
            self._send(len(self._buffer))
        self._session.ask(
            "publish",
            path=self._target,
            hidden=self._hidden,
            length=self._sent,
            sha256=self._digest.hexdigest(),
            replace=self._replace,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            super().close()  # cut: the hidden file goes with the run's folder

    def __del__(self) -> None:
        """Not closed: not published."""
