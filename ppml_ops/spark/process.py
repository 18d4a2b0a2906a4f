"""Processes by what identifies them for good: pid, start time and boot; and ending whole trees of them (Linux).

A pid alone is reused. Start time (clock ticks after boot, field 22 of `/proc/<pid>/stat`) and boot id make it
unique, so that an orphan of an earlier try is adopted or ended, and never a stranger. proc(5).
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_PID_NAMESPACE = _PROC / "self/ns/pid"
_POLL = 0.05
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class ProcessRecord(BaseModel):
    """One process of one boot: the content of `process.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int = Field(ge=1, description="Process id; also the id of the session that it leads.")
    start_time: int = Field(ge=0, description="Clock ticks after boot.")
    boot_id: str = Field(description="The kernel's id of this boot, and the pid namespace.")

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord":
        """The record of a living (or not yet waited for) process.

        Raises:
            ProcessLookupError: no such process.
        """
        stat = _stat(pid)
        if stat is None:
            raise ProcessLookupError(pid)
        return cls(pid=pid, start_time=int(stat[19]), boot_id=_boot_id())

    def alive(self) -> bool:
        """Whether exactly this process still runs; a zombie does not."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and self.boot_id == _boot_id()
            and int(stat[19]) == self.start_time
            and stat[0] != "Z"
        )

    def tree(self) -> set[int]:
        """Living pids of its session and its descendants, itself included; empty after a reboot.

        The session outlives its leader, so children of a dead leader are found too. A pid is not given away
        while its session lives; when another process bears it, nothing is left of ours.
        """
        stat = _stat(self.pid)
        if self.boot_id != _boot_id() or (stat is not None and int(stat[19]) != self.start_time):
            return set()
        return _session(self.pid) | (descendants(self.pid) | {self.pid} if self.alive() else set())


def _boot_id() -> str:
    """Of the kernel and of the pid namespace: a container that starts again gives old pids to others."""
    return f"{_BOOT_ID.read_text(encoding='ascii').strip()} {_PID_NAMESPACE.readlink()}"


def _stat(pid: int) -> list[str] | None:
    """Fields 3 and on of /proc/<pid>/stat; the name before them may hold blanks and parentheses."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _all() -> dict[int, list[str]]:
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return {pid: stat for pid in pids if (stat := _stat(pid)) is not None and stat[0] != "Z"}


def _session(session: int) -> set[int]:
    return {pid for pid, stat in _all().items() if int(stat[3]) == session}


def descendants(pid: int) -> set[int]:
    """All living children of `pid`, their children, and so on; without `pid`."""
    parents = {child: int(stat[1]) for child, stat in _all().items()}
    found: set[int] = set()
    layer = {pid}
    while layer:
        layer = {child for child, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; those that are gone are no error."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_descendants(grace: float) -> None:
    """End every descendant of this process: TERM, `grace` seconds, then KILL until none is left."""
    me = os.getpid()
    signal_all(descendants(me), signal.SIGTERM)
    deadline = time.monotonic() + grace
    while descendants(me) and time.monotonic() < deadline:
        time.sleep(_POLL)
    while left := descendants(me):
        signal_all(left, signal.SIGKILL)
        time.sleep(_POLL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends: `descendants` then finds them. prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(spare: int) -> None:
    """Take leave of ended children that came to us from others; `spare` is somebody's who waits for it."""
    me = os.getpid()
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == spare:
            continue
        stat = _stat(int(entry.name))
        if stat is not None and stat[0] == "Z" and int(stat[1]) == me:
            with suppress(ChildProcessError):
                os.waitpid(int(entry.name), os.WNOHANG)


def end_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent dies, however it dies; for a child before it executes. prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def kill_tree(record: ProcessRecord, *, limit: float = 30.0) -> bool:
    """KILL what is left of a recorded process and its session; False if some of it survived `limit` seconds."""
    deadline = time.monotonic() + limit
    while left := record.tree():
        if time.monotonic() > deadline:
            return False
        signal_all(left, signal.SIGKILL)
        time.sleep(_POLL)
    return True
