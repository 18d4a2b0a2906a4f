import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.spark.placement import Base, Binding
from ppml_ops.spark.sealedlog import PIECE_BYTES, SealedLog, log_path, log_pieces

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


def opened(tmp_path: Path, name: str = "g1.log") -> bytes:
    with (tmp_path / "_logs" / name).open("rb") as file:
        return SealedReader(file, KEY, b"result").readall()


def pieces(tmp_path: Path) -> list[str]:
    (names,) = log_pieces([path.name for path in (tmp_path / "_logs").iterdir()], "g1")
    return names


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


def bound(uri: str) -> Binding:
    return Binding(dataset="result", bases=(Base(node="n", uri=uri),))


def test_log_is_hidden_from_spark_and_on_this_host(tmp_path: Path) -> None:
    assert log_path(bound(tmp_path.as_uri()), "r-g1") == tmp_path / "_logs/r-g1.log"
    with pytest.raises(ConfigError, match="needs a file:// folder"):
        log_path(bound("memory://x/y"), "r-g1")


def test_pieces_are_ended_by_time_when_there_is_something_in_them(tmp_path: Path) -> None:
    """What a killed process leaves: whole pieces of all that is older than the interval."""
    with SealedLog(tmp_path / "_logs/g1.log", KEY, "result", seconds=0.05) as log:
        for number in range(3):
            log.write(f"line {number}\n".encode())
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with suppress(IntegrityError, IndexError):
                    if opened(tmp_path, pieces(tmp_path)[number]) == f"line {number}\n".encode():
                        break
                time.sleep(0.02)
        time.sleep(0.2)
        assert pieces(tmp_path) == ["g1.log", "g1.1.log", "g1.2.log"]
    assert [opened(tmp_path, name) for name in pieces(tmp_path)] == [b"line 0\n", b"line 1\n", b"line 2\n"]


def test_pieces_are_ended_by_size(tmp_path: Path) -> None:
    text = bytes(range(256)) * 1024
    with SealedLog(tmp_path / "_logs/g1.log", KEY, "result") as log:
        for _ in range(PIECE_BYTES // len(text) + 1):
            log.write(text)
        assert len(opened(tmp_path)) == PIECE_BYTES
    assert b"".join(opened(tmp_path, name) for name in pieces(tmp_path)) == text * 5


def test_pieces_are_read_in_the_order_of_their_numbers() -> None:
    names = ["r-g1.10.log", "r-g1.2.log", "r-g1.log", "r-g10.log", "r-g1.x.log", "r-g1.02.log", "xr-g1.log"]
    assert log_pieces(names, "r-g1") == [["r-g1.log", "r-g1.2.log", "r-g1.10.log"]]


def test_each_executor_has_a_log_of_its_own(tmp_path: Path) -> None:
    assert log_path(bound(tmp_path.as_uri()), "r-g1", "7") == tmp_path / "_logs/r-g1-e7.log"
    names = ["r-g1-e10.log", "r-g1-e2.1.log", "r-g1-e2.log", "r-g1.log", "r-g1-x.log", "r-g1-e.log"]
    assert log_pieces(names, "r-g1") == [["r-g1.log"], ["r-g1-e2.log", "r-g1-e2.1.log"], ["r-g1-e10.log"]]
