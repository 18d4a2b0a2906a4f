"""Runs spark-submit in the TEE, follows what it prints, and sees to the end of everything it started."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from ppml_ops.spark.logfilter import LifeCycle, Source, printable
from ppml_ops.spark.process import end_descendants, reap_orphans
from ppml_ops.spark.render import Submission
from ppml_ops.spark.sealedlog import SealedLog

_MAX_LINE = 64 * 1024
_REAP_SECONDS = 5.0


class Supervisor:
    """One spark-submit.

    Args:
        submission: what to start.
        log: gets every byte of both output streams.
        life: decides what may be shown.
        say: shows a life-cycle line.
        grace: seconds for an orderly end.
        clear: show all lines; only when the data set's policy allows clear logs.
    """

    def __init__(
        self,
        submission: Submission,
        log: SealedLog,
        life: LifeCycle,
        say: Callable[[str], None],
        *,
        grace: float,
        clear: bool = False,
    ) -> None:
        self._submission = submission
        self._log = log
        self._life = life
        self._say = say
        self._grace = grace
        self._clear = clear
        self.asked_to_end = False

    def ask_to_end(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Signal handler: TERM everything below, KILL after half of the grace."""
        self.asked_to_end = True
        threading.Thread(target=end_descendants, args=(self._grace / 2,), daemon=True).start()

    def run(self, cwd: Path) -> int:
        """Start, follow and wait; returns spark-submit's exit code, negative for a signal."""
        process = subprocess.Popen(
            self._submission.argv,
            cwd=cwd,
            env=self._submission.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        streams = ((process.stdout, "stdout"), (process.stderr, "stderr"))
        readers = [threading.Thread(target=self._follow, args=stream, daemon=True) for stream in streams]
        for reader in readers:
            reader.start()
        if self.asked_to_end:  # the signal came before there was anything to end
            self.ask_to_end()
        code = self._wait(process)
        # Python workers and whatever user code started may hold the pipes open; they have nothing left to do.
        end_descendants(self._grace / 2)
        for reader in readers:
            reader.join(timeout=self._grace)
        return code

    @staticmethod
    def _wait(process: subprocess.Popen[bytes]) -> int:
        """Until it ends; orphans that we have adopted meanwhile don't stay behind as zombies."""
        while True:
            try:
                return process.wait(_REAP_SECONDS)
            except subprocess.TimeoutExpired:
                reap_orphans(process.pid)

    def _follow(self, stream: IO[bytes], source: Source) -> None:
        while line := stream.readline(_MAX_LINE):
            self._log.write(line)
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            shown = self._life.feed(text, source)
            for words in [printable(text)] if self._clear else shown:
                self._say(words)
