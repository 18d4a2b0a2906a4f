"""Peak memory of the owner's steps, each in a process of its own.

python -m tests.benchmarks.owner_memory STEP ROWS FOLDER     prints a Peak as JSON
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from ppml_ops.canonical import b64e
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import ManifestHead, Producer
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.unseal import open_version
from ppml_ops.errors import DataError, IntegrityError
from ppml_ops.keys.model import WrappedKey
from ppml_ops.workloads.generate_people import COLUMNS, JOBS, MAX_AGE, MIN_AGE, expected_rows, generate
from ppml_ops.workloads.rows import summarise, summarise_csv
from tests.benchmarks.measure import peak_memory, seconds_of
from tests.benchmarks.report import Row, Table

_SEED = 1
KEY = bytes(range(32))
_MIB = 1 << 20


class Peak(NamedTuple):
    """Peak resident bytes before and after a step, and its seconds."""

    before: int
    after: int
    seconds: float


def store_of(folder: Path) -> DatasetStore:
    """The sealed data set of a benchmark's folder."""
    return DatasetStore(Folder(folder / "sealed"))


def head() -> ManifestHead:
    """Manifest fields that don't matter here."""
    return ManifestHead(
        dataset="bench-owner",
        data_key_id="0f" * 16,
        schema=None,
        partition={},
        wraps=(WrappedKey(key="local:bench?version=1", wrapped=b64e(bytes(40))),),
        previous=None,
        producer=Producer(run="benchmark", spec=""),
        trust_domain="00" * 32,
    )


def _generate(folder: Path, rows: int) -> None:
    generate(folder / "people.csv", rows, _SEED)


def _seal(folder: Path, _rows: int) -> None:
    sources = find_sources(str(folder / "people.csv"))
    seal_sources(sources, store_of(folder), head(), 1, KEY, table="people")


def _compare(folder: Path, rows: int) -> None:
    """What `decrypt` does with a result, here of all people: open it, sum it up, sum up what is expected."""
    store = store_of(folder)
    files = open_version(store, store.read(), KEY, folder / "opened")
    every_job = (expected_rows(rows, _SEED, MIN_AGE, MAX_AGE, job) for job in JOBS)
    if summarise_csv(_texts(files), COLUMNS) != summarise(chain.from_iterable(every_job)):
        raise IntegrityError("the opened rows are not those that were sealed", next_step="report this as a bug")


def _texts(files: Sequence[Path]) -> Iterator[IO[str]]:
    for path in files:
        with path.open(encoding="utf-8", newline="") as text:
            yield text


#: In this order: each works on what the one before left in the folder.
STEPS: dict[str, Callable[[Path, int], None]] = {"generate": _generate, "seal": _seal, "compare": _compare}
_TITLES = {
    "generate": "generate the input",
    "seal": "seal it into a data set",
    "compare": "open, sum up and compare a result of all rows",
}


def memory_table(sizes: Sequence[int]) -> Table:
    """Every step at every number of rows; raises as the steps do."""
    peaks: dict[tuple[str, int], Peak] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder:
            for step in STEPS:
                peaks[step, rows] = _in_process(step, rows, Path(folder))
    lines: list[Row] = [
        (
            f"{_TITLES[step]}, {rows:,} rows",
            f"{peak.seconds:.2f}",
            f"{rows / peak.seconds / 1000:,.0f}",
            f"{peak.after / _MIB:.0f}",
            f"{(peak.after - peak.before) / _MIB:.1f}",
        )
        for step in STEPS
        for rows in sizes
        for peak in [peaks[step, rows]]
    ]
    columns = ("step", "seconds", "thousand rows/s", "peak MiB", "growth MiB")
    return Table("Memory of the owner's side", columns, tuple(lines))


def _in_process(step: str, rows: int, folder: Path) -> Peak:
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.owner_memory", step, str(rows), str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise DataError(f"the step {step!r} failed: {result.stderr.strip()[-500:]}", next_step="see the reason")
    return Peak(*json.loads(result.stdout))


def main(step: str, rows: int, folder: Path) -> None:
    """Run one step and print its peak."""
    before = peak_memory()
    seconds = seconds_of(lambda: STEPS[step](folder, rows))
    sys.stdout.write(json.dumps(Peak(before, peak_memory(), seconds)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
