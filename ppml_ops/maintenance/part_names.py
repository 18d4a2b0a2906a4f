"""Which files of a data set's folder may be parts that a dead writer left, and which are somebody else's.

A folder of data sets is shared with people, so only what bears a name that our writers give, in a folder where
a version of this data set has parts, counts as ours.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ppml_ops.datasets.store import DatasetStore

_ENDING = r"(\.[A-Za-z0-9_.-]+)?"
#: `seal_sources` and parts of RDD writers: `part-00000-<12 hex digits of the data key's id>.csv`.
_OWN = re.compile(rf"part-\d{{5,10}}-[0-9a-f]{{12}}{_ENDING}")
#: Spark's SQL writers: `part-00000-<UUID>-c000.csv`.
_SPARK = re.compile(
    rf"part-\d{{5,10}}-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(-c\d{{3,10}})?{_ENDING}"
)
#: What `datasets/topology.py` calls a part while it is copied.
_COPYING = re.compile(r"\.(?P<part>.+)\.copy")
#: First byte of a sealed file (crypto/layout.py).
_SEALED = b"\x28"


def tables_of(store: DatasetStore) -> set[str]:
    """First folders of the parts of all versions, also of removed ones; "" for parts without a folder."""
    manifests = [store.read(version) for version in store.versions()]
    manifests += [store.tombstone(version).manifest_of() for version in store.removed()]
    return {_table(part.path) for manifest in manifests for part in manifest.parts}


def visible_files(store: DatasetStore, below: set[str]) -> Iterator[str]:
    """Paths of all files that are no book-keeping of this data set and lie in no folder of `below`."""
    for name in store.folder.files():
        pieces = name.split("/")
        inside = any("/".join(pieces[:depth]) in below for depth in range(1, len(pieces)))
        if not inside and not any(piece.startswith("_") for piece in pieces):
            yield name


def is_own_part(path: Path, name: str, tables: set[str]) -> bool:
    """Whether the file at `path`, `name` in its data set, can only be a part of that. Raises OSError.

    Spark gives its names to every file that it writes, so such a file must look sealed too.
    """
    last = name.rpartition("/")[2]
    if copying := _COPYING.fullmatch(last):
        last = copying["part"]
    if _table(name) not in tables:
        return False
    if _OWN.fullmatch(last):
        return True
    if not _SPARK.fullmatch(last):
        return False
    with path.open("rb") as file:
        return file.read(1) == _SEALED


def _table(path: str) -> str:
    return path.partition("/")[0] if "/" in path else ""
