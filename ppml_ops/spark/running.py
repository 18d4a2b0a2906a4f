"""A job that was started on this host: following it, ending it, and what came of it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ppml_ops.datasets.folder import Folder
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.outcome import Outcome, failure_of, unpublished
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.process import ProcessRecord, kill_tree, signal_all
from ppml_ops.spark.profiles import Profile

PROCESS = "process.json"
LIFE_CYCLE = "lifecycle.log"
EXIT = "exit.json"
APPLICATION = "application.json"
TD = "td.json"

_POLL = 0.1


class Running:
    """One generation; made by the launcher.

    `outcome` is set once `wait` has seen the end, also when `wait` raises.
    """

    def __init__(
        self,
        job: SparkJob,
        placement: Placement,
        profile: Profile,
        record: ProcessRecord,
        process: subprocess.Popen[bytes] | None,
        *,
        on_line: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        self.record = record
        self.outcome: Outcome | None = None
        self._job = job
        self._placement = placement
        self._profile = profile
        self._process = process
        self._on_line = on_line
        self._on_end = on_end
        self._folder = Path(placement.folder)
        self._ended_because: str | None = None
        self._start = time.monotonic()

    def wait(self) -> Outcome:
        """Follow to the end; success is exit code 0 and the expected manifest of every written data set.

        Afterwards no process of the job is left and its work folder is gone; sealed outputs stay.

        Raises:
            PpmlError: the class of the exit code (70 to 78), with what, who and next step.
            WorkloadError: failed, ended on request or by the time limit, or no manifest was published.
            TransientError: the processes went away without a word.
        """
        lines = self._follow()
        code = self._exit_code()
        if not kill_tree(self.record):
            self._on_line("some processes of the job could not be ended")
        self._on_end()
        self.outcome = Outcome(code, self._application_id(), time.monotonic() - self._start, tuple(lines))
        name = f"job {self._job.name!r} ({self._placement.generation})"
        bases = {binding.dataset: binding.bases[0].uri for binding in self._placement.bindings}
        error = failure_of(self.outcome, name, self._ended_because) or unpublished(
            self._job, self._placement.versions, lambda dataset: Folder(bases[dataset])
        )
        if error is not None:
            raise error
        return self.outcome

    def stop(self, why: str = "it was ended on request") -> None:
        """Ask the job to end (TERM to its process group), kill it when the profile's grace is over; bounded."""
        self._ended_because = self._ended_because or why
        if self._alive():
            with suppress(ProcessLookupError):
                os.killpg(self.record.pid, signal.SIGTERM)
        deadline = time.monotonic() + self._profile.stop_grace
        while self._alive() and time.monotonic() < deadline:
            time.sleep(_POLL)
        left = self.record.tree()  # taken before its root dies: children of the dead have other parents
        signal_all(left, signal.SIGKILL)
        kill_tree(self.record)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self.record.alive()

    def _follow(self) -> list[str]:
        lines: list[str] = []
        with (self._folder / LIFE_CYCLE).open("rb") as file:
            while True:
                alive = self._alive()  # asked before reading: what a dead process wrote is all there
                while line := file.readline():
                    if not line.endswith(b"\n") and alive:
                        file.seek(-len(line), os.SEEK_CUR)
                        break
                    lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._on_line(lines[-1])
                if not alive:
                    return lines
                if time.monotonic() - self._start > self._profile.time_limit and self._ended_because is None:
                    self.stop(f"it ran longer than its limit of {self._profile.time_limit} s")
                time.sleep(_POLL)

    def _exit_code(self) -> int | None:
        """From the exit record; without one, from the process if it is our child and was not killed."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads((self._folder / EXIT).read_bytes())["exit_code"])
        code = self._process.returncode if self._process is not None else None
        return code if code is not None and code > 0 else None

    def _application_id(self) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((self._folder / APPLICATION).read_bytes())["application_id"])
        return None
