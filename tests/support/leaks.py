"""Searches files and processes for secrets in every form in which software tends to write them down.

Only the first 8 bytes of a secret are searched: whoever logs the whole of it logs them too, and a cut secret is
found as well. The forms: raw, hex in both cases, base64 and base64url at all three alignments, each of them
also as UTF-16, and Python's `\\x..` notation.
"""

import base64
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

PREFIX = 8
_CHUNK = 8 << 20
_OVERLAP = 256


@dataclass(frozen=True)
class Canary:
    """A secret of at least 8 bytes, and the files or folders that may hold it."""

    name: str
    secret: bytes = field(repr=False)
    allowed: tuple[Path, ...] = ()

    def may_lie_in(self, path: Path) -> bool:
        """Whether `path` is one of the allowed places or below one."""
        return any(path == place or place in path.parents for place in self.allowed)


class Leak(NamedTuple):
    """Where a secret was found, and in which form."""

    canary: str
    form: str
    place: str


@cache
def forms(secret: bytes) -> dict[str, bytes]:
    """What to search for, by the name of the form."""
    prefix = secret[:PREFIX]
    assert len(prefix) == PREFIX, "shorter secrets are found by chance"
    texts = {"hex": prefix.hex(), "HEX": prefix.hex().upper()}
    for skip in range(3):
        # The characters that depend on the prefix alone when `skip` bytes stand before it.
        first, last = -(-8 * skip // 6), 8 * (skip + PREFIX) // 6
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            texts[f"{name}+{skip}"] = encode(b"\0" * skip + prefix).decode()[first:last]
    if prefix.isascii() and prefix.decode("ascii").isprintable():
        texts["text"] = prefix.decode("ascii")
    found = {"raw": prefix, "repr": repr(prefix)[2:-1].encode()}
    for name, text in texts.items():
        found |= {
            name: text.encode(),
            f"{name} in UTF-16LE": text.encode("utf-16-le"),
            f"{name} in UTF-16BE": text.encode("utf-16-be"),
        }
    return {form: needle for needle, form in {needle: form for form, needle in found.items()}.items()}


def in_bytes(data: bytes, canaries: Iterable[Canary], place: str) -> list[Leak]:
    """Secrets in one piece of data."""
    return [
        Leak(canary.name, form, place)
        for canary in canaries
        for form, needle in forms(canary.secret).items()
        if needle in data
    ]


def in_file(path: Path, canaries: Iterable[Canary]) -> list[Leak]:
    """Secrets in a regular file, in its name too; nothing for one that has gone meanwhile."""
    wanted = [canary for canary in canaries if not canary.may_lie_in(path)]
    found = in_bytes(str(path).encode(), wanted, f"name of {path}")
    before = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found += in_bytes(before + chunk, wanted, str(path))
                before = chunk[-_OVERLAP:]
    except OSError:
        return found
    return found


def _regular_files(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        for folder, _folders, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink():
                    yield path


def in_files(roots: Iterable[Path], canaries: Iterable[Canary]) -> list[Leak]:
    """Secrets in all regular files below `roots`."""
    every = list(canaries)
    return [leak for path in _regular_files(roots) for leak in in_file(path, every)]


def _process_data() -> set[tuple[str, bytes]]:
    """Command lines and environments of all processes that we may look at."""
    found = set()
    for process in Path("/proc").iterdir():
        for name in ("cmdline", "environ") if process.name.isdecimal() else ():
            with suppress(OSError):  # it has ended
                found.add((name, (process / name).read_bytes()))
    return found


def in_processes(canaries: Iterable[Canary]) -> list[Leak]:
    """Secrets in the command lines and environments of all processes."""
    every = list(canaries)
    return [leak for piece in _process_data() for leak in _in_piece(piece, every)]


def _in_piece(piece: tuple[str, bytes], canaries: list[Canary]) -> list[Leak]:
    name, data = piece
    return in_bytes(data, canaries, f"{name} of a process: {data[:200]!r}")


class Watch:
    """Searches again and again while something runs: what is removed at its end was there in between.

    Args:
        roots: folders whose files are searched, whenever they change.
        canaries: asked anew each time, because keys are made while the run goes on.
    """

    def __init__(
        self, roots: Iterable[Path], canaries: Callable[[], list[Canary]], *, seconds: float = 1.0
    ) -> None:
        self.leaks: set[Leak] = set()
        self.rounds = 0
        self.files_seen: set[Path] = set()
        self._roots = list(roots)
        self._canaries = canaries
        self._seconds = seconds
        self._files: dict[Path, tuple[int, int, int]] = {}
        self._pieces: dict[tuple[str, bytes], int] = {}
        self._error: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()
        if self._error is not None:
            raise self._error  # a search that has died finds nothing

    def look(self) -> None:
        """One round."""
        canaries = self._canaries()
        for path in _regular_files(self._roots):
            with suppress(OSError):
                status = path.stat()
                state = (status.st_mtime_ns, status.st_size, len(canaries))
                if self._files.get(path) != state:
                    self._files[path] = state
                    self.files_seen.add(path)
                    self.leaks.update(in_file(path, canaries))
        # All that processes ever had is kept, and searched again for keys that became known later.
        self._pieces |= {piece: 0 for piece in _process_data() if piece not in self._pieces}
        for piece, searched_for in self._pieces.items():
            if searched_for != len(canaries):
                self._pieces[piece] = len(canaries)
                self.leaks.update(_in_piece(piece, canaries))
        self.rounds += 1

    def _work(self) -> None:
        try:
            while not self._end.wait(self._seconds):
                self.look()
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            self._error = error
