"""Remove what retention lets go. Lists first, removes then; a dry run is the list alone.

A run counts as alive while one of its job's processes lives, or anything in its folder changed within the time
for leftovers; nothing of such a run is touched.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.tombstone import Tombstone
from ppml_ops.errors import PpmlError
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import load_run
from ppml_ops.maintenance.catalogue import Found, below, find_datasets
from ppml_ops.maintenance.part_names import is_own_part, tables_of, visible_files
from ppml_ops.maintenance.retention import Rules

#: Files in a data set's folder that are not known to be ours. They are named and never removed.
UNKNOWN = "unknown, stays"
_HOUR, _DAY = 3600, 86_400


class Removal(NamedTuple):
    """One thing that may go, or, where `act` is None, one that is only named: nobody knows whose it is.

    `kind` is the rule's word, `path` where it lies; `act` removes it.
    """

    kind: str
    path: str
    act: Callable[[], None] | None

    def remove(self) -> bool:
        """Remove it; returns whether it is gone."""
        if self.act is None:
            return False
        self.act()
        return True


def removals(home: Path, storage: Folder, rules: Rules, *, now: float) -> Iterator[Removal]:
    """Everything that `rules` let go, in the order in which it may be removed.

    Args:
        home: the state folder.
        storage: the folder of all sealed data sets.
        now: Unix seconds.

    Raises:
        IntegrityError: a manifest or tombstone is damaged; what belongs to it is nobody's to remove.
    """
    alive = set(_alive_runs(home, rules.leftovers_hours * _HOUR, now))
    yield from _of_runs(home, rules, alive, now)
    yield from _of_airflow(home, rules, now)
    everything = list(find_datasets(storage))
    for found in everything:
        yield from _unfinished(found)
        yield from _expired(found, rules, now)
        inner = below(found, everything)
        yield from _uncommitted(found, inner, rules.leftovers_hours * _HOUR, alive, now)


def _alive_runs(home: Path, seconds: float, now: float) -> Iterator[str]:
    for folder in _folders(home / "runs"):
        if _age(folder, now) < seconds:
            yield folder.name
            continue
        try:
            run = load_run(home, folder.name)
        except PpmlError:
            continue
        if any(generation.alive for generation in generations(run)):
            yield folder.name


def _of_runs(home: Path, rules: Rules, alive: set[str], now: float) -> Iterator[Removal]:
    leftovers = rules.leftovers_hours * _HOUR
    for folder in _folders(home / "data"):
        if folder.name in alive:
            continue
        if rules.opened_results_days is not None and _age(folder, now) >= rules.opened_results_days * _DAY:
            yield _tree("opened result", folder)
        elif (folder / "input").is_dir() and _age(folder / "input", now) >= leftovers:
            yield _tree("temporary plaintext", folder / "input")
    for node in _folders(home / "nodes"):
        for folder in _folders(node):
            if folder.name not in alive and _age(folder, now) >= leftovers:
                yield _tree("node leftovers", folder)
    for run in _folders(home / "runs"):
        if run.name in alive:
            continue
        if rules.records_days is not None and _age(run, now) >= rules.records_days * _DAY:
            yield _tree("records and receipts", run)
            continue
        for generation in run.glob("g[0-9]*"):
            if generation.is_dir() and _age(generation, now) >= leftovers:
                yield _tree("working folder of a job", generation)


def _of_airflow(home: Path, rules: Rules, now: float) -> Iterator[Removal]:
    if rules.airflow_logs_days is None:
        return
    for dag in (home / "airflow" / "logs").glob("dag_id=*"):
        for run in dag.glob("run_id=*"):
            if _age(run, now) >= rules.airflow_logs_days * _DAY:
                yield _tree("Airflow logs", run)


def _unfinished(found: Found) -> Iterator[Removal]:
    """What a cut removal left. A shredding that was cut needs the owner: it is theirs to go on with."""
    for version in found.store.removed():
        tombstone = found.store.tombstone(version)
        if tombstone.state == "begun" and tombstone.kind == "expired":
            yield _version("rest of an expired version", found, tombstone)


def _expired(found: Found, rules: Rules, now: float) -> Iterator[Removal]:
    for version in found.store.versions():
        manifest = found.store.read(version)
        days = rules.datasets_days.get(manifest.dataset)
        day = _day(manifest.partition.get("date"))
        if days is None or day is None or day + timedelta(days=days) >= datetime.fromtimestamp(now, UTC).date():
            continue
        tombstone = Tombstone(
            dataset=manifest.dataset,
            version=version,
            kind="expired",
            state="begun",
            at=int(now),
            manifest=manifest.document(),
        )
        yield _version("expired version", found, tombstone)


def _uncommitted(
    found: Found, inner: set[str], seconds: float, alive: set[str], now: float
) -> Iterator[Removal]:
    """Parts that no version names and no living run can still publish: all data sets may be in writing.

    What lies in `inner`, folders of other data sets, is theirs; other people's files are named and stay.
    """
    store = found.store
    if not store.folder.is_local:
        return
    for generation in store.folder.names("_incoming"):
        path = store.folder.local(f"_incoming/{generation}")
        if generation.rpartition("-g")[0] not in alive and _age(path, now) >= seconds:
            yield _tree("gathered parts of a dead run", path)
    if any(f"date={key[-21:-17]}-{key[-17:-15]}-{key[-15:-13]}" in found.path for key in alive):
        return  # a run of that day may still publish, also after a long pause
    named = {part.path for version in _existing(store) for part in version.parts}
    tables = tables_of(store)
    for name in visible_files(store, inner):
        path = store.folder.local(name)
        try:
            if name in named or _changed(path) > now - seconds:
                continue
            own = is_own_part(path, name, tables)
        except FileNotFoundError:
            continue
        yield Removal("part of no version" if own else UNKNOWN, str(path), path.unlink if own else None)


def _existing(store: DatasetStore) -> Iterator[Manifest]:
    yield from (store.read(version) for version in store.versions())
    begun = (store.tombstone(version) for version in store.removed())
    yield from (tombstone.manifest_of() for tombstone in begun if tombstone.state == "begun")


def _version(kind: str, found: Found, tombstone: Tombstone) -> Removal:
    def remove() -> None:
        buried = found.store.bury(tombstone)
        folder, producer = found.store.folder, buried.manifest_of().producer.run
        for name in folder.names("_logs"):
            if name.startswith(f"{producer}-g"):
                folder.remove(f"_logs/{name}")
        found.store.finish(buried)

    return Removal(kind, f"{found.path} version {tombstone.version}", remove)


def _tree(kind: str, path: Path) -> Removal:
    return Removal(kind, str(path), lambda: shutil.rmtree(path))


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []


def _changed(path: Path) -> float:
    """When the file or its name changed last; a moved or restored file keeps its old mtime."""
    status = path.lstat()
    return max(status.st_mtime, status.st_ctime)


def _age(path: Path, now: float) -> float:
    """Seconds since anything at or below `path` changed."""
    newest = path.lstat().st_mtime
    for child in path.rglob("*"):
        try:
            newest = max(newest, child.lstat().st_mtime)
        except FileNotFoundError:
            return 0.0  # somebody is at work there
    return now - newest


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
