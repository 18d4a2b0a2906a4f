"""What a headless run costs beyond its Spark time, from the stage records of real runs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.errors import WorkloadError
from ppml_ops.spark.jvm.build import build_jar
from tests.benchmarks.report import Options, Report, Row, Table

ROWS = 100_000
ROUNDS = 5
_PROJECT = Path(__file__).parents[2]


class RunTimes(NamedTuple):
    """Seconds of one run.

    Attributes:
        total: of the whole command; the sum of all that follows but `first_task` and `per_task`.
        start: from the begin of the command to that of the first stage's work.
        first_task: what the first task took beside its stage's work; most of it lies in `start`.
        spark: as `submit` recorded it.
        stages: each stage's own work in order, without Spark.
        between: from the end of one stage's work to the begin of the next one's, all of them.
        per_task: `between` shared out among all tasks but the first.
        receipt: the last task, which keeps no record of itself.
        end: the rest: summary and exit.
    """

    total: float
    start: float
    first_task: float
    spark: float
    stages: dict[str, float]
    between: float
    per_task: float
    receipt: float
    end: float


def run(options: Options) -> Report:
    """Measure; raises WorkloadError when a run fails."""
    rows, rounds = options.rows or ROWS, options.rounds or ROUNDS
    build_jar()
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder:
        home = Path(folder) / "state"
        try:
            ensure_services(home)
            first = one_run(home, rows, seed=1)
            runs = [one_run(home, rows, seed=2 + number) for number in range(rounds)]
            starts = [_start_steps(home) for _ in range(rounds)]
        finally:
            stop_services(home)
    return Report(
        name="airflow_overhead",
        title="What a run costs beyond its Spark time",
        measured=(
            f"`ppml-ops run simple_query --rows {rows}`, the whole command, {rounds} times with other people "
            "each time, in one state folder with running services; before them the first run of that folder, "
            "which creates Airflow's database. Spark's time is what `submit` recorded: from the start of the "
            "TEE's entry point to its end, with two attested releases and the start of the JVM in it."
        ),
        reading=(
            "Seconds; every figure is a median by itself, so they need not add up. Until the first stage: the "
            "steps of the second table, measured by themselves in fresh processes, and the set-up of the first "
            "task, in which Airflow builds the API that its tasks talk to, once a process. Between stages is "
            "Airflow's share of every further task: state in the database, templates, log files."
        ),
        tables=(_split_table(runs, first), _start_table(starts), _stage_table(runs)),
    )


def one_run(home: Path, rows: int, *, seed: int) -> RunTimes:
    """Run the command and read its times.

    Raises:
        WorkloadError: it did not exit with 0.
    """
    environment = _environment(home)
    command = ["-m", "ppml_ops.cli", "run", "simple_query", "--rows", str(rows), "-c", f"seed={seed}", "--json"]
    begun = time.time()
    result = subprocess.run(
        [sys.executable, *command], cwd=_PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    ended = time.time()
    if result.returncode:
        raise WorkloadError(
            f"the measured run failed (exit code {result.returncode}): {_why(result.stdout, result.stderr)}",
            next_step="run the same command by hand and read its summary",
        )
    return times_of(json.loads(result.stdout), begun, ended)


def _why(output: str, errors: str) -> str:
    """What the run's JSON summary says of its failure; the end of stderr when there is no summary."""
    try:
        document = json.loads(output)
    except ValueError:
        return errors.strip()[-500:]
    failures = [record["failure"]["what"] for record in document["stages"] if record["failure"]]
    return "; ".join([*failures, *document["problems"]])


def times_of(document: dict[str, Any], begun: float, ended: float) -> RunTimes:
    """Split a run's JSON summary; `begun` and `ended` are Unix seconds around the whole command."""
    records = document["stages"]
    spark = next(float(record["facts"]["seconds"]) for record in records if record["stage"] == "submit")
    stages: dict[str, float] = {}
    for record in sorted(records, key=lambda record: float(record["started"])):
        taken = float(record["finished"]) - float(record["started"])
        stages[record["stage"]] = stages.get(record["stage"], 0.0) + taken
    first = min(float(record["started"]) for record in records)
    last = max(float(record["finished"]) for record in records)
    between = last - first - sum(stages.values())
    first_task = float(document["tasks"][0]["seconds"]) - next(iter(stages.values()))
    receipt = float(document["tasks"][-1]["seconds"])
    stages["submit"] -= spark
    return RunTimes(
        total=ended - begun,
        start=first - begun,
        first_task=first_task,
        spark=spark,
        stages=stages,
        between=between,
        per_task=between / max(len(records) - 1, 1),
        receipt=receipt,
        end=ended - last - receipt,
    )


def _environment(home: Path) -> dict[str, str]:
    """As a user has it: compiled Python is kept, and no setting but the state folder."""
    others = ("AIRFLOW", "PPML_OPS_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {"PPML_OPS_HOME": str(home)}


def _start_steps(home: Path) -> dict[str, float]:
    output = home / "start.json"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.airflow_start",
            str(home),
            str(_PROJECT / "dags"),
            str(output),
        ],
        cwd=_PROJECT,
        env=_environment(home),
        capture_output=True,
        check=True,
    )
    steps: dict[str, float] = json.loads(output.read_text(encoding="ascii"))
    return steps


def _median(values: Iterable[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _split_table(runs: Sequence[RunTimes], first: RunTimes) -> Table:
    def row(name: str, values: Sequence[float]) -> Row:
        return (
            name,
            _median(values[:-1]),
            f"{min(values[:-1]):.2f}",
            f"{max(values[:-1]):.2f}",
            f"{values[-1]:.2f}",
        )

    every = [*runs, first]
    rows = (
        row("whole command", [one.total for one in every]),
        row("Spark", [one.spark for one in every]),
        row("beyond Spark", [one.total - one.spark for one in every]),
        row("of it: until the first stage begins", [one.start for one in every]),
        row("in that: set-up of the first task", [one.first_task for one in every]),
        row("of it: the stages' own work", [sum(one.stages.values()) for one in every]),
        row("of it: between stages", [one.between for one in every]),
        row("in that: for each task", [one.per_task for one in every]),
        row("of it: the task `receipt`", [one.receipt for one in every]),
        row("of it: summary and exit", [one.end for one in every]),
    )
    return Table(
        f"{len(runs)} warm runs, and the first one", ("part", "median", "smallest", "largest", "first"), rows
    )


def _start_table(starts: Sequence[dict[str, float]]) -> Table:
    rows = tuple((name, _median(one[name] for one in starts)) for name in starts[0])
    return Table("Before the first stage", ("step", "seconds"), rows)


def _stage_table(runs: Sequence[RunTimes]) -> Table:
    def title(name: str) -> str:
        return f"{name} (without Spark)" if name == "submit" else name

    rows = tuple((title(name), _median(one.stages[name] for one in runs)) for name in runs[0].stages)
    return Table("The stages' own work", ("stage", "seconds"), rows)
