"""The DAG itself in a real Airflow on a real cluster: triggered with a deferred wait, and backfilled."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run, load_run
from tests.support.cluster_world import World
from tests.support.life_cycle import LifeCycle

ROWS, SEED = 300, 5
PROJECT = Path(__file__).parents[3]


def ppml_ops(world: World, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run the command line with `--json`; it must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "ppml_ops.cli", *arguments, "--json"],
        cwd=PROJECT,
        env=inherited | {"PPML_OPS_RETRY_DELAY": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def keys_of(world: World, day: str) -> list[str]:
    return [path.name for path in (world.home / "runs").glob(f"simple-query-{day.replace('-', '')}-*")]


def check_against_a_local_run(world: World, run: Run, rows: int, seed: int) -> None:
    """The owner got the very lines that a run with these parameters on this host gives."""
    here = LifeCycle(world.home, run.day, name="here", rows=rows, seed=seed)
    assert here.finish().proven
    there = sorted(line for path in (run.plaintext / "result").rglob("*.csv") for line in path.open())
    own = sorted(line for path in (here.run.plaintext / "result").rglob("*.csv") for line in path.open())
    assert there == own


@pytest.mark.parametrize("deferrable", ["True", pytest.param("False", marks=pytest.mark.long)])
def test_a_triggered_run(world: World, deferrable: str) -> None:
    day = "2024-03-01" if deferrable == "True" else "2024-03-02"
    summary = ppml_ops(
        world, "run", "simple_query", "--date", day, "-c", "profile=k-cluster",
        "-c", f"rows={ROWS}", "-c", f"seed={SEED}",
        AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE=deferrable,
    )  # fmt: skip
    assert summary["succeeded"] is True
    (key,) = keys_of(world, day)
    assert world.left(key) == []
    run = load_run(world.home, key)
    assert len(generations(run)) == 1, "the job whose end the trigger saw is the one whose result counts"
    check_against_a_local_run(world, run, ROWS, SEED)


@pytest.mark.long
def test_a_backfill_of_two_nights_at_a_time(world: World) -> None:
    summary = ppml_ops(
        world, "backfill", "simple_query", "--from", "2024-04-01", "--to", "2024-04-02", "--parallel", "2",
        "-c", "profile=k-cluster", "-c", f"rows={ROWS}",
    )  # fmt: skip
    assert summary
    for day in ("2024-04-01", "2024-04-02"):
        (key,) = keys_of(world, day)
        assert (world.home / "runs" / key / "receipt.json").exists()
        assert world.left(key) == []
