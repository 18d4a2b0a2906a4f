"""Remove what retention lets go. Lists first, removes then; a dry run is the list alone.

Nothing of a living run is touched (`maintenance.living`): that is looked at for the list, and again just before
each thing is removed.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.tombstone import Tombstone
from ppml_ops.maintenance.catalogue import Found, below, find_datasets
from ppml_ops.maintenance.living import Living, age
from ppml_ops.maintenance.part_names import is_own_part, tables_of, visible_files
from ppml_ops.maintenance.retention import Rules

#: Files in a data set's folder that are not known to be ours. They are named and never removed.
UNKNOWN = "unknown, stays"
_HOUR, _DAY = 3600, 86_400


class Removal(NamedTuple):
    """One thing that may go, or, where `act` is None, one that is only named: nobody knows whose it is.

    `kind` is the rule's word, `path` where it lies; `act` removes it; `in_use` says whether a living run came
    to need it meanwhile.
    """

    kind: str
    path: str
    act: Callable[[], None] | None
    in_use: Callable[[], bool]

    def remove(self) -> bool:
        """Remove it unless a living run needs it; returns whether it is gone."""
        if self.act is None or self.in_use():
            return False
        self.act()
        return True


def removals(home: Path, storages: Sequence[Folder], rules: Rules, *, now: float) -> Iterator[Removal]:
    """Everything that `rules` let go, in the order in which it may be removed.

    Args:
        home: the state folder.
        storages: folders of all sealed data sets, none inside another one.
        now: Unix seconds.

    Raises:
        IntegrityError: a manifest or tombstone is damaged; what belongs to it is nobody's to remove.
    """
    living = Living(home, rules.leftovers_hours * _HOUR, now)
    yield from _of_runs(home, rules, living, now)
    yield from _of_airflow(home, rules, living, now)
    for storage in storages:
        everything = list(find_datasets(storage))
        for found in everything:
            yield from _unfinished(found, living)
            yield from _expired(found, rules, living, now)
            inner = below(found, everything)
            yield from _uncommitted(found, inner, rules.leftovers_hours * _HOUR, living, now)


def _of_runs(home: Path, rules: Rules, living: Living, now: float) -> Iterator[Removal]:
    leftovers = rules.leftovers_hours * _HOUR

    def tree(kind: str, path: Path, key: str) -> Removal:
        return _tree(kind, path, lambda: living.has(key))

    for folder in _folders(home / "data"):
        key = folder.name
        if living.has(key):
            continue
        if rules.opened_results_days is not None and age(folder, now) >= rules.opened_results_days * _DAY:
            yield tree("opened result", folder, key)
        elif (folder / "input").is_dir() and age(folder / "input", now) >= leftovers:
            yield tree("temporary plaintext", folder / "input", key)
    for node in _folders(home / "nodes"):
        for folder in _folders(node):
            if not living.has(folder.name) and age(folder, now) >= leftovers:
                yield tree("node leftovers", folder, folder.name)
    for run in _folders(home / "runs"):
        if living.has(run.name):
            continue
        if rules.records_days is not None and age(run, now) >= rules.records_days * _DAY:
            yield tree("records and receipts", run, run.name)
            continue
        for generation in run.glob("g[0-9]*"):
            if generation.is_dir() and age(generation, now) >= leftovers:
                yield tree("working folder of a job", generation, run.name)


def _of_airflow(home: Path, rules: Rules, living: Living, now: float) -> Iterator[Removal]:
    if rules.airflow_logs_days is None:
        return
    for run in (home / "airflow" / "logs").glob("dag_id=*/run_id=*"):
        ids = run.parent.name.removeprefix("dag_id="), run.name.removeprefix("run_id=")
        if age(run, now) >= rules.airflow_logs_days * _DAY and not living.has_ids(*ids):
            yield _tree("Airflow logs", run, partial(living.has_ids, *ids))


def _unfinished(found: Found, living: Living) -> Iterator[Removal]:
    """What a cut removal left. A shredding that was cut needs the owner: it is theirs to go on with."""
    for version in found.store.removed():
        tombstone = found.store.tombstone(version)
        if tombstone.state == "begun" and tombstone.kind == "expired":
            yield from _version("rest of an expired version", found, tombstone, living)


def _expired(found: Found, rules: Rules, living: Living, now: float) -> Iterator[Removal]:
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
        yield from _version("expired version", found, tombstone, living)


def _uncommitted(
    found: Found, inner: set[str], seconds: float, living: Living, now: float
) -> Iterator[Removal]:
    """Parts that no version names and no living run can still publish: all data sets may be in writing.

    What lies in `inner`, folders of other data sets, is theirs; other people's files are named and stay.
    """
    store = found.store
    if not store.folder.is_local:
        return
    for generation in store.folder.names("_incoming"):
        path, key = store.folder.local(f"_incoming/{generation}"), generation.rpartition("-g")[0]
        if not living.has(key) and age(path, now) >= seconds:
            yield _tree("gathered parts of a dead run", path, partial(living.has, key))
    day = _day_of_path(found.path)
    if day and living.has_day(day):
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
        kind, act = ("part of no version", path.unlink) if own else (UNKNOWN, None)
        yield Removal(kind, str(path), act, lambda: day is not None and living.has_day(day))


def _existing(store: DatasetStore) -> Iterator[Manifest]:
    yield from (store.read(version) for version in store.versions())
    begun = (store.tombstone(version) for version in store.removed())
    yield from (tombstone.manifest_of() for tombstone in begun if tombstone.state == "begun")


def _version(kind: str, found: Found, tombstone: Tombstone, living: Living) -> Iterator[Removal]:
    def in_use() -> bool:
        return living.uses(found.store, tombstone.manifest_of().partition.get("date"))

    def remove() -> None:
        buried = found.store.bury(tombstone)
        folder, producer = found.store.folder, buried.manifest_of().producer.run
        for name in folder.names("_logs"):
            if name.startswith(f"{producer}-g"):
                folder.remove(f"_logs/{name}")
        found.store.finish(buried)

    if not in_use():
        yield Removal(kind, f"{found.path} version {tombstone.version}", remove, in_use)


def _tree(kind: str, path: Path, in_use: Callable[[], bool]) -> Removal:
    return Removal(kind, str(path), lambda: shutil.rmtree(path), in_use)


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []


def _changed(path: Path) -> float:
    """When the file or its name changed last; a moved or restored file keeps its old mtime."""
    status = path.lstat()
    return max(status.st_mtime, status.st_ctime)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _day_of_path(path: str) -> str | None:
    days = [piece[5:] for piece in path.split("/") if piece.startswith("date=") and _day(piece[5:])]
    return days[-1] if days else None
