"""decrypt (owner): open the published results for their recipient and compare them with what must come out."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ppml_ops.broker.tickets import WriteBinding
from ppml_ops.datasets.new_folder import whole_folder
from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.unseal import open_version
from ppml_ops.errors import DataError, IntegrityError
from ppml_ops.files import private_dir
from ppml_ops.lifecycle.check_result import ResultCheck, run_script, summarise
from ppml_ops.lifecycle.data_keys import unwrap_first
from ppml_ops.lifecycle.owner_notes import recall
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import owners_ticket
from ppml_ops.receipts.records import Facts
from ppml_ops.workloads.rows import RowSummary


class Opened(NamedTuple):
    """The opened results: files (owner's side, mode 0600), rows if they were read, and whether all is right."""

    files: list[Path]
    rows: int | None
    matches_expected: bool | None


@dataclass(frozen=True)
class Expected:
    """What results must come to: rows by data set, and the owner's own script for all of them.

    `script` runs as `python SCRIPT --day <YYYY-MM-DD> --result <folder>`; exit code 0 says that all is right.
    """

    rows: Mapping[str, ResultCheck] = field(default_factory=dict)
    script: Path | None = None


def decrypt(
    run: Run, facts: Facts, *, expected: Expected, progress: Callable[[int], None] = lambda _done: None
) -> Opened:
    """Open the versions that merge published into `data/<run key>/result/`.

    With several results each has a folder of its data set's name there.

    Raises:
        IntegrityError: a result is not the one that was published, or differs from what is expected.
        DataError: rows that were to be compared can't be read.
    """
    merged = run.records.facts("merge")
    promised = written_by(owners_ticket(run, recall(run, "ticket", "issue_ticket")))
    target = private_dir(run.plaintext) / "result"
    shutil.rmtree(target, ignore_errors=True)  # of an earlier try; results can be opened again at any time
    if len(promised) == 1:
        _open(run, promised[0], merged, target, progress)
        folders = {promised[0].dataset: target}
    else:
        with whole_folder(target, "opening") as hidden:
            for one in promised:
                _open(run, one, merged, hidden / one.dataset, progress)
        folders = {one.dataset: target / one.dataset for one in promised}
    opened = _compare(run, folders, target, expected)
    facts.update(
        ticket=merged["ticket"],
        results=merged["results"],
        parts=len(opened.files),
        bytes=sum(path.stat().st_size for path in opened.files),
        rows=opened.rows,
        matches_expected=opened.matches_expected,
    )
    return opened


def _open(
    run: Run,
    promised: WriteBinding,
    merged: Facts,
    target: Path,
    progress: Callable[[int], None],
) -> None:
    store = run.dataset(promised.dataset)
    manifest = store.read(int(merged["versions"][promised.dataset]))
    if manifest.digest != merged["results"][promised.dataset] or not keeps_promise(manifest, promised):
        raise IntegrityError(
            f"version {manifest.version} of {manifest.dataset} is not the result of this run's job",
            next_step="restore the data set from a good copy, or clear `submit`",
        )
    key = unwrap_first(run.home, promised.wraps, promised.dataset, run.broker)
    open_version(store, manifest, key, target, progress)


def _compare(run: Run, folders: Mapping[str, Path], target: Path, expected: Expected) -> Opened:
    """Raises IntegrityError for the first result that is not what is expected."""
    found: dict[str, RowSummary] = {}
    compared = False
    for dataset, check in expected.rows.items():
        summary = summarise(folders[dataset], check.columns)
        wanted = check.expected() if check.expected else None
        if summary is None:
            if wanted is not None:
                raise DataError(
                    f"the rows of {dataset} can't be compared with the expected ones: not all files are .csv",
                    next_step="let the job write CSV, or check the result with a script",
                    who="the author of the DAG",
                )
            continue
        found[dataset] = summary
        if wanted is not None and wanted != summary:
            raise IntegrityError(
                f"{dataset} has {summary.rows} rows where {wanted.rows} are expected, or other values in them",
                next_step="do not use the result; compare the workload with the expectation",
            )
        compared |= wanted is not None
    if expected.script:
        run_script(expected.script, run.day, target)
        compared = True
    return Opened(
        files=sorted(path for path in target.rglob("*") if path.is_file()),
        rows=sum(summary.rows for summary in found.values()) if found else None,
        matches_expected=True if compared else None,
    )
