"""A small sealed data set to work on, on disk and in fsspec's memory store."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fsspec
import pytest

from ppml_ops.canonical import b64e
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Producer, TableSchema
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.keys.model import WrappedKey

KEY = bytes(range(32))


def head(previous: str | None = None, key_id: str = "ab" * 16) -> ManifestHead:
    """Fields of a version of `sim-people` that has no parts yet."""
    return ManifestHead(
        dataset="sim-people",
        data_key_id=key_id,
        schema=TableSchema(format="csv", header=True, columns=("name", "age", "job")),
        partition={"date": "2026-11-20"},
        wraps=(WrappedKey(key="local:people?version=1", wrapped=b64e(bytes(40))),),
        previous=previous,
        producer=Producer(run="run-1", spec="00"),
        trust_domain="cd" * 32,
    )


class Sealed(NamedTuple):
    """A store with version 1, and the plaintext that went in by part path."""

    store: DatasetStore
    manifest: Manifest
    plain: dict[str, bytes]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Three plaintext files, one of them of several segments."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, size in {"a.csv": 10, "b.csv": 1 << 20, "c.csv": 3_000_000}.items():
        (folder / name).write_bytes(os.urandom(size))
    return folder


@pytest.fixture(params=["file", "memory"])
def sealed(request: pytest.FixtureRequest, tmp_path: Path, inputs: Path) -> Iterator[Sealed]:
    """Version 1 in a local folder, and in an object-store-like one."""
    where = str(tmp_path / "store") if request.param == "file" else f"memory://store-{tmp_path.name}"
    store = DatasetStore(Folder(where))
    manifest = seal_sources(find_sources(str(inputs)), store, head(), 1, KEY, table="people")
    plain = {
        part.path: (inputs / name).read_bytes()
        for part, name in zip(manifest.parts, ("a.csv", "b.csv", "c.csv"), strict=True)
    }
    yield Sealed(store, manifest, plain)
    fsspec.filesystem("memory").store.clear()
