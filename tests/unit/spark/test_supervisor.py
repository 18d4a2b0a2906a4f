import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.errors import ConfigError
from ppml_ops.spark.placement import Base
from ppml_ops.spark.sealedlog import SealedLog, log_path

KEY = bytes(range(32))


def supervise(tmp_path: Path, program: str, *, clear: bool = False, end: bool = False) -> dict[str, Any]:
    options = {"program": program, "log": str(tmp_path / "_logs/g1.log"), "clear": clear, "end": end}
    harness = Path(__file__).with_name("supervise.py")
    done = subprocess.run(
        [sys.executable, str(harness), json.dumps(options)],
        capture_output=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def opened(tmp_path: Path) -> bytes:
    with (tmp_path / "_logs/g1.log").open("rb") as file:
        return SealedReader(file, KEY, b"result").readall()


def test_both_streams_are_sealed_and_only_life_cycle_lines_are_said(tmp_path: Path) -> None:
    program = (
        "import sys; print('Alice 1', flush=True);"
        "print('26/11/20 10:00:00 INFO SparkContext: Running Spark version 4.3.0', file=sys.stderr);"
        "print('no line end', end=''); sys.exit(9)"
    )
    result = supervise(tmp_path, program)
    assert (result["code"], result["said"]) == (9, ["Spark 4.3.0 is starting"])
    text = opened(tmp_path)
    for line in (b"Alice 1\n", b"no line end", b"Running Spark"):
        assert line in text
    assert b"Alice" not in (tmp_path / "_logs/g1.log").read_bytes()


def test_clear_logs_are_said_as_they_come(tmp_path: Path) -> None:
    assert supervise(tmp_path, "print('Alice\\x1b[0m')", clear=True)["said"] == ["Alice [0m"]


def test_children_that_stay_behind_are_ended(tmp_path: Path) -> None:
    program = "import subprocess; subprocess.Popen(['sleep', '60']); print('done')"
    result = supervise(tmp_path, program)
    assert (result["code"], result["left"]) == (0, 0)
    assert result["seconds"] < 20


def test_ending_on_request_kills_what_ignores_it(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    result = supervise(tmp_path, program, end=True)
    assert result["code"] == -9
    assert result["seconds"] < 20
    assert b"up" in opened(tmp_path)


def test_a_generation_has_one_log(tmp_path: Path) -> None:
    SealedLog(tmp_path / "_logs/g1.log", KEY, "result").close()
    with pytest.raises(ConfigError, match="has run before"):
        SealedLog(tmp_path / "_logs/g1.log", KEY, "result")


def test_log_is_hidden_from_spark_and_on_this_host(tmp_path: Path) -> None:
    assert log_path(Base(node="n", uri=tmp_path.as_uri()), "r-g1") == tmp_path / "_logs/r-g1.log"
    with pytest.raises(ConfigError, match="only file"):
        log_path(Base(node="n", uri="memory://x/y"), "r-g1")
