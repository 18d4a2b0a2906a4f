"""Nights by backfill: what a night costs beyond its Spark job."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.errors import WorkloadError
from tests.benchmarks.measure import seconds_of
from tests.benchmarks.report import Options, Report, Row, Table

NIGHTS = 30
ROWS = 1000
_FIRST = date(2023, 1, 1)
_PROJECT = Path(__file__).parents[2]


def run(options: Options) -> Report:
    """Measure; raises PpmlError when a service does not start or a night is not proven."""
    nights, rows = options.rounds or NIGHTS, options.rows or ROWS
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder:
        home = Path(folder)
        home.chmod(0o700)
        try:
            ensure_services(home)
            table = tuple(_row(home, nights, rows, number, parallel) for number, parallel in enumerate((1, 2)))
        finally:
            stop_services(home)
    columns = ("runs at a time", "nights", "seconds", "of it Spark jobs", "ratio", "a night beside Spark")
    return Report(
        name="backfill",
        title="Nights by backfill",
        measured=(
            f"`ppml-ops backfill simple_query` over {nights} nights of {rows:,} rows, in a state folder whose "
            "Airflow database and services exist, from the command's start to its end. *Of it Spark jobs* is "
            "the sum over the nights of what `submit` waited for the job: its start, attestation, Spark. "
            "With one run at a time no scheduler runs; with two, one is started for the backfill."
        ),
        reading=(
            "The ratio is seconds against the sum of Spark jobs. With two runs at a time on two cores the jobs "
            "slow each other down, so their sum grows."
        ),
        tables=(Table("simulated TEE, profile local", columns, table),),
    )


def _row(home: Path, nights: int, rows: int, number: int, parallel: int) -> Row:
    first = _FIRST + timedelta(days=1000 * number)
    last = first + timedelta(days=nights - 1)
    command = [
        sys.executable, "-m", "ppml_ops.cli", "backfill", "simple_query", "--from", str(first),
        "--to", str(last), "-c", f"rows={rows}", "--parallel", str(parallel), "--json",
    ]  # fmt: skip
    environment = os.environ | {"PPML_OPS_HOME": str(home)}

    def backfill() -> None:
        done = subprocess.run(
            command, cwd=_PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise WorkloadError(
                f"the backfill ended with {done.returncode}: {done.stderr.decode()[-500:]}",
                next_step="run it by hand",
            )

    seconds = seconds_of(backfill)
    spark = sum(_job_seconds(home, first + timedelta(days=night)) for night in range(nights))
    beside = (seconds - spark / parallel) / nights
    numbers = f"{seconds:.0f}", f"{spark:.0f}", f"{seconds / spark:.2f}", f"{beside:.1f} s"
    return str(parallel), str(nights), *numbers


def _job_seconds(home: Path, day: date) -> float:
    (record,) = (home / "runs").glob(f"simple-query-{day:%Y%m%d}-*/records/submit.json")
    return float(json.loads(record.read_bytes())["facts"]["seconds"])
