"""decrypt (owner): open the published result for its recipient and compare it with what must come out."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from ppml_ops.datasets.unseal import open_version
from ppml_ops.errors import IntegrityError
from ppml_ops.files import private_dir
from ppml_ops.lifecycle.data_keys import unwrap_first
from ppml_ops.lifecycle.owner_notes import recall
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import keeps_promise, promised_result
from ppml_ops.receipts.records import Facts
from ppml_ops.workloads.rows import RowSummary, summarise_csv


class Opened(NamedTuple):
    """The opened result: its files (owner's side, mode 0600), and what its rows come to."""

    files: list[Path]
    summary: RowSummary | None
    matches_expected: bool | None


def decrypt(
    run: Run,
    facts: Facts,
    *,
    columns: Sequence[str],
    expected: Callable[[], RowSummary | None] | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Opened:
    """Open the version that merge published into `data/<run key>/result/`.

    Args:
        columns: of the result's rows, in the order in which they are summed up; empty: they are not read.
        expected: what the rows must come to, when that is known without Spark.

    Raises:
        IntegrityError: the result is not the one that was published, or differs from what is expected.
    """
    merged = run.records.facts("merge")
    promised = promised_result(run, recall(run, "ticket", "issue_ticket"))
    store = run.dataset(promised.dataset)
    manifest = store.read(int(merged["version"]))
    if manifest.digest != merged["manifest_digest"] or not keeps_promise(manifest, promised):
        raise IntegrityError(
            f"version {manifest.version} of {manifest.dataset} is not the result of this run's job",
            next_step="restore the data set from a good copy, or clear `submit`",
        )
    target = private_dir(run.plaintext) / "result"
    shutil.rmtree(target, ignore_errors=True)  # of an earlier try; it can be opened again at any time
    files = open_version(
        store, manifest, unwrap_first(run.home, promised.wraps, promised.dataset), target, progress
    )
    summary = summarise_csv(_texts(files), columns) if columns and _is_csv(files) else None
    wanted = expected() if expected and summary else None
    facts.update(
        ticket=merged["ticket"],
        manifest_digest=manifest.digest,
        parts=len(files),
        bytes=sum(path.stat().st_size for path in files),
        rows=summary.rows if summary else None,
        expected_rows=wanted.rows if wanted else None,
        matches_expected=None if wanted is None else wanted == summary,
    )
    if wanted is not None and summary is not None and wanted != summary:
        raise IntegrityError(
            f"the result has {summary.rows} rows where {wanted.rows} are expected, or other values in them",
            next_step="do not use the result; compare the workload with the expectation",
        )
    return Opened(files, summary, facts["matches_expected"])


def _is_csv(files: Sequence[Path]) -> bool:
    return all(path.suffix == ".csv" for path in files)


def _texts(files: Sequence[Path]) -> Iterator[IO[str]]:
    for path in files:
        with path.open(encoding="utf-8", newline="") as text:
            yield text
