"""Which sealed data sets lie below a folder."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import MANIFESTS, REMOVED, DatasetStore


class Found(NamedTuple):
    """A data set, or a partition of one, and its path below the folder that was searched; "" for itself."""

    path: str
    store: DatasetStore


def find_datasets(root: Folder) -> Iterator[Found]:
    """Everything below `root` that has manifests or tombstones, by path."""
    paths = set()
    for file in root.files():
        folder, _slash, _name = file.rpartition("/")
        parent, _slash, last = folder.rpartition("/")
        if last in (MANIFESTS, REMOVED):
            paths.add(parent)
    for path in sorted(paths):
        yield Found(path, DatasetStore(root.at(path) if path else root))


def below(outer: Found, everything: Iterable[Found]) -> set[str]:
    """Paths, relative to the data set `outer`, of the other data sets that lie below its folder."""
    prefix = f"{outer.path}/" if outer.path else ""
    return {one.path[len(prefix) :] for one in everything if one != outer and one.path.startswith(prefix)}
