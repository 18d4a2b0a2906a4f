"""Nights by backfill while parts of the machinery are killed at random; in the morning every one is proven.

    PPML_OPS_NIGHTS=100 PPML_OPS_SEED=7 python -m pytest tests/e2e/crash/test_nights.py

The seed decides who dies and when; a failure says it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from ppml_ops.cli.services import ensure_services
from ppml_ops.lifecycle.backends import backend_of
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run, load_run
from ppml_ops.receipts.receipt import receipt_files
from tests.e2e.conftest import PROJECT, Cli
from tests.support.processes import BROKER, DRIVER, PLATFORM, SUPERVISOR, kill, running

NIGHTS = int(os.environ.get("PPML_OPS_NIGHTS", "3"))
SEED = int(os.environ.get("PPML_OPS_SEED", "1"))
FIRST = date(2019, 1, 1)  # no other test has runs of that year
ROWS = 60

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.java,
    pytest.mark.airflow,
    pytest.mark.long,
    pytest.mark.timeout(600 + 120 * NIGHTS),
]


def start(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    last = FIRST + timedelta(days=NIGHTS - 1)
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "ppml_ops.cli", "backfill", "simple_query",
             "--from", str(FIRST), "--to", str(last), "-c", f"rows={ROWS}", "--reprocess", "failed"],
            cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
            start_new_session=True,
        )  # fmt: skip


def runs(home: Path) -> list[Run]:
    folders = sorted((home / "runs").glob("simple-query-2019*"))
    return [load_run(home, folder.name) for folder in folders if (folder / "run.json").exists()]


def test_every_night_is_proven_whoever_dies(
    home: Path, environment: dict[str, str], command: Cli, tmp_path: Path
) -> None:
    dice = random.Random(SEED)
    log = tmp_path / "backfill.log"
    killed: Counter[str] = Counter()
    starts, most_drivers = 0, 0
    deadline = time.monotonic() + 600 + 100 * NIGHTS
    while True:
        process = start(environment, log)
        starts += 1
        while process.poll() is None:
            pause = time.monotonic() + dice.uniform(2, 40)
            while process.poll() is None and time.monotonic() < pause:
                most_drivers = max(most_drivers, len(running(home, DRIVER)))
                time.sleep(0.2)
            victim = dice.choice(["backfill", "driver", "supervisor", "broker", "platform", "everything"])
            killed[victim] += process.poll() is None
            if victim in ("backfill", "everything"):
                process.send_signal(signal.SIGKILL)
            kinds = {"driver": [DRIVER], "supervisor": [SUPERVISOR], "broker": [BROKER], "platform": [PLATFORM]}
            everything = [kind for group in kinds.values() for kind in group]
            kill(home, *(everything if victim == "everything" else kinds.get(victim, [])))
        if process.wait() == 0:
            break
        assert time.monotonic() < deadline, f"seed {SEED}, killed {killed}: {log.read_text()[-3000:]}"

    about = f"seed {SEED}, {starts} starts, killed {dict(killed)}"
    assert most_drivers <= 1, about
    nights = runs(home)
    assert [run.day for run in nights] == [FIRST + timedelta(days=n) for n in range(NIGHTS)], about
    ensure_services(home)  # the last of the dice may have killed one
    anchors = tmp_path / "anchors.json"
    anchors.write_text(command("receipt", "anchors").stdout)
    elsewhere = {"PPML_OPS_HOME": str(tmp_path / "elsewhere")}
    for run in nights:
        files = [str(path) for path in receipt_files(run.folder)]
        verified = command("receipt", "verify", *files, "--trust", str(anchors), **elsewhere)
        assert verified.returncode == 0, f"{about}: {run.key}: {verified.stdout}{verified.stderr}"
        assert run.dataset("sim-people").versions() == [1], about
        results = run.dataset("sim-simple-query")
        newest = results.read()
        assert results.versions()[-1] == newest.version
        assert results.strangers(newest) == [] or len(results.versions()) > 1, about
        assert not any(backend_of(run).alive(generation) for generation in generations(run)), about
        assert [str(path) for path in run.plaintext.rglob("*") if "result" not in path.parts] == [], about
        assert not any(run.nodes.folder(node).files() for node in run.profile.nodes), about
    assert running(home, DRIVER) + running(home, SUPERVISOR) == [], about
    print(about)
