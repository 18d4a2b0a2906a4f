"""`ppml-ops ui` is killed: no scheduler goes on without it, and it can be started again at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT
from tests.support.processes import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.airflow, pytest.mark.long]


def parts(home: Path) -> list[str]:
    """Command lines of the Airflow that belongs to `home`."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and os.fsencode(f"AIRFLOW_HOME={home}") in (
                process / "environ"
            ).read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in found if "airflow" in line and "ppml_ops.cli" not in line]


def test_airflow_ends_with_the_command_that_started_it(home: Path, environment: dict[str, str]) -> None:
    log = home / "ui-killed.txt"
    for _ in range(2):
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "ppml_ops.cli", "ui", "--port", "0"],
                cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
            )  # fmt: skip
        wait_for(lambda: b"log in" in log.read_bytes(), "Airflow's start", 200)
        assert any("scheduler" in line for line in parts(home / "airflow"))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: parts(home / "airflow") == [], "the end of all parts", 90)
