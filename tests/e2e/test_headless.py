"""`ppml-ops run` as a person uses it: killed in the middle, continued, and refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run, find_run
from ppml_ops.receipts.receipt import read_receipt, receipt_files
from ppml_ops.spark.running import APPLICATION
from tests.e2e.conftest import PROJECT, Cli
from tests.support.people import answer, read_rows, write_people

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow]

RUN = "killed"


def _entries(home: Path) -> set[int]:
    """Pids of the TEE entry points of this state folder."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if b"ppml_ops.spark.entry" in line and os.fsencode(home) in line:
                found.add(int(process.name))
    return found


def _runs_on_spark(run: Run) -> bool:
    return (run.folder / "g1" / APPLICATION).exists()


def test_a_run_that_was_killed_goes_on_with_the_job_that_still_runs(
    home: Path, command: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.csv", [(f"n{n}", 18 + n % 40, "Developer") for n in range(500)])
    arguments = ("run", "simple_query", "--run-id", RUN, "--date", "2024-05-01", "-c", f"input_url={file}")
    with subprocess.Popen(
        [sys.executable, "-m", "ppml_ops.cli", *arguments],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while (run := find_run(home, "simple_query", RUN)) is None or not _runs_on_spark(run):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert len(_entries(home)) == 1, "the job leads a session of its own"
    assert "submit" not in run.records.all()

    done = command(*arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [generation.number for generation in generations(run)] == [1]
    facts = run.records.facts("submit")
    assert facts["adopted"] is True
    assert run.dataset("sim-simple-query").versions() == [1]
    assert read_rows((run.plaintext / "result").rglob("*.csv")) == answer(read_rows([file]))
    assert read_receipt(receipt_files(run.folder)[-1]).proven
    assert _entries(home) == set()
    for part in ("SIMULATED", "verdict  ALLOW", "first rows of the result", "success"):
        assert part in done.stdout


def test_input_that_is_not_there_ends_the_run_with_one_message(
    home: Path, command: Cli, tmp_path: Path
) -> None:
    done = command("run", "simple_query", "-c", f"input_url={tmp_path}/nobody.csv", "--run-id", "no-input")
    assert done.returncode == 1
    assert f"encrypt_upload@sim-people: there is no input at {tmp_path}/nobody.csv" in done.stdout
    assert "for the data owner: check the path or URL of the input" in done.stdout
    assert "--run-id 'no-input'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    run = find_run(home, "simple_query", "no-input")
    assert run is not None
    assert run.dataset("sim-people").versions() == []
