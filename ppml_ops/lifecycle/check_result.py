"""Is an opened result what it should be? By the digest of its rows, or by a script of the owner's."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from ppml_ops.datasets.seal import find_sources
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.workloads.rows import RowDigest, RowSummary, add_csv

#: A check that hangs must not hold the run for ever.
SCRIPT_SECONDS = 3600.0


@dataclass(frozen=True)
class ResultCheck:
    """How to check one result by its rows.

    `columns` are summed up in this order. `expected` gives what the rows must come to, when that is known
    without Spark; None from it, or in its place, when nobody knows.
    """

    columns: Sequence[str]
    expected: Callable[[], RowSummary | None] | None = None


def summarise(folder: Path, columns: Sequence[str]) -> RowSummary | None:
    """The summary of the CSV files in an opened result; None when it has files of another format.

    Folders named `column=value`, as Spark's `partitionBy` makes them, give their rows that column.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if any(path.suffix != ".csv" for path in files):
        return None
    digest = RowDigest()
    for number, path in enumerate(files, start=1):
        with path.open(encoding="utf-8", newline="") as text:
            add_csv(digest, number, text, columns, _partition_values(path.relative_to(folder)))
    return digest.summary()


def rows_of_files(url: str, columns: Sequence[str]) -> RowSummary:
    """The summary of the CSV file at `url`, or of all CSV files of the folder there.

    Raises:
        DataError: nothing there, or it has other columns.
    """
    digest = RowDigest()
    for number, source in enumerate(find_sources(url), start=1):
        with io.TextIOWrapper(source.folder.open_read(source.name), encoding="utf-8", newline="") as text:
            add_csv(digest, number, text, columns)
    return digest.summary()


def _partition_values(path: Path) -> dict[str, str]:
    """`{"job": "Developer"}` of `developers/job=Developer/part-00000.csv`; Hive's escapes are undone."""
    pairs = (piece.partition("=") for piece in path.parts[:-1])
    return {unquote(name): _value(value) for name, equals, value in pairs if equals}


def _value(text: str) -> str:
    return "" if text == "__HIVE_DEFAULT_PARTITION__" else unquote(text)


def run_script(script: Path, day: date, result: Path) -> None:
    """Run the owner's check; what it prints goes to `check.log` beside the result, for it may be data.

    Raises:
        ConfigError: there is no such script.
        IntegrityError: it says that the result is wrong, or does not end.
    """
    if not script.is_file():
        raise ConfigError(
            f"there is no check script {script}",
            next_step="correct its path in the DAG",
            who="the author of the DAG",
        )
    log = result.with_name("check.log")
    with _private(log) as sink:
        try:
            code: int | None = subprocess.run(
                [sys.executable, str(script), "--day", day.isoformat(), "--result", str(result)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=SCRIPT_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    if code != 0:
        how = (
            f"ended with exit code {code}" if code is not None else f"did not end within {SCRIPT_SECONDS:.0f} s"
        )
        raise IntegrityError(
            f"the check {script.name} {how}: the result is not what is expected",
            next_step=f"do not use the result; read {log}",
        )


@contextmanager
def _private(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
