"""After a clean end: every sealed file that the job wrote must stand in a manifest, or nobody may read it.

Spark's SQL writers publish through our commit protocol. RDD writers (`saveAsTextFile` and its kin) do not: they
leave committed parts and `_SUCCESS`, but no manifest. Where the job published nothing else, those parts become
the version that the ticket allows; a mixture can't be told apart from leftovers and is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ppml_ops.crypto.layout import HEADER
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import ManifestHead, Part, build_manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import WorkloadError
from ppml_ops.spark.placement import Binding

_SUCCESS = "_SUCCESS"
_SHOWN = 10


@dataclass(frozen=True)
class Output:
    """A written data set as the ticket allows it: its key, the version to publish and the manifest's head."""

    dataset: str
    key: bytes
    version: int
    head: dict[str, Any]


def visible_files(binding: Binding) -> dict[str, str]:
    """Paths of the data set's visible files and the node of each; on several nodes the first one counts.

    Names that begin with '_' or '.' are hidden, as in Spark.
    """
    found: dict[str, str] = {}
    for base in binding.bases:
        for path in Folder(base.uri).files():
            if not any(piece[:1] in "._" for piece in path.split("/")):
                found.setdefault(path, base.node)
    return found


def reconcile(binding: Binding, output: Output) -> list[str]:
    """Publish parts that only an RDD writer committed; returns their paths, none where there is nothing to do.

    Of a spread data set nothing is adopted: nobody here sees the other nodes' folders, and the file system has
    refused all writers but those that publish.

    Raises:
        WorkloadError: visible files that no manifest lists and that can't be adopted; names the first ten.
        DataError: another writer published the version meanwhile.
    """
    if binding.spread:
        return []
    store = DatasetStore(Folder(binding.bases[0].uri))
    newest = store.latest()
    listed = {part.path for part in newest.parts} if newest else set()
    files = visible_files(binding)
    unlisted = sorted(path for path in files if path not in listed)
    if not unlisted:
        return []
    if newest is not None:
        raise _unlisted(
            output.dataset, unlisted, "the job published other files of this data set in the same run"
        )
    if open_folders := [path for path in unlisted if not _committed(binding, path)]:
        raise _unlisted(
            output.dataset, open_folders, "their folder has no _SUCCESS: the write was not finished"
        )
    head = ManifestHead.model_validate(output.head)
    parts = [_part(binding, path, files[path], head.data_key_id) for path in unlisted]
    store.publish(build_manifest(head, output.version, parts, output.key))
    return unlisted


def _committed(binding: Binding, path: str) -> bool:
    folder = path.rpartition("/")[0]
    return any(_SUCCESS in Folder(base.uri).names(folder) for base in binding.bases)


def _part(binding: Binding, path: str, node: str, data_key_id: str) -> Part:
    """RDD writers name their files `part-00000` every time; two versions of a data set must never meet."""
    folder = next(Folder(base.uri) for base in binding.bases if base.node == node)
    own = _own_name(path, data_key_id)
    folder.rename(path, own)
    return Part(path=own, length=folder.size(own), header=folder.read(own, HEADER).hex(), node=node)


def _own_name(path: str, data_key_id: str) -> str:
    """`out/part-00000.gz` → `out/part-00000-<12 digits of the data key's id>.gz`."""
    parent, slash, name = path.rpartition("/")
    stem, dot, suffix = name.partition(".")
    return f"{parent}{slash}{stem}-{data_key_id[:12]}{dot}{suffix}"


def _unlisted(dataset: str, paths: Sequence[str], why: str) -> WorkloadError:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return WorkloadError(
        f"data set {dataset} has sealed files that no manifest lists, so nobody could read them: "
        f"{', '.join(paths[:_SHOWN])}{more}; {why}",
        next_step="write results with DataFrame writers, or all of a data set with one RDD writer",
    )
