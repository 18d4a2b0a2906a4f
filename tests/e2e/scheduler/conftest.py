"""`ppml-ops ui` once for all tests here: API server, scheduler, DAG processor and triggerer."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ppml_ops.lifecycle.run import Run, find_run
from tests.e2e.conftest import PROJECT
from tests.support.airflow_rest import Rest, password_of, wait_until

#: The shipped DAG under other names: schedules that a test can see, and nothing else changed.
_COPIES = {
    "catching_up": "schedule=CronDataIntervalTimetable(\"30 2 * * *\", \"UTC\"), catchup=True, "
    "start_date=datetime({start}, tzinfo=UTC), end_date=datetime({end}, tzinfo=UTC), max_active_runs=1",
    "only_latest": "schedule=CronDataIntervalTimetable(\"30 2 * * *\", \"UTC\"), catchup=False, "
    "start_date=datetime({start}, tzinfo=UTC), max_active_runs=1",
}  # fmt: skip
_OURS = 'schedule=CronDataIntervalTimetable("30 2 * * *", "UTC"),\n    catchup=False,\n    max_active_runs=4'


class Ui(NamedTuple):
    """The Airflow that runs: its REST API, its state folder, and the alerts that it sent."""

    rest: Rest
    home: Path
    alerts: list[Any]

    def run(self, dag: str, run_id: str) -> Run:
        """What a run recorded."""
        run = find_run(self.home, dag, run_id)
        assert run is not None
        return run


def _dags(folder: Path) -> Path:
    """The shipped DAG and its copies; few rows and one day's worth of history."""
    text = (PROJECT / "dags" / "simple_query.py").read_text().replace("        500, type=", "        50, type=")
    assert _OURS in text
    folder.mkdir()
    (folder / "simple_query.py").write_text(text)
    today = date.today()
    start, end = (f"{day.year}, {day.month}, {day.day}" for day in (today - timedelta(4), today - timedelta(2)))
    for name, schedule in _COPIES.items():
        copy = text.replace('"simple_query",', f'"{name}",').replace(
            _OURS, schedule.format(start=start, end=end)
        )
        copy = copy.replace(
            '"sim-people", "sim-simple-query"', f'"sim-{name[:8]}", "sim-{name[:8]}-result"'.replace("_", "-")
        )
        (folder / f"{name}.py").write_text("from datetime import UTC, datetime\n" + copy)
    return folder


@contextmanager
def _alerts() -> Iterator[tuple[str, list[Any]]]:
    """Somebody who hears the alerts of docs/examples: address, and what came."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="package")
def ui(home: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Started by our own command, with the example of docs/examples in its place; ended like Ctrl-C."""
    rules = home / "airflow" / "config" / "airflow_local_settings.py"
    rules.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    shutil.copy(PROJECT / "docs" / "examples" / rules.name, rules)
    try:
        with _alerts() as (url, heard):
            own = environment | {"PPML_ALERT_URL": url, "NO_PROXY": "127.0.0.1"}
            yield from _airflow(home, own, tmp_path_factory.mktemp("ui"), heard)
    finally:
        rules.unlink()


def _airflow(home: Path, environment: dict[str, str], base: Path, heard: list[Any]) -> Iterator[Ui]:
    log = base / "ui.log"
    env = environment | {
        "PPML_OPS_DAGS_FOLDER": str(_dags(base / "dags")),
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "ppml_ops.cli", "ui", "--port", "0"], cwd=PROJECT, env=env,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        wait_until(lambda: "Ctrl-C ends" in log.read_text() or process.poll() is not None, 200, "the UI is up")
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        assert found, log.read_text()
        rest = Rest(found[0], "admin", password_of(home / "airflow"))
        wait_until(lambda: all(rest.dag(name) for name in ("simple_query", *_COPIES)), 120, "DAGs are parsed")
        rest.call("POST", "/api/v2/pools", {"name": "spark", "slots": 2})
        yield Ui(rest, home, heard)
    finally:
        process.terminate()  # like Ctrl-C; a background shell lets its children ignore SIGINT
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spark_processes(home: Path) -> set[int]:
    """Everything of Spark jobs of this state folder that lives, seen from outside: entry points and JVMs."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            spark = (
                b"ppml_ops.spark.entry" in line
                or b"org.apache.spark" in line
                or b"ppml_ops.spark.supervisor" in line
            )
            if spark and os.fsencode(home) in line:
                found.add(int(entry.name))
    return found


@pytest.fixture
def no_spark_left(home: Path) -> Iterator[Callable[[], Any]]:
    """No test leaves a Spark job behind."""
    yield lambda: spark_processes(home)
    wait_until(lambda: not spark_processes(home), 60, "all Spark processes have ended")
