"""`ppml-ops backfill` with real Spark: a night without input, kills, signals, and a scheduler of its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.lifecycle.run import find_run
from tests.e2e.conftest import PROJECT, Cli
from tests.support.people import answer, read_rows, write_people

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.java,
    pytest.mark.airflow,
    pytest.mark.long,
    pytest.mark.timeout(600),
]

ROWS = ("-c", "rows=50")
_SERVICES = (b"ppml_sim", b"broker")


def span(first: date, nights: int) -> tuple[str, ...]:
    return ("backfill", "simple_query", "--from", str(first), "--to", str(first + timedelta(days=nights - 1)))


def left_over(home: Path) -> list[str]:
    """Command lines of living processes of this state folder, without its two services and this test."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment, line = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        # What runs in a TEE gets a clean environment, but paths below the state folder.
        ours = os.fsencode(f"PPML_OPS_HOME={home}") in environment.split(b"\0") or os.fsencode(home) in line
        if ours and line and not any(service in line for service in _SERVICES):
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def wait_for(what: Callable[[], Any], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def begin(environment: dict[str, str], log: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    with log.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "ppml_ops.cli", *arguments],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )


def on_spark(home: Path, day: date) -> bool:
    """A Spark job of the day's run is under way."""
    folders = (home / "runs").glob(f"simple-query-{day:%Y%m%d}-*/g*")
    return any((folder / "application.json").exists() for folder in folders)


def results(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_night_without_input_is_named_and_made_up_for(home: Path, command: Cli, tmp_path: Path) -> None:
    first = date(2023, 1, 1)
    second = first + timedelta(days=1)
    source = "-c", f"input_url={tmp_path}/{{date}}/people.csv"
    file = write_people(tmp_path / str(first) / "people.csv", [("Ada", 36, "Developer"), ("Bob", 50, "Cook")])

    done = command(*span(first, 2), *source, "--json")
    assert done.returncode == 1, done.stderr[-3000:]
    good, missing = results(done)["days"]
    assert (good["day"], good["state"], good["proven"]) == (str(first), "success", True)
    assert (missing["state"], missing["good"]) == ("failed", False)
    why = f"encrypt_upload@sim-people: there is no input at {tmp_path}/{second}/people.csv"
    assert missing["reason"] == why

    write_people(tmp_path / str(second) / "people.csv", [("Eve", 30, "Developer")])
    done = command(*span(first, 2), *source, "--reprocess", "failed")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "already exists" in done.stdout
    run = find_run(home, "simple_query", good["run_id"])
    assert run is not None
    assert read_rows((run.plaintext / "result").rglob("*.csv")) == answer(read_rows([file]))


def test_killed_in_spark_it_goes_on_and_adopts_the_job(
    home: Path, command: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    first = date(2023, 2, 1)
    with begin(environment, tmp_path / "log", *span(first, 2), *ROWS) as process:
        wait_for(lambda: on_spark(home, first))
        process.send_signal(signal.SIGKILL)
    refused = command(*span(first, 1), *ROWS)
    assert refused.returncode == 78
    assert "is not finished" in refused.stderr
    assert f"--from {first} --to {first + timedelta(days=1)}" in refused.stderr

    done = command(*span(first, 2), *ROWS, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    days = results(done)["days"]
    assert [day["proven"] for day in days] == [True, True]
    run = find_run(home, "simple_query", days[0]["run_id"])
    assert run is not None
    assert run.records.facts("submit")["adopted"] is True
    assert left_over(home) == []


def test_a_signal_ends_all_that_was_started(
    home: Path, command: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    first = date(2023, 3, 1)
    with begin(environment, tmp_path / "log", *span(first, 1), *ROWS) as process:
        wait_for(lambda: on_spark(home, first))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert "go on with the same command" in (tmp_path / "log").read_text()
    assert left_over(home) == []
    done = command(*span(first, 1), *ROWS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_runs_in_parallel_get_a_scheduler_that_ends_with_them(
    home: Path, command: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    first = date(2023, 4, 1)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)):
        with begin(environment, tmp_path / "log", *span(first, 3), *ROWS, "--parallel", "2") as process:
            wait_for(lambda: any("ppml_ops.spark.entry" in line for line in left_over(home)))
            process.send_signal(number)
            assert process.wait(90) == code, (tmp_path / "log").read_text()
        wait_for(lambda: left_over(home) == [], 60)
        assert paused_and_scheduled(home) == (True, 0)

    done = command(*span(first, 3), *ROWS, "--parallel", "2", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [day["state"] for day in results(done)["days"]] == ["success"] * 3
    assert left_over(home) == []
    assert paused_and_scheduled(home) == (True, 0)


def paused_and_scheduled(home: Path) -> tuple[bool, int]:
    """Whether the DAG is paused, and how many scheduled runs there are."""
    with closing(sqlite3.connect(home / "airflow" / "airflow.db")) as database:
        (paused,) = database.execute("select is_paused from dag where dag_id = 'simple_query'").fetchone()
        (runs,) = database.execute("select count(*) from dag_run where run_type = 'scheduled'").fetchone()
    return bool(paused), int(runs)
