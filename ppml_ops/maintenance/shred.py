"""Crypto-shredding of a data-set version: make its data key unavailable for ever, and say what was done.

The wraps of a data key are copied into tickets, receipts and backups, so removing them from the manifest would
prove nothing. What is destroyed lies in the key service: the secret of each wrap, or where the service keeps
none, the version of the primary key, and that only when nothing else needs it. See ADR 0007.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from joserfc.jwk import OKPKey

from ppml_ops.broker.audit import KEY_DESTROYED, WRAP_ERASED
from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.tombstone import Tombstone
from ppml_ops.errors import ConfigError, DataError, DeniedError, IntegrityError, PpmlError
from ppml_ops.keys.erasable import wrap_digest
from ppml_ops.keys.model import ERASABLE_ALGORITHM, WrappedKey
from ppml_ops.keys.service import ErasableWraps, key_service_for
from ppml_ops.lifecycle.data_keys import unwrap_first
from ppml_ops.lifecycle.original import EXPORT
from ppml_ops.maintenance.catalogue import find_datasets
from ppml_ops.maintenance.destruction import Destruction
from ppml_ops.receipts.records import Records
from ppml_ops.receipts.signed import sign_document


class Plan(NamedTuple):
    """What shredding one version means: `manifests` are all versions under the same data key.

    `wraps` are all of that key's. `needed_by` lists, for each primary key version that would have to be
    destroyed, versions of other data that it opens: while there are any, nothing is done. The same holds for
    `unsearchable`: searched folders without a file, when a primary key version would have to be destroyed.
    """

    store: DatasetStore
    manifests: tuple[Manifest, ...]
    wraps: tuple[WrappedKey, ...]
    needed_by: dict[str, list[str]]
    unsearchable: tuple[str, ...] = ()

    @property
    def versions(self) -> list[int]:
        """Numbers of the versions that become unreadable."""
        return [manifest.version for manifest in self.manifests]


def plan_shredding(home: Path, store: DatasetStore, version: int, searched: Sequence[Folder]) -> Plan:
    """Look what shredding `version` of `store` takes; nothing is changed.

    Args:
        home: state folder, for the key services.
        searched: folders below which data sets may need the same primary keys.

    Raises:
        DataError: there is no such version, or its shredding is done.
        IntegrityError: a manifest was changed: whoever did may want other data to be shredded with it.
    """
    chosen = _manifest(store, version)
    known = [_manifest(store, number) for number in {*store.versions(), *_unfinished(store), version}]
    doomed = [manifest for manifest in known if manifest.data_key_id == chosen.data_key_id]
    for manifest in doomed:
        _authenticate(home, manifest)
    wraps = {wrap_digest(wrap): wrap for manifest in doomed for wrap in manifest.wraps}
    whole = {wrap.key for wrap in wraps.values() if not _erasable(home, wrap)}
    needed: dict[str, list[str]] = {}
    for folder in searched if whole else ():
        for found in find_datasets(folder):
            for number in found.store.versions():
                manifest = found.store.read(number)
                for key in whole & {wrap.key for wrap in manifest.wraps}:
                    if manifest.data_key_id != chosen.data_key_id:
                        needed.setdefault(key, []).append(f"{found.path or folder} version {number}")
    manifests = tuple(sorted(doomed, key=lambda manifest: manifest.version))
    absent = tuple(str(folder) for folder in searched if not folder.files()) if whole else ()
    return Plan(store, manifests, tuple(wraps.values()), needed, absent)


def shred(
    home: Path, plan: Plan, owner: OKPKey, *, now: int, searched: Sequence[Folder], plaintext: Sequence[Path]
) -> Destruction:
    """Do what `plan` says; after a cut, plan and call it again.

    Args:
        owner: the owner's key, which signs the record.
        now: Unix seconds.
        searched: as for `plan_shredding`.
        plaintext: opened copies that are known of, to be named in the record.

    Raises:
        ConfigError: other data need a primary key that would have to be destroyed, or whether they do can't be
            told; nothing was done.
        IntegrityError: a wrap still opens; the data are not shredded.
    """
    if plan.needed_by:
        key, users = next(iter(plan.needed_by.items()))
        raise ConfigError(
            f"{key} can't be destroyed: it also opens {', '.join(users[:5])}"
            + (f" and {len(users) - 5} more" if len(users) > 5 else ""),
            next_step="move those to the key's newest version first: keys rotate, then data rewrap",
            who="the data owner",
        )
    if plan.unsearchable:
        raise ConfigError(
            "a whole primary key would have to be destroyed, and whether other data need it can't be told: "
            f"there is nothing in {', '.join(plan.unsearchable)}",
            next_step="make it reachable; if another storage is in use, set PPML_OPS_STORAGE to that",
            who="the data owner",
        )
    for manifest in plan.manifests:
        plan.store.bury(_tombstone(manifest, now))
    done = [_destroy(home, wrap, plan.manifests[0].dataset) for wrap in plan.wraps]
    for wrap in plan.wraps:
        _must_be_refused(home, wrap, plan.manifests[0].dataset)
    record = _record(plan, done, owner, now, searched, plaintext)
    for manifest in plan.manifests:
        told = record.model_dump(mode="json")
        plan.store.finish(plan.store.tombstone(manifest.version).model_copy(update={"record": told}))
    return record


def opened_copies(home: Path, plan: Plan) -> list[Path]:
    """Opened results of these versions that still lie in the state folder, and exports of them."""
    digests = {manifest.digest for manifest in plan.manifests}
    found = []
    for folder in sorted((home / "data").glob("*/result")):
        merged = Records(home / "runs" / folder.parent.name / "records").all().get("merge")
        results = merged.facts.get("results") if merged is not None else None
        if isinstance(results, dict) and digests & set(map(str, results.values())):
            found += [copy for copy in (folder, folder.with_name(EXPORT)) if copy.is_dir()]
    return found


def _manifest(store: DatasetStore, version: int) -> Manifest:
    """The manifest, also of a version whose shredding was cut."""
    if version not in store.removed():
        return store.read(version)
    tombstone = store.tombstone(version)
    if tombstone.state == "done" or tombstone.kind != "shredded":
        raise DataError(tombstone.explain(), next_step="nothing is left to do")
    return tombstone.manifest_of()


def _authenticate(home: Path, manifest: Manifest) -> None:
    try:
        data_key = unwrap_first(home, manifest.wraps, manifest.dataset)
    except DeniedError:
        return  # no wrap in it opens any more: after a cut, or there is nothing left to destroy
    manifest.check(data_key)


def _unfinished(store: DatasetStore) -> list[int]:
    tombstones = (store.tombstone(version) for version in store.removed())
    return [one.version for one in tombstones if (one.state, one.kind) == ("begun", "shredded")]


def _tombstone(manifest: Manifest, now: int) -> Tombstone:
    return Tombstone(
        dataset=manifest.dataset,
        version=manifest.version,
        kind="shredded",
        state="begun",
        at=now,
        manifest=manifest.document(),
    )


def _erasable(home: Path, wrap: WrappedKey) -> bool:
    service = key_service_for(wrap.ref, home=home)
    return wrap.algorithm == ERASABLE_ALGORITHM and isinstance(service, ErasableWraps)


def _destroy(home: Path, wrap: WrappedKey, dataset: str) -> dict[str, Any]:
    service = key_service_for(wrap.ref, home=home)
    told: dict[str, Any] = {"key": wrap.key, "wrapped": wrap_digest(wrap), "record": None}
    if _erasable(home, wrap):
        assert isinstance(service, ErasableWraps)
        return told | {"how": WRAP_ERASED, "record": service.erase(wrap, dataset).get("record")}
    states = {one.version: one.state for one in service.describe(wrap.ref.unversioned()).versions}
    if states.get(wrap.ref.version or 0) != "destroyed":
        service.destroy(wrap.ref)
    return told | {"how": KEY_DESTROYED}


def _must_be_refused(home: Path, wrap: WrappedKey, dataset: str) -> None:
    try:
        key_service_for(wrap.ref, home=home).unwrap(wrap, dataset)
    except DeniedError:
        return
    except PpmlError as error:
        raise IntegrityError(
            f"whether {wrap.key} is gone for data set {dataset} can't be told: {error.what}",
            next_step="repair that, and shred again",
        ) from None
    raise IntegrityError(
        f"a wrap of data set {dataset} still opens under {wrap.key}", next_step="ask who runs the key service"
    )


def _record(
    plan: Plan,
    wraps: list[dict[str, Any]],
    owner: OKPKey,
    now: int,
    searched: Sequence[Folder],
    plaintext: Sequence[Path],
) -> Destruction:
    first = plan.manifests[0]
    parts = {part.path: part.length for manifest in plan.manifests for part in manifest.parts}
    document = {
        "ppml": "destruction/1",
        "dataset": first.dataset,
        "partition": first.partition,
        "data_key_id": first.data_key_id,
        "versions": {str(manifest.version): manifest.digest for manifest in plan.manifests},
        "parts": len(parts),
        "sealed_bytes": sum(parts.values()),
        "wraps": wraps,
        "checked": now,
        "searched": [str(folder) for folder in searched],
        "plaintext": [str(path) for path in plaintext],
    }
    return Destruction.parse(canonical_json(sign_document(document, owner)))
