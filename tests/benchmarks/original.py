"""Data sets of BigDL PPML: writing, verifying, opening and migrating them, time and peak memory.

python -m tests.benchmarks.original STEP FOLDER     runs one step on what lies in the folder, prints a Peak
"""

import json
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ppml_ops.datasets.bigdl.writing import write_folder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.original import look, open_original, streams, verify_original
from ppml_ops.datasets.pme.writing import write_pme
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.errors import DataError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from ppml_ops.keys.service import key_service_for
from tests.benchmarks.measure import peak_memory, seconds_of
from tests.benchmarks.owner_memory import KEY, Peak, head, store_of
from tests.benchmarks.report import Options, Report, Row, Table

ROWS = 10_000_000
_PARTS = 4
_MIB = 1 << 20
_DISTINCT = 9_973


def run(options: Options) -> Report:
    """Measure; raises DataError when a step fails."""
    rows = options.rows or ROWS
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as name:
        folder = Path(name)
        size = _people(folder / "in", rows)
        ref = KeyRef.parse(_key(folder))
        key_service_for(ref, home=folder).create(ref)
        lines = tuple(_row(step, title, folder) for step, title in _TITLES.items())
    return Report(
        name="original",
        title="Data sets of BigDL PPML",
        measured=(
            f"{rows:,} people (name, age, job) in {_PARTS} CSV files, {size / 1e6:.0f} MB, as the original's "
            "generator makes them, with a SimpleKMS key. Each step in a fresh process, once, on what the one "
            "before left; files are in the page cache."
        ),
        reading=(
            "Seconds are those of the step without the start of Python. Peak memory is VmHWM of the whole "
            "process. On two cores the original needs 12 s and 1,044 MiB to open as many rows of CSV (190 MB), "
            "measured on another machine."
        ),
        tables=(Table("Time and memory", ("step", "seconds", "MB/s of CSV", "peak MiB"), _cells(lines, size)),),
    )


def _cells(rows: tuple[tuple[str, Peak], ...], size: int) -> tuple[Row, ...]:
    """Cells of the table; `size` in bytes of CSV."""
    return tuple(
        (title, f"{peak.seconds:.2f}", f"{size / 1e6 / peak.seconds:,.0f}", f"{peak.after / _MIB:.0f}")
        for title, peak in rows
    )


def _people(folder: Path, rows: int) -> int:
    """Write the input; returns its bytes."""
    folder.mkdir()
    choose = random.Random(1)
    jobs = ("Developer", "Engineer", "Researcher")
    some = [
        f"{''.join(choose.choices(string.ascii_lowercase, k=choose.randint(3, 7)))},{choose.randint(18, 60)},"
        f"{choose.choice(jobs)}\n"
        for _ in range(_DISTINCT)
    ]
    block, size = "".join(some), 0
    for part in range(_PARTS):
        count = rows // _PARTS + (part < rows % _PARTS)
        with (folder / f"{part}.csv").open("w", encoding="ascii") as file:
            file.write("name,age,job\n")
            for _ in range(count // _DISTINCT):
                file.write(block)
            file.writelines(some[: count % _DISTINCT])
            size += file.tell()
    return size


def _key(folder: Path) -> str:
    return f"simple:{folder}/primaryKey"


def _keys(folder: Path) -> OriginalKeys:
    return original_keys_for(_key(folder), home=folder)


def _write(folder: Path) -> None:
    write_folder(find_sources(str(folder / "in")), _keys(folder), folder / "cbc")


def _verify(folder: Path) -> None:
    verify_original(look(Folder(folder / "cbc")), _keys(folder))


def _open(folder: Path) -> None:
    open_original(look(Folder(folder / "cbc")), _keys(folder), folder / "opened", lambda _done: None)


def _migrate(folder: Path) -> None:
    made = streams(look(Folder(folder / "cbc")), _keys(folder))
    seal_sources(made, store_of(folder), head(), 1, KEY, table="people")


def _migrate_to_parquet(folder: Path) -> None:
    made = streams(look(Folder(folder / "cbc")), _keys(folder), "parquet")
    seal_sources(made, store_of(folder), head(), 2, KEY, table="people")


def _write_pme(folder: Path) -> None:
    write_pme(find_sources(str(folder / "in")), _keys(folder), folder / "pme")


def _open_pme(folder: Path) -> None:
    open_original(look(Folder(folder / "pme")), _keys(folder), folder / "opened-pme", lambda _done: None)


#: In this order: each works on what those before it left in the folder.
STEPS: dict[str, Callable[[Path], None]] = {
    "write": _write,
    "verify": _verify,
    "open": _open,
    "migrate": _migrate,
    "migrate-parquet": _migrate_to_parquet,
    "write-pme": _write_pme,
    "open-pme": _open_pme,
}
_TITLES = {
    "write": "write CSV (.cbc)",
    "verify": "verify it",
    "open": "open it",
    "migrate": "migrate it to a sealed data set",
    "migrate-parquet": "migrate it to sealed Parquet",
    "write-pme": "write it as Parquet, AES_GCM_V1",
    "open-pme": "open that",
}


def _row(step: str, title: str, folder: Path) -> tuple[str, Peak]:
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.original", step, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise DataError(f"the step {step!r} failed: {result.stderr.strip()[-500:]}", next_step="see the reason")
    return title, Peak(*json.loads(result.stdout))


def main(step: str, folder: Path) -> None:
    """Run one step and print its peak."""
    before = peak_memory()
    seconds = seconds_of(lambda: STEPS[step](folder))
    sys.stdout.write(json.dumps(Peak(before, peak_memory(), seconds)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
