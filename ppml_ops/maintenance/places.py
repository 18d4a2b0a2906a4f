"""Where the sealed data sets of an installation lie: in its storage, and wherever its runs had them.

The storage of a run may have come from an Airflow connection or from a setting that was another one then.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ppml_ops.datasets.folder import Folder
from ppml_ops.lifecycle.run import Run, load_run
from ppml_ops.maintenance.living import in_place


def storages(home: Path, configured: str | None) -> list[Folder]:
    """The storage in use, first, and those of recorded runs.

    Args:
        home: the state folder.
        configured: URL or folder of the storage in use; None for the one in `home`.

    Raises:
        ConfigError: the record of a run is damaged, or a storage is of a kind that is not known here.
    """
    first = Folder(configured or str(home / "storage"))
    return _distinct([first, *(Folder(url) for url in sorted({run.storage for run in recorded_runs(home)}))])


def data_places(home: Path, configured: str | None) -> list[Folder]:
    """`storages`, and the inputs that runs read in place.

    Raises:
        ConfigError: as for `storages`.
        IntegrityError: a stage record of a run is damaged.
    """
    urls = {url for run in recorded_runs(home) for url in in_place(run)}
    return _distinct([*storages(home, configured), *(Folder(url) for url in sorted(urls))])


def storages_with_results(home: Path) -> list[Folder]:
    """Storages in which runs recorded that they published results; raises as `data_places`."""
    merged = ((run.storage, run.records.all().get("merge")) for run in recorded_runs(home))
    return _distinct(
        Folder(url) for url in sorted({url for url, record in merged if record and record.outcome == "done"})
    )


def recorded_runs(home: Path) -> Iterator[Run]:
    """All runs that were opened. Raises ConfigError where the record of one is damaged."""
    for path in sorted((home / "runs").glob("*/run.json")):
        yield load_run(home, path.parent.name)


def is_below(path: str, folder: str) -> bool:
    """Whether the folder or URL `path` is `folder`, or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def _distinct(folders: Iterable[Folder]) -> list[Folder]:
    """In the same order, without those that are or lie in another one."""
    every = {str(folder): folder for folder in folders}
    return [every[one] for one in every if not any(is_below(one, other) for other in every if other != one)]
