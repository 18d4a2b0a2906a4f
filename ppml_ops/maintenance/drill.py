"""The key-loss drill: can every sealed version be opened with the keys at hand? Unwraps, opens nothing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError, IntegrityError, PpmlError
from ppml_ops.keys.model import WrappedKey
from ppml_ops.lifecycle.data_keys import unwrap_first
from ppml_ops.maintenance.catalogue import find_datasets
from ppml_ops.maintenance.places import is_below

Unwrap = Callable[[Sequence[WrappedKey], str], bytes]


class Tried(NamedTuple):
    """One version; `why` says why it can't be opened, None when it can."""

    path: str
    dataset: str
    version: int
    keys: tuple[str, ...]
    why: str | None


def drill(storage: Folder, unwrap: Unwrap) -> Iterator[Tried]:
    """Try every version below `storage`: unwrap its data key, and authenticate its manifest with that.

    Args:
        unwrap: data key from wraps and data set id; raises PpmlError.
    """
    for found in find_datasets(storage):
        for version in found.store.versions():
            try:
                manifest = found.store.read(version)
            except PpmlError as error:
                yield Tried(found.path, "", version, (), error.what)
                continue
            keys = tuple(wrap.key for wrap in manifest.wraps)
            try:
                manifest.check(unwrap(manifest.wraps, manifest.dataset))
                why = None
            except PpmlError as error:
                why = error.what
            yield Tried(found.path, manifest.dataset, version, keys, why)


def drill_all(
    home: Path, folders: Sequence[Folder], unwrap: Unwrap, *, expected: Sequence[Folder] = ()
) -> list[Tried]:
    """Try every version below all `folders`.

    Args:
        home: state folder, for its runs.
        expected: folders that hold data sets unless something is wrong.

    Raises:
        ConfigError: there is no data set although there were runs, or none in an expected folder: a drill that
            looks into the wrong place would say that all is well.
    """
    found = [str(one.store.folder) for folder in folders for one in find_datasets(folder)]
    empty = [str(one) for one in expected if not any(is_below(path, str(one)) for path in found)]
    if not found and any((home / "runs").glob("*/run.json")):
        empty = empty or [str(folder) for folder in folders]
    if empty:
        raise ConfigError(
            f"there is no sealed data set in {', '.join(empty)}, although there were runs",
            next_step="make it reachable from here, or correct the setting or connection that names it",
        )
    alone = len(folders) == 1
    return [
        one if alone else one._replace(path=f"{folder}/{one.path}".rstrip("/"))
        for folder in folders
        for one in drill(folder, unwrap)
    ]


def keys_at_hand(home: Path) -> Unwrap:
    """Whatever key services the wraps name, reached from the state folder `home`."""
    return lambda wraps, dataset: unwrap_first(home, wraps, dataset)


def keys_in(folder: Path) -> Unwrap:
    """The keys in the state folder `folder` alone, without a running broker: for a restored backup.

    Raises:
        IntegrityError: the broker's store there is damaged.
    """
    from ppml_ops.broker.state import stored_keys
    from ppml_ops.keys.local import LocalKeyService

    services = {"local": LocalKeyService(folder / "keys")}
    if (folder / "broker").is_dir():
        services["broker"] = stored_keys(folder / "broker")

    def unwrap(wraps: Sequence[WrappedKey], dataset: str) -> bytes:
        failure: PpmlError = IntegrityError(
            "its key is in no key service of this backup",
            next_step="back up that key service as its own documentation says",
        )
        for wrap in wraps:
            service = services.get(wrap.ref.scheme)
            try:
                if service is not None:
                    return service.unwrap(wrap, dataset)
            except PpmlError as error:
                failure = error
        raise failure

    return unwrap
