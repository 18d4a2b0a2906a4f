"""Sealing and opening one file against a plain copy of it, and the owner's memory over ever larger data."""

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from ppml_ops.crypto.parallel import THREADS, open_file, seal_file
from ppml_ops.keys.service import new_data_key
from tests.benchmarks.measure import median_range, pair_ratios, rotated, seconds_of
from tests.benchmarks.owner_memory import memory_table
from tests.benchmarks.report import Options, Report, Row, Table

MIB = 512
ROUNDS = 7
ROWS = 10_000_000
_BUFFER = 1 << 20
_SHARED_MEMORY = Path("/dev/shm")
_DATASET = b"bench-sealing"
_COPY, _SYNCED_COPY, _SEAL, _OPEN = (
    "plain copy",
    "plain copy, synced to disk",
    "seal_file (syncs to disk)",
    "open_file",
)

Times = dict[str, list[float]]


def run(options: Options) -> Report:
    """Measure; raises OSError when a place is too small."""
    mib, rounds, rows = options.mib or MIB, options.rounds or ROUNDS, options.rows or ROWS
    tables = []
    for title, parent in _places(mib):
        with tempfile.TemporaryDirectory(prefix="ppml-bench-", dir=parent) as folder:
            tables.append(_table(f"{mib} MiB, {title}", mib, _measure(Path(folder), mib, rounds)))
    return Report(
        name="sealing",
        title="Sealing against a plain copy",
        measured=(
            f"`seal_file` and `open_file` with {THREADS} threads over one file of {mib} MiB, against a copy "
            "loop with a reused buffer of 1 MiB, all in one process and into new files; the source is in the "
            f"page cache; {rounds} rounds after a warm-up, the order rotated. Memory: each step of the owner "
            f"in a fresh process over {max(rows // 10, 1):,} and {rows:,} generated people."
        ),
        reading=(
            "Times are medians. x is the ratio to the plain copy of the same round: median "
            "(smallest-largest); sealing ends with fsync, so compare it with the synced copy where the place "
            "is a disk. Peak memory is VmHWM; growth is what a step adds to an interpreter that has "
            "everything imported. Memory is constant when growth does not follow the number of rows."
        ),
        tables=(*tables, memory_table((max(rows // 10, 1), rows))),
    )


def _places(mib: int) -> list[tuple[str, Path | None]]:
    """Titles and folders: the temporary folder, and memory where there is room for the three files."""
    places: list[tuple[str, Path | None]] = [("temporary folder", None)]
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > 4 * mib << 20:
        places.append(("shared memory (tmpfs: no disk at all)", _SHARED_MEMORY))
    return places


def _measure(folder: Path, mib: int, rounds: int) -> Times:
    plain, sealed, copy, opened = (folder / name for name in ("plain", "sealed", "copy", "opened"))
    key = new_data_key()
    with plain.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    seal_file(plain, folder / "source", key, _DATASET)
    work: dict[str, tuple[Path, Callable[[], object]]] = {
        _COPY: (copy, lambda: plain_copy(plain, copy)),
        _SYNCED_COPY: (copy, lambda: plain_copy(plain, copy, sync=True)),
        _SEAL: (sealed, lambda: seal_file(plain, sealed, key, _DATASET)),
        _OPEN: (opened, lambda: open_file(folder / "source", opened, key, _DATASET)),
    }
    times: Times = {name: [] for name in work}
    for number in range(rounds + 1):
        for name in rotated(list(work), number):
            target, call = work[name]
            seconds = seconds_of(call)
            target.unlink()
            if number:  # round 0 warms up
                times[name].append(seconds)
    return times


def plain_copy(source: Path, target: Path, *, sync: bool = False) -> None:
    """Copy with one buffer of 1 MiB and no shortcut through the kernel (copy_file_range, reflinks)."""
    buffer = bytearray(_BUFFER)
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        while count := reader.readinto(buffer):
            writer.write(memoryview(buffer)[:count])
        if sync:
            os.fsync(writer.fileno())


def _table(title: str, mib: int, times: Times) -> Table:
    def row(name: str) -> Row:
        median = statistics.median(times[name])
        return (
            name,
            f"{median:.3f}",
            f"{mib * 1.048576 / median:,.0f}",
            median_range(pair_ratios(times[name], times[_COPY])),
            median_range(pair_ratios(times[name], times[_SYNCED_COPY])),
        )

    columns = ("step", "seconds", "MB/s", "x of plain copy", "x of synced copy")
    return Table(title, columns, tuple(row(name) for name in times))
