"""The processes of one state folder, seen from the outside: who runs, and killing them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

DRIVER, SUPERVISOR, BROKER, PLATFORM = (
    b"org.apache.spark.deploy.SparkSubmit",
    b"ppml_ops.spark.entry",
    b"\0broker\0serve",
    b"ppml_sim\0serve",
)


def running(home: Path, what: bytes) -> list[int]:
    """Pids of the processes of `home` whose command line holds `what`."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            line = (process / "cmdline").read_bytes()
            known = os.fsencode(home) in line or os.fsencode(home) in (process / "environ").read_bytes()
        except OSError:
            continue
        if what in line and known:
            found.append(int(process.name))
    return found


def kill(home: Path, *kinds: bytes) -> int:
    """SIGKILL to all processes of these kinds; returns how many there were."""
    pids = [pid for what in kinds for pid in running(home, what)]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(pids)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Raises AssertionError when `condition` does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
