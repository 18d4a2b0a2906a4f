"""Open and verify a version of a sealed data set with its data key."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ppml_ops.crypto.parallel import SealedFile, open_file
from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.datasets.manifest import Manifest, Part
from ppml_ops.datasets.new_folder import refuse_existing, whole_folder
from ppml_ops.datasets.store import DatasetStore, raise_problems
from ppml_ops.datasets.threads import Progress

_CHUNK = 1 << 20


def check_version(store: DatasetStore, manifest: Manifest, data_key: bytes) -> None:
    """Authenticate the manifest and compare the parts with it. Raises IntegrityError."""
    manifest.check(data_key)
    store.check_parts(manifest)


@contextmanager
def open_part(
    store: DatasetStore, manifest: Manifest, part: Part, data_key: bytes
) -> Iterator[io.BufferedReader]:
    """The plaintext of one part, seekable; each segment is authenticated before its bytes are seen.

    Raises:
        IntegrityError: the file is not the one that the manifest names: all parts of a version share a key, so
            an exchanged one would open as well.
    """
    with store.folder.open_read(part.path) as source:
        reader = SealedReader(source, data_key, manifest.dataset.encode())
        if reader.header.hex() != part.header or reader.sealed_length != part.length:
            raise_problems(manifest, [f"{part.path} was replaced by another file"])
        yield io.BufferedReader(reader, _CHUNK)


def open_version(
    store: DatasetStore,
    manifest: Manifest,
    data_key: bytes,
    target: Path,
    progress: Progress = lambda _done: None,
) -> list[Path]:
    """Open all parts into the new folder `target` (0700, files 0600), keeping their paths.

    The folder appears only when every part has authenticated.

    Raises:
        ConfigError: `target` exists.
        IntegrityError: a part, or the manifest, is not what was published.
    """
    refuse_existing(target)
    check_version(store, manifest, data_key)
    with whole_folder(target, "opening") as hidden:
        for part in manifest.parts:
            path = hidden / part.path
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if store.folder.is_local:
                expected = SealedFile(part.length, bytes.fromhex(part.header))
                source_path = store.folder.local(part.path)
                open_file(source_path, path, data_key, manifest.dataset.encode(), progress, expected)
            else:
                with open_part(store, manifest, part, data_key) as source, path.open("xb") as sink:
                    path.chmod(0o600)
                    _copy(source, cast(BinaryIO, sink), progress)
    return [target / part.path for part in manifest.parts]


def verify_version(
    store: DatasetStore, manifest: Manifest, data_key: bytes, progress: Progress = lambda _done: None
) -> list[str]:
    """Authenticate manifest and every segment of every part; returns the strangers found beside them.

    Raises:
        IntegrityError: anything missing, cut, replaced or changed.
    """
    check_version(store, manifest, data_key)
    for part in manifest.parts:
        with open_part(store, manifest, part, data_key) as source:
            while chunk := source.read(_CHUNK):
                progress(len(chunk))
    return store.strangers(manifest)


def _copy(source: io.BufferedReader, sink: BinaryIO, progress: Progress) -> None:
    while chunk := source.read(_CHUNK):
        sink.write(chunk)
        progress(len(chunk))
