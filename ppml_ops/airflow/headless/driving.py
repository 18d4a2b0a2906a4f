"""Who may drive DAG runs in the state folder's Airflow: headless commands side by side, or one scheduler.

A scheduler would run the tasks of a headless run a second time, and two drivers of one run each task twice.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir
from ppml_ops.receipts.run_key import ids_digest

_DATABASE = "airflow"


@contextmanager
def only_driver(state: Path, dag: str, name: str, what: str) -> Iterator[None]:
    """Hold the lock of a run, or of a DAG's backfill. Raises ConfigError when another process has it."""
    with _locked(state, ids_digest(dag, name), fcntl.LOCK_EX) as locked:
        if not locked:
            raise ConfigError(f"another process drives {what}", next_step="wait for it, or end it first")
        yield


@contextmanager
def headless(state: Path) -> Iterator[None]:
    """Drive runs from this process. Raises ConfigError while a scheduler of ours works on the state folder."""
    with _locked(state, _DATABASE, fcntl.LOCK_SH) as locked:
        if not locked:
            raise ConfigError(
                "an Airflow scheduler works on this state folder, and two drivers would run every task twice",
                next_step="trigger the DAG in its web UI, or end that Airflow or backfill first",
            )
        yield


@contextmanager
def scheduler(state: Path) -> Iterator[None]:
    """Start a scheduler. Raises ConfigError while headless runs or another scheduler of ours are at work."""
    with _locked(state, _DATABASE, fcntl.LOCK_EX) as locked:
        if not locked:
            raise ConfigError(
                "a headless run, a backfill or another Airflow works on this state folder",
                next_step="wait for it, or end it first",
            )
        yield


def scheduler_of_ours(state: Path) -> bool:
    """Whether a process of ours holds the right to run a scheduler here, and lives."""
    with _locked(state, _DATABASE, fcntl.LOCK_SH) as locked:
        return not locked


@contextmanager
def _locked(state: Path, name: str, kind: int) -> Iterator[bool]:
    """Try the lock without waiting; the kernel gives it back when this process ends, however it ends."""
    descriptor = os.open(private_dir(state / "locks") / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
