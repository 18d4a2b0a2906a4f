"""Which runs live, and what they use: nothing of that may be removed.

A run lives while a process of its job does, or anything in its folder changed within the time for leftovers.
"""

from collections.abc import Iterator
from pathlib import Path

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.identity import partition_folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import PpmlError, TransientError
from ppml_ops.lifecycle.backends import backend_of
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.partition import with_day
from ppml_ops.lifecycle.run import Run, load_run
from ppml_ops.receipts.run_key import ids_digest


class Living:
    """Looks at the disk at every call: runs begin while others are being listed.

    Args:
        home: the state folder.
        seconds: how long a run counts as alive after its folder changed last.
        now: Unix seconds; what changed later is alive.
    """

    def __init__(self, home: Path, seconds: float, now: float) -> None:
        self._home, self._seconds, self._now = home, seconds, now

    def has(self, key: str) -> bool:
        """Whether the run `key` lives."""
        folder = self._home / "runs" / key
        if not folder.is_dir():
            return False
        if age(folder, self._now) < self._seconds:
            return True
        try:
            run = load_run(self._home, key)
            return any(backend_of(run).alive(generation) for generation in generations(run))
        except TransientError:
            return True  # a cluster that does not answer may run it
        except PpmlError:
            return False

    def has_ids(self, dag_id: str, run_id: str) -> bool:
        """Whether the run with these ids of Airflow lives."""
        return any(self._keys(f"*-{ids_digest(dag_id, run_id)}"))

    def has_day(self, day: str) -> bool:
        """Whether any run of the day `day` (2026-11-20) lives."""
        return any(self._keys(f"*-{day.replace('-', '')}-*"))

    def uses(self, store: DatasetStore, day: str | None) -> bool:
        """Whether a living run may read or write `store`, whose versions are of the day `day`.

        A run uses its own day of any data set, and the inputs that its ticket says are read in place.
        """
        if day is not None and self.has_day(day):
            return True
        return any(self._reads(key, store) for key in self._keys("*"))

    def _keys(self, pattern: str) -> Iterator[str]:
        found = (folder.name for folder in (self._home / "runs").glob(pattern) if folder.is_dir())
        return (key for key in found if self.has(key))

    def _reads(self, key: str, store: DatasetStore) -> bool:
        """Also true where the run's records can't be read: who can't tell removes nothing."""
        try:
            run = load_run(self._home, key)
            return partition_folder(run.day) in str(store.folder).split("/") or str(store.folder) in in_place(
                run
            )
        except PpmlError:
            return True


def in_place(run: Run) -> list[str]:
    """Folders of the inputs that a run's ticket says are read where they lie.

    Raises:
        IntegrityError: a record of the run is damaged.
        ConfigError: a URL is of a kind that is not known here.
    """
    issued = run.records.all().get("issue_ticket")
    urls = issued.facts.get("in_place") if issued else None
    return [str(Folder(with_day(str(url), run.day))) for url in urls.values()] if isinstance(urls, dict) else []


def age(path: Path, now: float) -> float:
    """Seconds since anything at or below `path` changed."""
    try:
        newest = path.lstat().st_mtime
        for child in path.rglob("*"):
            newest = max(newest, child.lstat().st_mtime)
    except FileNotFoundError:
        return 0.0  # somebody is at work there
    return now - newest
