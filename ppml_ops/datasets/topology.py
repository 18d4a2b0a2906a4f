"""Sealed parts on their way to the nodes and back. No key is needed: only ciphertext moves.

`place` puts a version on a node, `collect` brings the parts of one node home, `assemble` makes them a version.
All three check what arrives and may be run again after a crash at any point.
"""

import hashlib
from collections.abc import Sequence

from ppml_ops.crypto.layout import HEADER
from ppml_ops.datasets.any_folder import AnyFolder, Checksum
from ppml_ops.datasets.manifest import Manifest, Part, parse_manifest
from ppml_ops.datasets.store import MANIFESTS, DatasetStore, raise_problems
from ppml_ops.datasets.threads import Progress
from ppml_ops.errors import IntegrityError


def place(
    store: DatasetStore, manifest: Manifest, node: AnyFolder, progress: Progress = lambda _n: None
) -> list[Checksum]:
    """Put all parts of a version and its manifest on a node; returns the node's checksum table.

    Raises:
        IntegrityError: the store's parts differ from the manifest, or a copy differs from its source.
    """
    store.check_parts(manifest)
    table = [_copy_checked(store.folder, node, part, progress) for part in manifest.parts]
    name = f"{MANIFESTS}/{manifest.version}.json"
    try:
        node.create_only(name, manifest.encode())
    except FileExistsError:
        if parse_manifest(node.read(name, len(manifest.encode()) + 1)) != manifest:
            raise IntegrityError(
                f"another manifest {manifest.version} of {manifest.dataset} lies on the node in {node}",
                next_step="remove the run's node folder and clear `distribute`",
            ) from None
    return table


def collect(node_name: str, node: AnyFolder, manifest: Manifest, home: AnyFolder) -> list[Checksum]:
    """Bring the parts that `manifest` says lie on `node_name` to the folder `home`.

    Raises:
        IntegrityError: a part is missing, or not the one that the manifest names.
    """
    wanted = held(node_name, node, manifest)
    table = [_copy_checked(node, home, part, lambda _n: None) for part in wanted]
    _compare(manifest, home, wanted)
    return table


def held(node_name: str, node: AnyFolder, manifest: Manifest) -> list[Part]:
    """The parts that `manifest` says lie on `node_name`, once each was found there; nothing is copied.

    Raises:
        IntegrityError: a part is missing, or not the one that the manifest names.
    """
    wanted = [part for part in manifest.parts if part.node == node_name]
    _compare(manifest, node, wanted)
    return wanted


def assemble(homes: Sequence[AnyFolder], manifest: Manifest, store: DatasetStore) -> None:
    """Move collected parts into the data set and publish its manifest. Publishing again is no error.

    Raises:
        IntegrityError: a part was not collected.
        DataError: another version was published under this number meanwhile.
    """
    if manifest.version in store.versions() and store.read(manifest.version) == manifest:
        store.check_parts(manifest)
        return
    if taken := sorted(store.published_parts() & {part.path for part in manifest.parts}):
        raise IntegrityError(
            f"{taken[0]} belongs to another version of {manifest.dataset} and is not overwritten",
            next_step="let the job write files whose names differ from run to run",
            who="the author of the workload",
        )
    for part in manifest.parts:
        for home in homes:
            if _same(home, part):
                _copy_checked(home, store.folder, part, lambda _n: None)
                store.folder.sync(part.path)  # a published manifest must not outlive its parts
                break
    store.check_parts(manifest)
    store.publish(manifest)


def _same(folder: AnyFolder, part: Part) -> bool:
    try:
        return folder.size(part.path) == part.length and folder.read(part.path, HEADER).hex() == part.header
    except FileNotFoundError:
        return False


def _compare(manifest: Manifest, folder: AnyFolder, parts: Sequence[Part]) -> None:
    raise_problems(
        manifest,
        [f"{part.path} is missing or not the one written" for part in parts if not _same(folder, part)],
    )


def _copy_checked(source: AnyFolder, target: AnyFolder, part: Part, progress: Progress) -> Checksum:
    """Copy one file, unless the very same lies there already: after a kill only the rest is copied."""
    path, left = part.path, part.length
    if (there := _lies_there(source, target, path)) is not None:
        progress(there.length)
        return there
    digest = hashlib.sha256()
    hidden = f"{path.rpartition('/')[0]}/.{path.rpartition('/')[2]}.copy".lstrip("/")
    with target.open_write(hidden) as sink:
        for chunk in source.chunks(path):
            if (left := left - len(chunk)) < 0:
                raise IntegrityError(
                    f"{path} in {source} has more than the {part.length} bytes that its manifest names",
                    next_step="find out who writes to that folder, then clear the task",
                    who="the operator",
                )
            digest.update(chunk)
            sink.write(chunk)
            progress(len(chunk))
    target.rename(hidden, path)
    arrived = target.checksum(path)
    if arrived.sha256 != digest.hexdigest():
        target.remove(path)
        raise IntegrityError(
            f"the copy of {path} in {target} differs from its source",
            next_step="check the disk or store of that node, then clear the task",
            who="the operator",
        )
    return arrived


def _lies_there(source: AnyFolder, target: AnyFolder, path: str) -> Checksum | None:
    try:
        if target.size(path) == source.size(path) and target.checksum(path) == (found := source.checksum(path)):
            return found
    except FileNotFoundError:
        pass
    return None
