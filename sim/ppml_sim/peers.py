"""Who is at the other end of a Unix socket, and whose child it is (Linux: SO_PEERCRED and /proc)."""

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

_MAX_DEPTH = 512
_STATE, _PPID, _START = 0, 1, 19  # positions after the command name in /proc/<pid>/stat, see proc(5)


@dataclass(frozen=True)
class Process:
    """One process; the start time tells it from a later one with the same pid."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; one that has ended but was not waited for does not."""
        found = _stat(self.pid)
        return found is not None and found[1] == self.started


@dataclass(frozen=True)
class Peer:
    """The other end: its user, and its process if that could still be seen."""

    uid: int
    process: Process | None


def peer_of(connection: socket.socket) -> Peer:
    """Who connected, as the kernel noted it at that moment."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    found = _stat(pid)
    return Peer(uid, Process(pid, found[1]) if found else None)


def descends_from(process: Process | None, ancestor: Process) -> bool:
    """Whether `process` is `ancestor` or was started below it, by parents that all still live."""
    pid = process.pid if process else 0
    for _ in range(_MAX_DEPTH):
        found = _stat(pid)
        if found is None:
            return False
        parent, started = found
        if (pid, started) == (ancestor.pid, ancestor.started):
            return True
        pid = parent
    return False


def sees_same_files(process: Process) -> bool:
    """Whether paths mean the same to `process` as here: same mounts, same root folder.

    Raises:
        OSError: it has ended, or this process may not look at it.
    """
    places = ("ns/mnt", "root/.")
    return all(
        os.path.samestat(os.stat(f"/proc/{process.pid}/{place}"), os.stat(f"/proc/self/{place}"))  # noqa: PTH116
        for place in places
    )


def _stat(pid: int) -> tuple[int, int] | None:
    """Parent and start time; None when there is no such process, or only its exit status is left."""
    if pid <= 0:
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return None if fields[_STATE] in "ZX" else (int(fields[_PPID]), int(fields[_START]))
