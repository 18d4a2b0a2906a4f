"""Clocks and statistics of all benchmarks. CPU time and memory come from proc(5), so Linux only."""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ppml_ops.spark.process import descendants

_T = TypeVar("_T")
_TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rotated(items: Sequence[_T], number: int) -> list[_T]:
    """`items` beginning with another one each round: no variant always runs first, after the same neighbour."""
    first = number % len(items)
    return [*items[first:], *items[:first]]


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that `percent` % of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def pair_ratios(values: Sequence[float], bases: Sequence[float]) -> list[float]:
    """Ratio to the base of the same round; drift of the machine over the rounds cancels out."""
    return [value / base if base else math.nan for value, base in zip(values, bases, strict=True)]


def median_range(values: Sequence[float], digits: int = 2) -> str:
    """`1.02 (0.97-1.08)`: median and extremes."""
    return (
        f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
        if len(values) > 1
        else f"{values[0]:.{digits}f}"
    )


def tree_cpu(pid: int) -> float:
    """User and system seconds so far of a process and all below it, ended and waited-for children included."""
    total = 0
    for one in {pid} | descendants(pid):
        try:
            text = Path(f"/proc/{one}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # its parent has its time by now
        total += sum(int(ticks) for ticks in text.rpartition(")")[2].split()[11:15])
    return total / _TICKS


def peak_memory() -> int:
    """Bytes of the largest resident set that this process has had since its program started (VmHWM).

    Unlike `ru_maxrss`, it leaves out what the parent held when it forked.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not report VmHWM")


@contextmanager
def in_environment(changes: dict[str, str]) -> Iterator[None]:
    """This process's environment with `changes` inside the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
