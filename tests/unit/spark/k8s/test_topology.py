"""Sealed parts to a node and home again over the node's pod, as `distribute` and `gather` move them."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from unittest.mock import patch

import pytest

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import collect, place
from ppml_ops.errors import IntegrityError
from tests.unit.maintenance.conftest import Site
from tests.unit.spark.k8s.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    site = Site(tmp_path / "home")
    site.seal()
    return site.store()


def test_a_version_is_placed_checked_and_collected(node: Node, store: DatasetStore, tmp_path: Path) -> None:
    manifest = store.read()
    table = place(store, manifest, node.folder("in/people"))
    assert DatasetStore(node.folder("in/people")).holds(manifest)
    DatasetStore(node.folder("in/people")).check_parts(manifest)
    parts = tuple(part.model_copy(update={"node": "node-1"}) for part in manifest.parts)
    there = manifest.model_copy(update={"parts": parts})
    home = Folder(tmp_path / "incoming")
    assert collect("node-1", node.folder("in/people"), there, home) == table
    assert home.files() == sorted(part.path for part in parts)


def test_what_lies_there_is_not_copied_again(node: Node, store: DatasetStore) -> None:
    manifest, folder, moved = store.read(), node.folder("in/people"), []
    place(store, manifest, folder)
    with patch.object(type(folder), "open_write", side_effect=AssertionError("copied again")):
        place(store, manifest, folder, moved.append)
    assert sum(moved) == sum(part.length for part in manifest.parts)


def test_a_node_that_gives_more_than_the_manifest_names_is_refused(
    node: Node, store: DatasetStore, tmp_path: Path
) -> None:
    manifest, folder = store.read(), node.folder("in/people")
    place(store, manifest, folder)
    parts = tuple(part.model_copy(update={"node": "node-1"}) for part in manifest.parts)
    there, home = manifest.model_copy(update={"parts": parts}), Folder(tmp_path / "incoming")

    def without_end(_folder: object, _path: str) -> Iterator[bytes]:
        return repeat(bytes(1 << 16))

    with (
        patch.object(type(folder), "chunks", without_end),
        pytest.raises(IntegrityError, match="bytes that its manifest names"),
    ):
        collect("node-1", folder, there, home)
    assert not set(home.files()) & {part.path for part in parts}


@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_a_damaged_copy_is_healed(node: Node, store: DatasetStore, how: str) -> None:
    manifest, folder = store.read(), node.folder("in/people")
    place(store, manifest, folder)
    path = node.local("in/people") / manifest.parts[0].path
    good = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(good[:-1] if how == "cut" else good[:-1] + bytes([good[-1] ^ 1]))
    place(store, manifest, folder)
    assert path.read_bytes() == good
