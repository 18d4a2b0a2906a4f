"""Seal plaintext files into a new version of a data set: one part a file, published when all are there."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ppml_ops.crypto.parallel import SealedFile, seal_file
from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Part, build_manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.threads import Progress, for_each_file, one_at_a_time
from ppml_ops.errors import DataError


class Source(NamedTuple):
    """One plaintext file: the folder it lies in, its name, its length in bytes."""

    folder: Folder
    name: str
    length: int

    @property
    def suffix(self) -> str:
        """`.csv` of `people.csv`; empty when it would not fit a part's name."""
        suffix = PurePosixPath(self.name).suffix
        return suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,16}", suffix) else ""


class Stream(NamedTuple):
    """Plaintext that is made while it is sealed and lies nowhere; `suffix` as `.csv`.

    `pieces` may raise at its end: then nothing is published.
    """

    name: str
    suffix: str
    pieces: Callable[[], Iterator[bytes | memoryview]]


def find_sources(url: str) -> list[Source]:
    """The plaintext file at `url`, or all visible files of the folder there, sorted by name.

    Raises:
        DataError: nothing there, or a file is empty.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    if not parent:
        parent = "." if not url.startswith("/") else "/"
    holder = Folder(parent)
    if holder.is_file(name):
        sources = [Source(holder, name, holder.size(name))]
    else:
        folder = Folder(url)
        names = [path for path in folder.files() if not any(piece[0] in "._" for piece in path.split("/"))]
        sources = [Source(folder, path, folder.size(path)) for path in names]
    if not sources:
        raise DataError(f"there is no input at {url}", next_step="check the path or URL of the input")
    for source in sources:
        if source.length == 0:
            raise DataError(f"the input file {source.name} is empty", next_step="deliver a file with data")
    return sources


def seal_sources(
    sources: Sequence[Source | Stream],
    store: DatasetStore,
    head: ManifestHead,
    version: int,
    data_key: bytes,
    *,
    table: str,
    progress: Progress = lambda _done: None,
) -> Manifest:
    """Seal `sources` as `<table>/part-<n>-<data key id>` and publish them as `version`.

    Nothing is published, and no part stays, unless every source was sealed whole.

    Args:
        head: all manifest fields but version, parts and mac.
        progress: called with plaintext bytes done since the last call.

    Raises:
        DataError: a source changed while it was read, or another writer published `version` first.
    """
    names = [f"{table}/part-{n:05d}-{_mark(head.data_key_id)}{s.suffix}" for n, s in enumerate(sources)]
    written: list[str] = []
    shared = one_at_a_time(progress)

    def work(source: Source | Stream, name: str) -> Part:
        if isinstance(source, Stream):
            sealed = _seal_stream(source, store.folder, name, data_key, head.dataset.encode(), shared)
        else:
            sealed = _seal_one(source, store.folder, name, data_key, head.dataset.encode(), shared)
        written.append(name)
        return Part(path=name, length=sealed.length, header=sealed.header.hex())

    manifest: Manifest | None = None
    try:
        parts = for_each_file(work, sources, names)
        manifest = build_manifest(head, version, parts, data_key)
        store.check_parts(manifest)
        store.publish(manifest)
    except BaseException:
        # What was published stays, although the call failed after that: a full disk, a signal.
        if manifest is None or not store.holds(manifest):
            for name in written:
                with suppress(OSError):
                    store.folder.remove(name)
        raise
    return manifest


def remove_unpublished(store: DatasetStore, data_key_id: str) -> None:
    """Remove the parts that a killed `seal_sources` left under this data key; no manifest names them."""
    published = store.published_parts()
    for path in store.folder.files():
        if path not in published and f"-{_mark(data_key_id)}" in path.rpartition("/")[2]:
            store.folder.remove(path)


def _mark(data_key_id: str) -> str:
    """In the names of all parts of a version, so that those of two versions never meet."""
    return data_key_id[:12]


def _seal_one(
    source: Source, target: AnyFolder, name: str, data_key: bytes, associated_data: bytes, progress: Progress
) -> SealedFile:
    if source.folder.is_local and target.is_local:
        path = target.local(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return seal_file(Path(source.folder.local(source.name)), path, data_key, associated_data, progress)
    length = 0
    with target.open_write(name) as sink, SealedWriter(sink, data_key, associated_data) as writer:
        for chunk in source.folder.chunks(source.name):
            writer.write(chunk)
            length += len(chunk)
            progress(len(chunk))
    if length != source.length:
        raise DataError(
            f"{source.name} changed while it was sealed", next_step="run again when nobody writes the file"
        )
    return SealedFile(target.size(name), writer.header)


def _seal_stream(
    source: Stream, target: AnyFolder, name: str, data_key: bytes, associated_data: bytes, progress: Progress
) -> SealedFile:
    try:
        with target.open_write(name) as sink:
            with SealedWriter(sink, data_key, associated_data) as writer:
                for piece in source.pieces():
                    writer.write(piece)
                    progress(len(piece))
            if target.is_local:  # a published manifest must not outlive its parts in a crash
                sink.flush()
                os.fsync(sink.fileno())
    except BaseException:
        target.remove(name)
        raise
    return SealedFile(target.size(name), writer.header)
