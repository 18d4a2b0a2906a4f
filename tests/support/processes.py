"""The processes of one state folder, seen from the outside: who runs, and killing them."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

#: What their command lines hold; the driver's shell script and launcher JVM, which replace each other, don't.
DRIVER = re.compile(rb"/java\0(?!.*spark\.launcher\.Main).*org\.apache\.spark\.deploy\.SparkSubmit", re.DOTALL)
SUPERVISOR = re.compile(rb"ppml_ops\.spark\.entry")
BROKER = re.compile(rb"\0broker\0serve")
PLATFORM = re.compile(rb"ppml_sim\0serve")


def running(home: Path, what: re.Pattern[bytes]) -> list[int]:
    """Pids of the processes of `home` whose command line is one of `what`.

    A child that has just been forked bears its parent's command line until it executes its own: not counted.
    """
    found: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            line = (process / "cmdline").read_bytes()
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            known = os.fsencode(home) in line or os.fsencode(home) in (process / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        if known and what.search(line):
            found[int(process.name)] = parent
    return [pid for pid, parent in found.items() if parent not in found]


def kill(home: Path, *kinds: re.Pattern[bytes]) -> int:
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
